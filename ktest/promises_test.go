package ktest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests that PROMISES.md names exist.
func TestPromisesNameTestsThatExist(t *testing.T) {
	promises, err := os.ReadFile("PROMISES.md")
	require.NoError(t, err)
	var sources strings.Builder
	files, err := filepath.Glob("../*/*_test.go")
	require.NoError(t, err)
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		sources.Write(source)
	}
	names := regexp.MustCompile("`(Test[A-Za-z]+)`").FindAllStringSubmatch(string(promises), -1)
	require.Greater(t, len(names), 25)
	for _, name := range names {
		require.Contains(t, sources.String(), "func "+name[1]+"(t *testing.T)", "PROMISES.md names a test that is not there")
	}
}
