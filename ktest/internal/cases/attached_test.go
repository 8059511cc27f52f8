package cases_test

import (
	"fmt"
	"strings"
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
	require.Zero(t, n.ByPerf+n.ByNothing, "a program whose section names nothing is left")
	require.Zero(t, n.ByIter, "an iterator runs when its link is read")
}

// listener notes what is logged.
type listener struct {
	*testing.T
	heard []string
}

func (l *listener) Logf(format string, args ...any) {
	l.heard = append(l.heard, fmt.Sprintf(format, args...))
	l.T.Logf(format, args...)
}

// What libbpf leaves unattached runs for nobody, and the test's log says so.
func TestProgramsThatNobodyAttachesAreNamed(t *testing.T) {
	l := &listener{T: t}
	ktest.Boot(l, ktest.Config{CPUs: 2, Scheduler: ktest.Object("testdata/attached.bpf.o")})
	heard := strings.Join(l.heard, "\n")
	require.Contains(t, heard, `program on_perf is loaded, and nothing calls it: its section "perf_event" does not say what to attach it to`)
	require.Contains(t, heard, `program on_nothing is loaded, and nothing calls it: its section "kprobe" does not say`)
	require.NotContains(t, heard, "program on_syscall")
	require.NotContains(t, heard, "program on_tp")
}
