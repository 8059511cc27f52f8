// Package references is code that ktgen generates for maps of devices, CPUs and
// sockets whose entries have keys, or values of more than a number. Its tests read them
// in a guest.
package references

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/references.bpf.o -package references
