// Package qmp speaks the QEMU Machine Protocol: JSON commands with replies, and
// events in between, over one connection to a running QEMU.
//
// For contributors.
//
// A [Client] owns the connection. One goroutine reads it. Any number of goroutines may
// call [Client.Do] at once; each reply finds its caller by id. Events go to
// [Options.OnEvent] in QEMU's order, before any later reply is delivered. When the
// connection ends, every waiting call returns an error that is [ErrGone].
//
// The protocol is described in QEMU's docs/interop/qmp-spec.txt, its commands
// in the QEMU QMP Reference Manual.
package qmp
