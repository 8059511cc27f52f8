// Package freeze stops a Linux guest, copies the kernel's BPF maps out of its
// memory, and lets it go.
//
// For contributors. Authors of tests meet its Options in Config of package ktest.
//
// A [Freezer] knows one booted guest. [Freezer.Capture] goes through four
// phases:
//
//	rehearse   the guest runs: a whole walk whose result is thrown away, which
//	           brings buffers to size and pages into memory
//	stopped    the walk that counts, and the copy of what is large
//	resumed    whatever happened before
//	thaw       the guest runs: BTF becomes shapes, maps become a snapshot
//
// so that a guest stands still for little more than a stop, a resume and a
// memcpy of what is kept. The package knows neither QEMU nor how a guest boots:
// it takes a [Machine] to stop and [RAM] to read, so that a core file or a
// recorded image will do. Where a kernel keeps things it learns from the
// kernel's own symbols and BTF ([Kernel]).
//
// Sections of globals can be huge, and mostly zero. They are copied by several
// CPUs, and pages that are zero are only compared: that takes half to the whole
// of a memcpy, and leaves the zero pages of the snapshot untouched. What even
// that is too much for is left out by [Options].
//
// What is captured is what memory held at one instant. A value that a CPU was
// in the middle of writing is half written, and spin locks, timers and other
// fields that bpf(2) masks hold what they really hold.
package freeze
