package public_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm/cache"
)

// programs returns the directory that scripts/programs has compiled into. The test is
// skipped where it has not, but not in CI.
func programs(t *testing.T, needed string) string {
	t.Helper()
	dir, err := cache.Dir()
	require.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(dir, cache.Corpus, "*", "programs", needed))
	require.NoError(t, err)
	if len(found) == 0 && os.Getenv("CI") == "" {
		t.Skipf("there is no %s in the cache; scripts/programs compiles it", needed)
	}
	require.NotEmpty(t, found, "scripts/programs did not compile %s into the cache", needed)
	return filepath.Dir(slices.Max(found))
}

// values is a program of generated code, built for the objects of all schedulers.
type values struct{ path string }

const valuesDir = "values" // in this package, of files that exist for the build only

func buildValues(t *testing.T, dir string, names []string) values {
	t.Helper()
	out := t.TempDir()
	here, err := filepath.Abs(valuesDir)
	require.NoError(t, err)
	source, err := filepath.Abs("testdata/values.go.txt")
	require.NoError(t, err)
	replace := map[string]string{filepath.Join(here, "main.go"): source}
	for _, name := range names {
		obj, err := object.Open(filepath.Join(dir, name+".bpf.o"))
		require.NoError(t, err)
		model, err := gen.Build(obj, gen.Options{Package: name})
		require.NoError(t, err)
		code, err := model.Render()
		require.NoError(t, err)
		file := filepath.Join(out, name+".go")
		require.NoError(t, os.WriteFile(file, code, 0o644))
		replace[filepath.Join(here, name, name+".go")] = file
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(out, "overlay.json"), overlay, 0o644))
	v := values{filepath.Join(out, "values")}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(out, "overlay.json"), "-o", v.path, "./"+valuesDir)
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	return v
}

// read returns what generated code reads of a snapshot.
func (v values) read(t *testing.T, scheduler string, snap *ktsnap.Snapshot) map[string]uint64 {
	t.Helper()
	file := filepath.Join(t.TempDir(), "snap.ktsnap")
	require.NoError(t, snap.WriteFile(file))
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), v.path, scheduler, file)
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	var all map[string]map[string]uint64
	require.NoError(t, json.Unmarshal(text, &all))
	return all[file]
}
