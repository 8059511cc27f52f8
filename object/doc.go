// Package object reads BPF ELF objects: their BTF, maps, data sections and
// functions.
//
// For authors of tools.
//
// It accepts what clang and bpftool's linker produce, whichever loader an
// object is meant for: weak and undefined symbols, Kconfig and ksym externs,
// struct_ops, arena globals, custom data sections, static and hidden
// variables, either byte order. It changes no instruction, applies no relocation, and does
// not ask the kernel.
//
// [Read] reads one object. [Find] lists the objects inside an executable. [Open] takes
// either kind of file.
//
// An object's bytes are not trusted. Every error says which section breaks which rule, and
// no allocation follows a claimed size.
package object
