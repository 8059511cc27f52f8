package cast_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Of the two allocators that the scheduler is linked with, one has a header that
// BTF only declares.
func TestWhatIsBehindHeadersShowsInItsUse(t *testing.T) {
	obj, err := object.Open("../gen/internal/payloads/testdata/payloads.bpf.o")
	require.NoError(t, err)
	require.Equal(t, []ktsnap.Cast{
		{In: "struct cpu_slot", Path: "head", To: "struct cpu_ctx", Space: ctype.SpaceArena, Behind: 16},
		{In: "struct task_slot", Path: "tptr", To: "struct task_struct", Space: ctype.SpaceKernel},
		{In: "struct task_slot", Path: "data", To: "struct task_ctx", Space: ctype.SpaceArena, Behind: 8},
	}, cast.Analyze(obj).Casts())
}
