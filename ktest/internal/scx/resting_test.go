package scx

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProgramRestsWhenAllItsThreadsSleep(t *testing.T) {
	proc := t.TempDir()
	thread := func(pid, tid int, state string, session, switches int) {
		dir := filepath.Join(proc, fmt.Sprint(pid), "task", fmt.Sprint(tid))
		require.NoError(t, os.MkdirAll(dir, 0o755))
		stat := fmt.Sprintf("%d (a) S 1) %s 1 %d %d 0 -1\n", tid, state, pid, session)
		status := fmt.Sprintf("Name:\ta\nvoluntary_ctxt_switches:\t%d\nnonvoluntary_ctxt_switches:\t1\n", switches)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "stat"), []byte(stat), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o600))
	}
	looks := func(r *rest) (n int) {
		for n = 1; !r.look() && n < 10; n++ {
		}
		return n
	}
	r := &rest{proc: proc, session: 7}
	require.Equal(t, 10, looks(r), "there is no such session")

	thread(7, 7, "S", 7, 5)
	thread(7, 8, "S", 7, 6)
	thread(9, 9, "S", 7, 1) // its child
	thread(30, 30, "R", 30, 1)
	require.Equal(t, restLooks, looks(r))

	thread(9, 9, "S", 7, 2)
	require.False(t, r.look(), "it has run")
	require.Equal(t, restLooks-1, looks(r))
	for _, state := range []string{"R", "D", "Z"} {
		thread(9, 9, state, 7, 2)
		require.Equal(t, 10, looks(r), state)
	}
	require.NoError(t, os.RemoveAll(filepath.Join(proc, "9")))
	require.Equal(t, restLooks, looks(r))
}
