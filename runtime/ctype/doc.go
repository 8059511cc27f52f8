// Package ctype models C types as BPF programs and the kernel have them: what BTF says
// of a type, resolved, without the BTF.
//
// For authors of tools.
//
// A [Shape] is a type, [Shape.Fields] its members as C names them, [Spell] its name in
// C. Text is how generated code and snapshot files carry shapes: [Writer] writes it,
// [Parse] reads it and refuses what is not consistent. An [IntPlace] is where an
// integer or a bitfield lies in a few bytes, and [Index] finds the members of types
// that come from a guest, each once.
//
// The package imports the standard library only.
package ctype
