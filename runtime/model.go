package runtime

import "github.com/ktgen/ktgen/runtime/ktsnap"

// These are types of package ktsnap that generated code and tests name.
type (
	CPUMask  = ktsnap.CPUMask  // a set of CPUs
	Snapshot = ktsnap.Snapshot // what a capture copied
	Owner    = ktsnap.Owner    // the task, cgroup, inode or socket that storage is of
	Address  = ktsnap.Address  // an address in the guest
	Error    = ktsnap.Error    // which read failed, where, and why
	Initial  = ktsnap.Initial  // a change to what an object starts with
)
