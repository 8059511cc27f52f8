package kernel_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// networkEnv allows tests to download some 15 MB per run.
const networkEnv = "KTGEN_TEST_NETWORK"

func TestFetchFromTheRealArchive(t *testing.T) {
	if os.Getenv(networkEnv) == "" {
		t.Skipf("it downloads a kernel of 14 MB; set $%s to run it", networkEnv)
	}
	t.Setenv(cache.DirEnv, t.TempDir())
	t.Setenv(kernel.Env, "")
	k, err := kernel.Fetch(t.Context(), kernel.FetchOptions{Log: t.Output()})
	require.NoError(t, err)
	require.NoError(t, k.Fit())
	require.Equal(t, kernel.PVH, k.Fastest().Protocol)
	btf, err := k.BTF()
	require.NoError(t, err)
	require.Greater(t, len(btf), 1<<20)
}
