// Package siblings is code that ktgen generates for two objects together, of
// which one declares a struct that the other defines. Its tests go along pointers
// from the one's maps to the other's.
package siblings

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/borrower.bpf.o -object testdata/lender.bpf.o -package siblings
