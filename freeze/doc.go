// Package freeze stops a Linux guest, copies the kernel's BPF maps out of its
// memory, and lets it go.
//
// For contributors. Authors of tests meet its Options in Config of package ktest.
//
// A [Freezer] is for one booted guest. [Freezer.Capture] has four phases:
//
//	rehearse   the guest runs: a whole walk, whose result is thrown away; it
//	           makes buffers large enough and brings pages into memory
//	stopped    a second walk, whose result is kept, and the copy of large pieces
//	resumed    whatever failed before
//	thaw       the guest runs: BTF becomes shapes, maps become a snapshot
//
// So a guest stands still for little more than a stop, a resume and a memcpy of what is
// kept. The package knows neither QEMU nor how a guest boots: it takes a [Machine] to stop
// and [RAM] to read, which can be a core file or a recorded image. The kernel's own symbols
// and BTF ([Kernel]) tell where the kernel keeps its data.
//
// Sections of globals can be huge, and mostly zero. Several CPUs copy them. Pages of zeroes
// are only compared: that takes half to the whole time of a memcpy, and leaves the zero
// pages of the snapshot untouched. [Options] leave out what is still too large.
//
// A snapshot has what memory held at one instant. A value that a CPU was writing may be
// half written. Spin locks, timers and other fields that bpf(2) masks have their real
// content.
package freeze
