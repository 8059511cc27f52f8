// Package payloads is code that ktgen generates for a scheduler that is linked with
// two allocators, each of which hands out memory behind a header of its own. Its
// tests read what the scheduler keeps there, in a guest.
package payloads

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/payloads.bpf.o -package payloads
