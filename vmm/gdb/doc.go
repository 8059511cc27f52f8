// Package gdb speaks the GDB Remote Serial Protocol with QEMU's gdbstub, as far
// as write watchpoints need it.
//
// For contributors.
//
// A stub takes commands only while the guest stands still: whatever arrives
// while vCPUs run stops them. A guest that was let go by [Client.Continue]
// tells of its next stop, whatever the reason, exactly once; one that was let
// go in another way (QMP's cont) may tell nothing (QEMU 8.1 and later).
package gdb
