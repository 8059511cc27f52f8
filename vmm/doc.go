// Package vmm boots a kernel in QEMU and gives access to it.
//
// For contributors. Authors of tests meet its sizes and errors in package ktest.
//
// [Launch] returns a [VM] whose guest has reported that it is ready: its RAM is
// shared with this process ([VM.RAM]), its virtio-serial ports are connections
// ([VM.Port]), its serial console is recorded ([VM.Console]), and it can be
// stopped and continued ([VM.Pause], [VM.Resume]).
//
// # Starting from a template
//
// A boot takes seconds, most of it the same each time. So the first launch of a
// configuration keeps what it has booted, as a template: the RAM's content, the
// devices' state, and a few bytes of the caller's. Later launches start
// from it in a fraction of a second. A template fits exactly one combination of
// kernel, initramfs, QEMU, accelerator, CPUs and their topology, memory, kernel
// arguments, ports and setup.
//
//	Launch ── template? ──yes──► restore ──► Hooks.Restored ──► VM
//	              │                  └─ fails: drop it ─┐
//	              └──no────────────► boot ◄─────────────┘
//	                                  └──► Hooks.Ready ──► keep template ──► VM
//
// Guests started from one template are twins: same wall clock, same kernel
// address randomisation, same random numbers to come. Whoever uses them sets
// clock and randomness anew, in [Hooks.Restored].
//
// # Ownership
//
// A VM shares nothing with other VMs: everything between QEMU and this process is an
// inherited file descriptor, there are no ports and no paths. QEMU dies with this
// process, however it dies. [VM.Close] leaves nothing behind but the template.
//
// The package knows nothing of what runs in the guest.
package vmm
