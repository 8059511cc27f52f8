package ktest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// TestOperationsOfOtherKindsAreAttached starts an object whose other operations are
// algorithms of congestion control, which the kernel lists.
func TestOperationsOfOtherKindsAreAttached(t *testing.T) {
	const list = "/proc/sys/net/ipv4/tcp_available_congestion_control"
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object("testdata/beside.bpf.o")})
	available, err := vm.ReadFile(t.Context(), list)
	require.NoError(t, err)
	require.Contains(t, string(available), "kt_linked")
	require.Contains(t, string(available), "kt_unlinked")

	_, err = vm.Detach(t.Context())
	require.NoError(t, err)
	available, err = vm.ReadFile(t.Context(), list)
	require.NoError(t, err)
	require.NotContains(t, string(available), "kt_")
}

func TestTheSchedulerOfAnObjectIsChosenBeforeTheBoot(t *testing.T) {
	for _, row := range []struct {
		scheduler ktest.Scheduler
		want      string
	}{
		{ktest.Object("testdata/beside.bpf.o").Ops("linked"), `testdata/beside.bpf.o has no scheduler "linked": those that it has are beside_ops`},
		{ktest.Object("testdata/beside.bpf.o").Ops("besides_ops"), `has no scheduler "besides_ops" (did you mean "beside_ops"?)`},
		{ktest.Object("internal/parity/testdata/inputs/attach.bpf.o"), "attach.bpf.o is no scheduler: it has no struct sched_ext_ops"},
	} {
		require.ErrorContains(t, row.scheduler.Check(), row.want)
	}
	require.NoError(t, ktest.Object("testdata/beside.bpf.o").Check())
}
