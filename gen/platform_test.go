package gen_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"
)

// Generated code, and what makes it, builds where int has 32 bits; tests run
// on big-endian hosts, too.
func TestBuildsForOtherHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the standard library for each of the hosts")
	}
	const sample, runtime = "../internal/sample", "../runtime"
	for arch, packages := range map[string][]string{
		"386":   {sample, runtime, ".", "../object", "../btf", "../cast", "../cmd/..."},
		"s390x": {sample, runtime},
	} {
		t.Run(arch, func(t *testing.T) {
			// What is built is not run, so it is not optimized.
			build := exec.Command("go", append([]string{"build", "-gcflags=all=-N -l -dwarf=false", "-ldflags=-s -w"}, packages...)...)
			build.Env = append(os.Environ(), "GOARCH="+arch, "GOOS=linux", "CGO_ENABLED=0")
			out, err := build.CombinedOutput()
			require.NoError(t, err, "%s", out)
		})
	}
}
