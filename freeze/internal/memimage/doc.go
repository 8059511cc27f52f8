// Package memimage builds the memory of make-believe Linux guests for tests: RAM with a
// kernel image, page tables, per-CPU areas and BPF maps, in an imaginary kernel's layout.
//
// An [Image] is plain bytes, which tests can damage.
package memimage
