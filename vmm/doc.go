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
// A boot takes seconds. So the first launch of a configuration keeps the booted guest as a
// template: the content of RAM, the devices' state, and a few bytes of the caller's. Later
// launches start from it in a fraction of a second. A template fits one combination of
// kernel, initramfs, QEMU, accelerator, CPUs and their topology, memory, kernel
// arguments, ports and setup.
//
//	Launch ── template? ──yes──► restore ──► Hooks.Restored ──► VM
//	              │                  └─ fails: drop it ─┐
//	              └──no────────────► boot ◄─────────────┘
//	                                  └──► Hooks.Ready ──► keep template ──► VM
//
// Guests started from one template have the same wall clock, the same kernel address
// randomisation and the same random numbers to come. The caller sets the clock and reseeds
// the random numbers in [Hooks.Restored].
//
// # Ownership
//
// A VM shares nothing with other VMs. QEMU and this process share inherited file
// descriptors only: no TCP ports, no paths. QEMU dies with this process, however it dies.
// [VM.Close] leaves nothing behind but the template.
//
// The package knows nothing of what runs in the guest.
package vmm
