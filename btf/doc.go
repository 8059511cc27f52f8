// Package btf answers what cilium/ebpf's package of the same name leaves to
// its caller.
//
// For contributors.
//
//   - [Parse] checks untrusted BTF, from an object file or from a guest's memory, before
//     it is decoded. Its result can be walked without errors.
//   - [Shapes] alone turns BTF types into ctype.Shape, so that generated code, the dump
//     and a capture agree on a layout.
//   - [Offset] and [FieldOf] find a member, however deeply it is nested and
//     whichever anonymous struct holds it in this kernel.
//
// cilium/ebpf decodes BTF records into types, package object reads ELF files, and package
// gen prints Go.
package btf
