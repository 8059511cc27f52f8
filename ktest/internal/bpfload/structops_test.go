package bpfload

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAbsentOpsSayWhatTheKernelLacks(t *testing.T) {
	require.ErrorContains(t, absentOps("sched_ext_ops"), "CONFIG_SCHED_CLASS_EXT=y")
	for _, name := range []string{"sched_ext_ops_cid", "bpf_testmod_ops"} {
		err := absentOps(name)
		require.NotContains(t, err.Error(), "CONFIG_SCHED_CLASS_EXT")
		require.ErrorContains(t, err, name)
		require.ErrorContains(t, err, "Config.Modules")
	}
}
