// Package gdb speaks the GDB Remote Serial Protocol with QEMU's gdbstub, as far
// as write watchpoints need it.
//
// For contributors.
//
// A stub takes commands only while the guest stands still: a command that arrives while
// vCPUs run stops them. After [Client.Continue] the stub reports the next stop exactly
// once, whatever the reason. After QMP's cont it may report none (QEMU 8.1 and later).
package gdb
