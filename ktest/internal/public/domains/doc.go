// Package domains is the generated code of a scheduler in the style of public ones: of
// two units that bpftool links, with accounts of last-level caches, of NUMA nodes
// and of tasks in an arena that a library unit allocates from and a syscall
// program sets up, arrays that user space makes as long as the machine needs, options of
// the kernel and its variables, also such as no kernel has. Its tests run it on several
// machines, from its object and by its own program in C.
package domains

//go:generate testdata/build
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/domains.bpf.o -package domains
