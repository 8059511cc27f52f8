// Package scx runs sched_ext schedulers in a guest: a [Loader] is the part in
// the guest's agent, a [Scheduler] the host's hold on one that runs.
//
// A scheduler starts as a BPF object, which the loader loads and attaches, or
// as its own binary. Either way the kernel's log says when it is enabled, and
// when and why it ends; [Exit] tells the ways apart.
package scx
