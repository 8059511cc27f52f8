// Package graphs is code that ktgen generates for a scheduler that allocates
// objects and keeps them in lists and trees. Its tests read those in a guest,
// in fixtures and in damaged memory.
package graphs

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/graphs.bpf.o -package graphs
