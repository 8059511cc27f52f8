// Package sample is code that ktgen generates for an object with every kind of
// type that it reads. Tests of package runtime read random bytes with it.
package sample

//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/sample.bpf.o -package sample
