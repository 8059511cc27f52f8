package parity_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/libbpf"
)

// TestCorpusOfSmallObjectsLoadsAsWithLibbpf compares the loaders on the objects of
// testdata/small.txtar, and attaches their programs. Both have to refuse the same. It takes
// the headers of the corpus, and six minutes beside others.
func TestCorpusOfSmallObjectsLoadsAsWithLibbpf(t *testing.T) {
	headers := filepath.Join(os.Getenv("KTGEN_CORPUS"), "include")
	if os.Getenv("KTGEN_CORPUS") == "" {
		t.Skip("the headers of the corpus are needed, make corpus has them")
	}
	worker := libbpf.Compile(t, "testdata/libbpf.c")
	objects := compileSmall(t, headers)
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Memory: 2 << 30, Files: map[string]string{"/libbpf": worker}})
	c := comparison{T: t, vm: vm, counts: make(map[string]int)}
	for len(objects) > 0 {
		n := min(batch, len(objects))
		c.compare(objects[:n], true)
		objects = objects[n:]
	}
	t.Log(c.counts)
	require.Greater(t, c.counts["libbpf ok, own ok"], 150)
}

// compileSmall writes and compiles the objects, and returns their paths.
func compileSmall(t *testing.T, headers string) (objects []string) {
	archive, err := os.ReadFile("testdata/small.txtar")
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "small")
	require.NoError(t, os.Mkdir(dir, 0o700))
	match := regexp.MustCompile(*only)
	for _, part := range strings.Split(string(archive), "\n-- ")[1:] {
		name, text, ok := strings.Cut(part, " --\n")
		require.True(t, ok, part)
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		if base, isC := strings.CutSuffix(path, ".c"); isC && match.MatchString(corpusName(base)) {
			objects = append(objects, base+".bpf.o")
		}
	}
	var all sync.WaitGroup
	slots := make(chan struct{}, runtime.NumCPU())
	for _, object := range objects {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			compileOne(t, object, headers)
		})
	}
	all.Wait()
	require.False(t, t.Failed())
	return objects
}

func compileOne(t *testing.T, object, headers string) {
	source := strings.TrimSuffix(object, ".bpf.o") + ".c"
	text, err := os.ReadFile(source)
	if err != nil {
		t.Error(err)
		return
	}
	args := []string{"-g", "-O2", "-target", "bpf", "-mcpu=v3", "-D__TARGET_ARCH_x86", "-Wno-everything", "-I" + headers}
	if rest, ok := strings.CutPrefix(string(text), "/* FLAGS "); ok {
		flags, _, _ := strings.Cut(rest, " */")
		args = append(args, strings.Fields(flags)...)
	}
	out, err := exec.Command(cmp.Or(os.Getenv("CLANG"), "clang-19"), append(args, "-c", source, "-o", object)...).CombinedOutput()
	if err != nil {
		t.Errorf("%s: %v\n%s", source, err, out)
	}
}
