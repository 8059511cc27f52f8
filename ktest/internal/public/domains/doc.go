// Package domains is the generated code of a scheduler in the style of public ones. Its
// tests run it on several machines, from its object and by its own program in C.
//
// bpftool links it of two units. A syscall program sets up an arena, and a library unit
// allocates from that: accounts of last-level caches, of NUMA nodes and of tasks. User space
// makes arrays as long as the machine needs. It reads options and variables of the kernel,
// some of which no kernel has.
package domains

//go:generate testdata/build
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/domains.bpf.o -package domains
