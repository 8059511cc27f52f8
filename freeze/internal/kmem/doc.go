// Package kmem reads a stopped Linux guest's kernel memory by kernel virtual
// address. It alone translates addresses.
//
// A kernel virtual address of x86-64 falls into one of three places
// (Documentation/arch/x86/x86_64/mm.rst):
//
//	page_offset_base ┬ direct map: all RAM at a constant distance
//	                 ┴
//	vmalloc_base ... ┬ vmalloc, per-CPU chunks, vmemmap: page tables
//	                 ┴
//	_text .......... ┬ kernel image: at a constant distance from its load address
//	_end             ┴
//
// The first and the last are translated by subtraction, everything else by
// walking the kernel's own page table with 4 or 5 levels. [Discover] finds the
// constants of one guest, so KASLR needs nothing special.
//
// Everything read is foreign: each access says why it failed as a typed error,
// never as a zero.
package kmem
