package cases_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/runtime"
)

// checkAttached finds that each program has run that its section attaches, and no other.
func checkAttached(t *testing.T, vm *ktest.VM, snap *runtime.Snapshot) {
	s := cases.BindAttached(t, snap)
	_, err := ktest.CaptureWhen(t.Context(), vm, "called", s, &s.Bss().ByKsyscall, func(n uint64) bool { return n > 0 })
	require.NoError(t, err)
	returned, err := ktest.CaptureWhen(t.Context(), vm, "returned", s, &s.Bss().ByKretprobe, func(n uint64) bool { return n > 0 })
	require.NoError(t, err)
	n := cases.BindAttached(t, returned.Snapshot).Bss()
	for name, count := range map[string]uint64{
		"tp": n.ByTp, "raw_tp": n.ByRawTp, "tp_btf": n.ByTpBtf, "kprobe": n.ByKprobe, "ksyscall": n.ByKsyscall,
		"kprobe.multi": n.ByMulti, "fentry": n.ByFentry, "fexit": n.ByFexit,
	} {
		require.Positive(t, count, name)
	}
	require.Zero(t, n.ByOptional, "a program with ? in its section is loaded when it is asked for")
	require.Zero(t, n.BySyscall, "a syscall program runs when it is run")
	require.Zero(t, n.ByIter, "an iterator runs when its link is read")
}
