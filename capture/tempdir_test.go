package capture_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// spillerEnv makes the test binary a process whose store has spilled, and which
// does not get done before its input ends.
const spillerEnv = "KTGEN_TEST_SPILLER"

func TestMain(m *testing.M) {
	if os.Getenv(spillerEnv) != "" {
		s := capture.New(capture.Options{Memory: 1})
		for i := range 2 {
			if err := s.Add(captureOf(fmt.Sprint(i), i, snapshot("x", 4<<10, 1))); err != nil {
				panic(err)
			}
		}
		fmt.Println("spilled")
		io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(m.Run())
}

func TestFilesOfAKilledProcessAreRemovedByTheNext(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	spiller := exec.Command(os.Args[0])
	spiller.Env = append(os.Environ(), spillerEnv+"=1")
	out, err := spiller.StdoutPipe()
	require.NoError(t, err)
	_, err = spiller.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, spiller.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "spilled\n", line)
	files := func() []string {
		found, err := filepath.Glob(filepath.Join(temp, "ktgen-captures-*", "*.ktsnap"))
		require.NoError(t, err)
		return found
	}
	of := files()
	require.Len(t, of, 1)

	spill := func() {
		s := capture.New(capture.Options{Memory: 1})
		fill(t, s, 2, 4<<10)
		require.Contains(t, fmt.Sprint(s.Events()), "was written to")
		require.NoError(t, s.Close())
	}
	spill()
	require.Equal(t, of, files(), "those of a process that runs stay")
	require.NoError(t, spiller.Process.Kill())
	spiller.Wait()
	require.Equal(t, of, files(), "a killed process removes nothing")
	spill()
	left, err := os.ReadDir(temp)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A store is bounded by what its snapshots really take, the kernel's objects and
// symbols included.
func TestStoresAreBoundedByAllThatSnapshotsHold(t *testing.T) {
	const bound, each, captures = 16 << 20, 4 << 20, 20
	s := newStore(t, capture.Options{Memory: bound, Dir: t.TempDir()})
	before := heap()
	for i := range captures {
		snap := snapshot(fmt.Sprint(i), 1, byte(i))
		for range 1000 {
			snap.Kernel = append(snap.Kernel, ktsnap.KernelObject{
				Addr: 1 << 40, Name: "task_struct", Type: &ctype.Shape{Kind: ctype.KindStruct, Name: "task_struct", Size: each / 1000}, Data: make([]byte, each/1000),
			})
		}
		require.NoError(t, s.Add(captureOf(fmt.Sprint(i), i, snap)))
	}
	require.GreaterOrEqual(t, len(s.Events()), captures-bound/each, "as many went to files as do not fit")
	require.Less(t, heap()-before, int64(2*bound))
	for _, c := range s.Captures() {
		snap, err := c.Read()
		require.NoError(t, err)
		require.Len(t, snap.Kernel, 1000, c.Name)
	}
}

// heap returns the bytes that are in use.
func heap() int64 {
	goruntime.GC()
	var stats goruntime.MemStats
	goruntime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}
