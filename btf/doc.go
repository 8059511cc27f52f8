// Package btf answers what cilium/ebpf's package of the same name leaves to
// its caller.
//
// For contributors.
//
//   - [Parse] checks untrusted BTF before it is decoded: from an object file,
//     or from a guest's memory. What it returns can be walked without errors
//     or surprises.
//   - [Shapes] is the one place that turns BTF types into ctype.Shape, so
//     that generated code, the dump and a capture cannot disagree on a layout.
//   - [Offset] and [FieldOf] find a member, however deeply it is nested and
//     whichever anonymous struct holds it in this kernel.
//
// The package does not decode BTF records into types itself, does not print C
// or Go, and does not read ELF files (package object does).
package btf
