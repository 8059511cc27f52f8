package runtime_test

import (
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// randomPackages are the packages that are generated of random objects, by the
// seed of the object. There are none but in the test binary that
// TestThreeReadersAgree builds, where another file stands for this one.
var randomPackages map[uint64]func(*ktsnap.Snapshot, ...ktrt.Option) (any, error)
