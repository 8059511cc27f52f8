// Package parity compares what two loaders of BPF objects make of the same object
// on the same kernel: package bpfload, which [ktest.Object] loads with, and libbpf.
//
// Each loader is a worker, a process that reads lines, each of which has it load an object
// (see [Serve]). A [Driver] beside it notes which maps and programs the kernel has then.
// Both run in the guest.
package parity
