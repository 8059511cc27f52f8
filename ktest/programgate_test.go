package ktest_test

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
)

// gated is a test that RequirePrograms may fail.
type gated struct {
	testing.TB
	failure string
}

func (g *gated) Helper()                           {}
func (g *gated) Fatal(args ...any)                 { g.failure = fmt.Sprint(args...) }
func (g *gated) Fatalf(format string, args ...any) { g.failure = fmt.Sprintf(format, args...) }

func TestProgramsAreHeldToAFile(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object("testdata/docile.bpf.o")})
	snap := vm.Freeze("loaded")
	file := filepath.Join(t.TempDir(), "new", "programs.csv")
	gate := func(part float64) string {
		g := &gated{TB: t}
		ktest.RequirePrograms(g, snap, file, part)
		return g.failure
	}
	require.Contains(t, gate(0), "no such file")
	require.Contains(t, gate(0), "KTGEN_UPDATE=1 go test writes them")
	t.Setenv(dump.EnvUpdate, "1")
	require.Empty(t, gate(0))
	t.Setenv(dump.EnvUpdate, "")
	require.Empty(t, gate(0))

	figures := sched.Bind(t, snap).ProgramFigures()
	require.NotEmpty(t, figures)
	f := slices.MaxFunc(figures, func(a, b sched.ProgramFigures) int { return a.Verified - b.Verified })
	require.Greater(t, f.Verified, 1)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	row := fmt.Sprintf(",%s,success,%d,", f.Program, f.Verified)
	require.Contains(t, string(text), row)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(text), row, fmt.Sprintf(",%s,success,1,", f.Program), 1)), 0o600))
	require.Contains(t, gate(0.1), fmt.Sprintf("%s grew from 1 to %d verified instructions", f.Program, f.Verified))
	require.Contains(t, gate(0.1), "of kernel "+snap.Guest.Release)
	require.Empty(t, gate(1e6))
	require.Contains(t, gate(-0.1), "may grow is -0.1")
	require.Contains(t, gate(math.NaN()), "may grow is NaN")

	t.Setenv(dump.EnvUpdate, "1")
	snap.Tables = slices.DeleteFunc(snap.Tables, func(t *ktsnap.Table) bool { return t.Name == "programs" })
	require.Contains(t, gate(0), `snapshot "loaded" has no BPF programs`, "a file without figures is not written")
}
