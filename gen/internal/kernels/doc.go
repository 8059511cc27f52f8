// Package kernels is code that ktgen generates for a scheduler that points to
// tasks. Its test reads the scheduler with it on kernels that lay a task out
// differently.
package kernels

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/watcher.bpf.o -package kernels
