// Package several is code that ktgen generates for two objects together. Its
// tests read each of them, and what they share with one function.
package several

//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object ../../../cmd/ktgen/testdata/golden/objects/first.bpf.o -object ../../../cmd/ktgen/testdata/golden/objects/second.bpf.o -package several -rename stats_=Former
