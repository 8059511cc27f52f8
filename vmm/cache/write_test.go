package cache_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
)

// writerEnv makes the test binary a process that writes a file in that
// directory, and does not get done before its input ends.
const writerEnv = "KTGEN_TEST_CACHE_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		cache.WriteFile(filepath.Join(dir, "entry"), func(f *os.File) error {
			fmt.Println("begun")
			_, err := io.Copy(io.Discard, os.Stdin)
			return err
		})
	}
	os.Exit(m.Run())
}

func TestWriteFileReplacesWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "entry")
	for _, text := range []string{"one", "two"} {
		require.NoError(t, cache.WriteFile(path, func(f *os.File) error {
			_, err := f.WriteString(text)
			return err
		}))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, text, string(content))
	}
	require.Equal(t, []string{"entry"}, names(t, dir))
}

func TestFailedWriteLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "entry")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	full := errors.New("disk full")
	require.ErrorIs(t, cache.WriteFile(path, func(*os.File) error { return full }), full)
	require.Equal(t, []string{"entry"}, names(t, dir))
}

func TestSweepRemovesWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	writer := exec.Command(os.Args[0])
	writer.Env = append(os.Environ(), writerEnv+"="+dir)
	out, err := writer.StdoutPipe()
	require.NoError(t, err)
	_, err = writer.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, writer.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "begun\n", line)

	require.NoError(t, cache.Sweep(dir))
	require.Len(t, names(t, dir), 1, "a file that is being written stays")
	require.NoError(t, writer.Process.Kill())
	writer.Wait()
	require.NoError(t, cache.Sweep(dir))
	require.Empty(t, names(t, dir))
}

func TestNamelessFilesLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	f, err := cache.Nameless(dir)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("kept"), 3)
	require.NoError(t, err)
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
	require.NoError(t, f.Close())
}
