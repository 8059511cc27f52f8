// Package public runs the schedulers of the kernel's tools/sched_ext as they are: from
// their objects, configured as their programs configure them, and by these programs. Its
// tests compare what generated code reads with what the programs print. scripts/programs
// compiles them; nothing of theirs is checked in.
package public
