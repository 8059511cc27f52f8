// Package linked is code that ktgen generates for a scheduler that is linked of
// two objects, whose static variables share names. Its tests read and write them in a guest.
package linked

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/linked.bpf.o -package linked
