// Package object reads BPF ELF objects: their BTF, maps, data sections and
// functions.
//
// For authors of tools.
//
// It accepts what clang and bpftool's linker produce, whichever loader an
// object is meant for: weak and undefined symbols, Kconfig and ksym externs,
// struct_ops, arena globals, custom data sections, static and hidden
// variables, either byte order. An object is read, not loaded or verified: no
// instruction is changed, no relocation applied, and nothing asks the kernel.
//
// [Read] takes one object, [Find] lists the objects inside an executable, and
// [Open] does whichever a file needs.
//
// An object's bytes need not be trusted. Every failure is an error that says
// which section breaks which rule, and no allocation follows a claimed size.
package object
