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
// Subtraction translates the first and the last. A walk of the kernel's own page table, with
// 4 or 5 levels, translates all else. [Discover] finds the constants of one guest, so
// KASLR makes no difference.
//
// An access that fails is a typed error, never a zero.
package kmem
