package ktest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests that CAPTURING.md names are in the packages that it names them of.
func TestPromisesNameTestsThatExist(t *testing.T) {
	doc, err := os.ReadFile("CAPTURING.md")
	require.NoError(t, err)
	_, promises, found := strings.Cut(string(doc), "\n## Promises\n")
	require.True(t, found)
	var sources strings.Builder
	for _, pattern := range []string{"../*/*_test.go", "../gen/internal/sample/*_test.go"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, file := range files {
			source, err := os.ReadFile(file)
			require.NoError(t, err)
			sources.Write(source)
		}
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(promises, -1)
	require.Greater(t, len(names), 25)
	for _, name := range names {
		require.Contains(t, sources.String(), "func "+name[1]+"(t *testing.T)", "CAPTURING.md names a test that is not there")
	}
}
