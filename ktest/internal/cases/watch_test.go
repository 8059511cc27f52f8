package cases_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
)

// Of two static variables of one name, in units that were linked, a watch looks
// at the one that is named: running adds 2 to the calls of the first unit, and
// nothing writes to the other after the start.
func TestAWatchTellsStaticsOfOneNameApart(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 1})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, vm.Attach(ctx, ktest.Object(filepath.Join("testdata", "statics_sched.bpf.o"))))
	_, err := vm.Work(ctx, ktest.Yield, 2)
	require.NoError(t, err)

	first := ktest.FieldAt(cases.OpenStaticsSched, func(s cases.StaticsSchedSnap) *uint32 { return &s.Data().Calls_StaticsSchedA })
	before := cases.BindStaticsSched(t, vm.Freeze("before"))
	quiet, err := vm.Watch(ctx, ktest.Field(before, &before.Data().Calls_StaticsSchedB), ktest.WatchOptions{Unchanged: true})
	require.NoError(t, err)
	watch, err := vm.Watch(ctx, first, ktest.WatchOptions{Max: 20, Unchanged: true})
	require.NoError(t, err)
	_, err = watch.Await(ctx, 20)
	require.NoError(t, err)
	require.NoError(t, watch.Close())
	require.NoError(t, quiet.Close())

	for i, fire := range watch.Fires() {
		require.Equal(t, watch.Fires()[0].Old+2*uint64(i), fire.Old)
		require.Equal(t, fire.Old+2, fire.New)
		require.Equal(t, "n3_run", fire.Function.Source)
	}
	require.Zero(t, quiet.Stats().Hits)
	after := cases.BindStaticsSched(t, vm.Freeze("after")).Data()
	require.GreaterOrEqual(t, uint64(after.Calls_StaticsSchedA), watch.Fires()[19].New)
	require.Equal(t, before.Data().Calls_StaticsSchedB, after.Calls_StaticsSchedB)
}
