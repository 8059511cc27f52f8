package cases_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/runtime"
)

// checkUnits finds that each unit has called its own function of a name that both have,
// and what overrides weak functions and variables.
func checkUnits(t *testing.T, _ *ktest.VM, snap *runtime.Snapshot) {
	s := cases.BindUnits(t, snap)
	require.EqualValues(t, 1, s.Bss().FromA)
	require.EqualValues(t, 16, s.Bss().FromB)
	require.EqualValues(t, 2, s.Bss().ByWeak)
	require.EqualValues(t, 5, s.Bss().ByCallback)
	require.EqualValues(t, 620, s.Bss().SeenLimit)
}
