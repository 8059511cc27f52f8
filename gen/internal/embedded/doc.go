// Package embedded is code that ktgen generates for objects that lie in others and
// that pointers lead to: in maps, sections, an arena, and what a program allocates.
// Its tests read both, in either order, in hand-made snapshots.
package embedded

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/embedded.bpf.o -package embedded
