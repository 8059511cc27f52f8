// Package guest is the agent that runs as PID 1 in a guest, and the host's
// side of talking to it.
//
// For contributors.
//
// The two ends speak over one byte stream, a virtio serial port. Everything is
// a call: the host names a method and gives parameters, the agent runs the
// method's [Handler], and answers with one result or one error. While a call
// lasts, bytes flow in both directions: one stream from the host (a process's
// standard input, the contents of a file) and two from the guest (its standard
// output and error). Each stream has a window, so a slow reader holds up its
// own call and nothing else.
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
// A session begins with a hello whenever the host says so and ends the one
// before: the port of a guest that is restored from a saved state is, to the
// guest, the port it had when it was saved. The state may only be saved after
// a bye, when no frame is under way.
//
// A guest can also run only while the host waits for it ([Paced]). The bytes go
// through its memory then (package vmm/mailbox), and come at moments that
// do not depend on the host, as long as the host makes the same calls in the same order.
//
// The package knows processes, files, clocks and the kernel's log. What
// belongs to a purpose (a BPF scheduler, a workload) is a handler that the
// program passes in.
package guest
