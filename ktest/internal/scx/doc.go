// Package scx runs sched_ext schedulers in a guest. A [Loader] is the part in the guest's
// agent; a [Scheduler] is one that runs, for the host.
//
// A scheduler starts from a BPF object, which the loader loads and attaches, or by its own
// program. Either way the kernel's log says when it is enabled, and when and why it ends;
// [Exit] tells the ways apart.
package scx
