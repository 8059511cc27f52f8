package gen_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
)

// corpusEnv names the directory that scripts/corpus filled with objects.
const corpusEnv = "KTGEN_CORPUS"

func corpus(t *testing.T) []string {
	dir := os.Getenv(corpusEnv)
	if dir == "" {
		t.Skipf("%s is not set; scripts/corpus compiles objects to test with", corpusEnv)
	}
	var paths []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".bpf.o") {
			paths = append(paths, path)
		}
		return err
	})
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	return paths
}

// Every object of the corpus gives code that compiles, twice the same. Objects
// without maps and globals have nothing to read and are refused.
func TestCorpusGenerates(t *testing.T) {
	generated, nothing := 0, 0
	for _, path := range corpus(t) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			first, err := generate(path)
			if err != nil && strings.Contains(err.Error(), "neither maps nor global variables") {
				nothing++
				t.Skip(err)
			}
			require.NoError(t, err)
			second, err := generate(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(first, second))
			generated++
		})
	}
	t.Logf("%d objects generate, %d have nothing to read", generated, nothing)
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
