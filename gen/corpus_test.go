package gen_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	bpf2go "github.com/cilium/ebpf/cmd/bpf2go/gen"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/vmm/cache"
)

// This file holds the generator to the corpus: objects that nobody wrote for
// it, which scripts/corpus compiles from a kernel's sources.

// corpusEnv names the directory that scripts/corpus filled with objects. All
// of them are taken, in the place of a sample from the cache.
const corpusEnv = "KTGEN_CORPUS"

// corpus returns the paths of the objects.
func corpus(t testing.TB) []string {
	t.Helper()
	if dir := os.Getenv(corpusEnv); dir != "" {
		paths := objectsBelow(t, dir)
		require.NotEmpty(t, paths, "no objects below %s=%s; scripts/corpus compiles them", corpusEnv, dir)
		return paths
	}
	dir, err := cache.Dir()
	require.NoError(t, err)
	list, err := os.ReadFile("testdata/corpus_sample.txt")
	require.NoError(t, err)
	sample := strings.Fields(string(list))
	var paths []string
	for _, path := range objectsBelow(t, filepath.Join(dir, "corpus")) {
		if slices.Contains(sample, corpusName(path)) {
			paths = append(paths, path)
		}
	}
	if len(paths) == 0 && os.Getenv("CI") == "" {
		t.Skip("there are no objects in the cache to test with; make test fetches and compiles them")
	}
	// Another kernel's sources may lack some.
	require.Greater(t, len(paths), len(sample)*3/4, "scripts/corpus sample did not compile the sample into the cache")
	return paths
}

// corpusName is what the list of the sample calls an object.
func corpusName(path string) string {
	return filepath.Base(filepath.Dir(path)) + "/" + strings.TrimSuffix(filepath.Base(path), ".bpf.o")
}

func objectsBelow(t testing.TB, dir string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".bpf.o") {
			paths = append(paths, path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	require.NoError(t, err)
	return paths
}

// Every object is accepted, twice with the same result, and the compiler and
// vet accept what is generated.
func TestCorpusIsAcceptedAndCompiles(t *testing.T) {
	paths := corpus(t)
	m := newScratchModule(t)
	accepted := 0
	for _, path := range paths {
		src, err := generate(path)
		if err != nil {
			t.Errorf("%s: %v", corpusName(path), err)
			continue
		}
		again, err := generate(path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(src, again), "%s: generated twice, and not the same", corpusName(path))
		m.write("corpus/"+corpusName(path)+"/corpus_ktgen.go", src)
		accepted++
	}
	m.run("build", "./corpus/...")
	m.run("vet", "./corpus/...")
	t.Logf("of %d objects: %d ktgen, and what it writes compiles and passes vet", len(paths), accepted)
	compareWithOthers(t, paths)
}

// compareWithOthers counts what the generators that there are accept.
func compareWithOthers(t *testing.T, paths []string) {
	loaded, generated, skeletons := 0, 0, 0
	tool, noTool := exec.LookPath("bpftool")
	for _, path := range paths {
		spec, err := ebpf.LoadCollectionSpec(path)
		if err == nil {
			loaded++
			if generateAsBpf2go(spec) == nil {
				generated++
			}
		}
		if noTool == nil && exec.Command(tool, "gen", "skeleton", path).Run() == nil {
			skeletons++
		}
	}
	t.Logf("of %d objects: %d LoadCollectionSpec of cilium/ebpf", len(paths), loaded)
	t.Logf("of %d objects: %d bpf2go (not compiled)", len(paths), generated)
	if noTool != nil {
		t.Logf("no bpftool to compare with: apt-get install bpftool")
		return
	}
	t.Logf("of %d objects: %d bpftool gen skeleton (not compiled)", len(paths), skeletons)
}

// generateAsBpf2go does what the command bpf2go does with an object.
func generateAsBpf2go(spec *ebpf.CollectionSpec) error {
	args := bpf2go.GenerateArgs{
		Package: "p", Stem: "p", ObjectFile: "p.o", Output: io.Discard, Types: bpf2go.CollectGlobalTypes(spec),
	}
	for name := range spec.Maps {
		if !strings.HasPrefix(name, ".") {
			args.Maps = append(args.Maps, name)
		}
	}
	for name := range spec.Variables {
		args.Variables = append(args.Variables, name)
	}
	for name := range spec.Programs {
		args.Programs = append(args.Programs, name)
	}
	return bpf2go.Generate(args)
}

func generate(path string) ([]byte, error) {
	obj, err := object.Open(path)
	if err != nil {
		return nil, err
	}
	model, err := gen.Build(obj, gen.Options{Package: "corpus"})
	if err != nil {
		return nil, err
	}
	return model.Render()
}

// scratchModule is a module for generated packages, with package runtime and those
// below it in it and nothing else, so that the go command is quick.
type scratchModule struct {
	t   testing.TB
	dir string
}

func newScratchModule(t testing.TB) *scratchModule {
	m := &scratchModule{t, t.TempDir()}
	m.write("go.mod", []byte("module github.com/ktgen/ktgen\n\ngo 1.26\n"))
	require.NoError(t, filepath.WalkDir("../runtime", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err == nil {
			m.write(strings.TrimPrefix(filepath.ToSlash(path), "../"), src)
		}
		return err
	}))
	return m
}

func (m *scratchModule) write(name string, content []byte) {
	m.t.Helper()
	path := filepath.Join(m.dir, name)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, content, 0o644))
}

// run runs a subcommand of go in the module, with paths that do not make each
// run's packages new ones to the build cache.
func (m *scratchModule) run(subcommand string, args ...string) []byte {
	m.t.Helper()
	cmd := exec.Command("go", append([]string{subcommand, "-trimpath"}, args...)...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	var messages bytes.Buffer
	cmd.Stderr = &messages
	out, err := cmd.Output()
	require.NoError(m.t, err, "go %s: %s", subcommand, messages.String())
	return out
}
