// Package libbpf compiles programs on libbpf for tests to run in a guest.
package libbpf

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
)

// Sources returns the latest of the kernels' source trees in the cache, that libbpf is a part of.
// The test is skipped where there is none, but not in CI.
func Sources(t testing.TB) string {
	t.Helper()
	dir, err := cache.Dir()
	require.NoError(t, err)
	trees, err := filepath.Glob(filepath.Join(dir, cache.Corpus, "*", "source"))
	require.NoError(t, err)
	if len(trees) == 0 && os.Getenv("CI") == "" {
		t.Skip("no sources of libbpf in the cache: make test, or `ktgen kernel source`, fetches them")
	}
	require.NotEmpty(t, trees, "`ktgen kernel source` fetches libbpf")
	return slices.Max(trees)
}

// Compile compiles a C file for the guest, with the libbpf of the kernel whose
// sources are in the cache: that of a distribution can be older than what
// schedulers need. It returns the program's path. The test is skipped where there are no
// sources or no compiler, but not in CI.
func Compile(t testing.TB, source string) string {
	t.Helper()
	tools := filepath.Join(Sources(t), "tools")
	sources, err := filepath.Glob(filepath.Join(tools, "lib", "bpf", "*.c"))
	require.NoError(t, err)

	_, here, _, _ := runtime.Caller(0)
	program := filepath.Join(t.TempDir(), "program")
	args := []string{
		"-O1", "-w", "-D_GNU_SOURCE", "-D_LARGEFILE64_SOURCE", "-D_FILE_OFFSET_BITS=64", "-I" + filepath.Join(filepath.Dir(here), "include"),
		"-I" + tools + "/lib", "-I" + tools + "/include", "-I" + tools + "/include/uapi", "-o", program, source,
	}
	clang := cmp.Or(os.Getenv("CLANG"), "clang-19")
	out, err := exec.Command(clang, append(append(args, sources...), "-lelf", "-lz")...).CombinedOutput()
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("libbpf cannot be compiled: apt-get install clang-19 libbpf-dev\n%v\n%s", err, out)
	}
	require.NoError(t, err, "%s", out)
	return program
}
