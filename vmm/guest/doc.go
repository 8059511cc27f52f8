// Package guest is the agent that runs as PID 1 in a guest, and the host's
// side of talking to it.
//
// For contributors.
//
// Host and agent speak over one byte stream, a virtio serial port. The host calls: it names
// a method and gives parameters. The agent runs the method's [Handler], and answers with
// one result or one error. During a call one stream of bytes comes from the host (a
// process's standard input, the contents of a file) and two from the guest (its standard
// output and error). Each stream has a window, so a slow reader holds up its own call only.
//
//	host                                guest
//	Client ── hello ──────────────────► Serve        a session begins
//	       ◄────────────────── hello ──
//	       ── call 1 "exec" ──────────►  Handler
//	       ◄──────── data 1 (stdout) ──
//	       ── window 1 ───────────────►
//	       ◄─────────────── result 1 ──
//	       ── bye ────────────────────►              calls end, the port is silent
//	       ◄──────────────────── bye ──
//
// The host begins a session with a hello, which ends the one before: a guest that is
// restored from a saved state does not notice that its port has another peer. The state may
// only be saved after a bye, when no frame is under way.
//
// A guest can also run only while the host waits for it ([Paced]). The bytes then go
// through its memory (package vmm/mailbox). Their moments do not depend on the host, as
// long as the host makes the same calls in the same order.
//
// The package knows processes, files, clocks and the kernel's log. The program passes in
// the handlers for all else: BPF schedulers, workloads.
package guest
