// Package memimage builds the memory of make-believe Linux guests for tests:
// RAM with a kernel image, page tables, per-CPU areas and BPF maps in the
// places where a kernel of its own, imaginary layout keeps them.
//
// An [Image] can be damaged at will: it is plain bytes.
package memimage
