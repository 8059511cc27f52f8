// Package ctype models the C types of BPF programs and of the kernel: what BTF says of a
// type, resolved, without the BTF.
//
// For authors of tools.
//
// A [Shape] is a type. [Shape.Fields] are its members as C names them, and [Spell] is its
// name in C. Generated code and snapshot files have shapes as text: [Writer] writes it,
// [Parse] reads it and refuses text that contradicts itself. An [IntPlace] is the position
// of an integer or a bitfield in bytes. [Index] finds the members of types that come
// from a guest, each once.
//
// The package imports the standard library only.
package ctype
