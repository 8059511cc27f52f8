package linked_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen/internal/linked"
)

// ktgen runs the command, and returns what it prints.
func ktgen(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command("go", append([]string{"run", "github.com/ktgen/ktgen/cmd/ktgen"}, args...)...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Run(), "%s", errs.String())
	return out.String()
}

func TestStaticVariablesOfOneNameAreGotApart(t *testing.T) {
	snap := linked.Fixture{Data: linked.Data{Calls_Sched: 0x12, Calls_Lib: 99, Deep_Sched: 1 << 40, Deep_Lib: 8}}.Snapshot(t)
	file := filepath.Join(t.TempDir(), "linked.ktsnap")
	require.NoError(t, snap.WriteFile(file))
	for path, want := range map[string]string{"calls#1": "18\n", "calls#2": "99\n", "deep#1": "1099511627776\n", "deep#2": "8\n"} {
		require.Equal(t, want, ktgen(t, "get", file, path), path)
	}
	out, err := exec.Command("go", "run", "github.com/ktgen/ktgen/cmd/ktgen", "get", file, "calls").CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "calls#1")
	require.Contains(t, string(out), "calls#2")
}

func TestCodeForALinkedObjectIsChecked(t *testing.T) {
	ktgen(t, "check", "-object", objectFile, "linked_ktgen.go")
}
