// Package examplesched reads the state of tally, the scheduler in bpf/.
//
// For authors of tests, as a complete example.
//
// The accessors are generated from the scheduler's object; the tests of this
// package show how they are used, and hold every layer of ktgen against a real
// guest on the way.
package examplesched

//go:generate go tool ktgen -object bpf/sched.bpf.o -package examplesched
