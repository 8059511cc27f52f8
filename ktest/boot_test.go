package ktest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

func TestGuestAnswers(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	t.Log(vm.Machine().Origin(), vm.Machine().Timing())
	t.Logf("%+v", vm.Kernel())
	require.Len(t, vm.Kernel().Online, 2)
	require.Empty(t, vm.Kernel().Notes)
	version, err := vm.ReadFile(t.Context(), "/proc/version")
	require.NoError(t, err)
	require.Contains(t, string(version), vm.Kernel().Release)
}

func TestExample(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object("../example_sched/bpf/sched.bpf.o")})
	t.Log(vm.Machine().Origin(), vm.Machine().Timing())
	snap := vm.Freeze("one")
	for _, m := range snap.Maps {
		t.Logf("%+v %s %d", m.Name, m.Reason, m.N)
	}
	t.Logf("%+v", snap.Timing)
	exit, err := vm.Detach(t.Context())
	require.NoError(t, err)
	t.Log(exit)
}
