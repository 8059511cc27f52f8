package runtime

import "github.com/ktgen/ktgen/runtime/ktsnap"

// What generated code and tests name of the model of a capture.
type (
	CPUMask  = ktsnap.CPUMask
	Snapshot = ktsnap.Snapshot
	Owner    = ktsnap.Owner
	Address  = ktsnap.Address
	Error    = ktsnap.Error
	Initial  = ktsnap.Initial
)
