package agent

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// payloads returns a group of n programs, which are started.
func payloads(t *testing.T, n int, args ...string) *group {
	t.Helper()
	g := &group{died: make(chan *wire.DiedError, 1), work: wire.Workers{Name: "g", Args: args}}
	for i := range n {
		g.work.Comms = append(g.work.Comms, fmt.Sprintf("g/%d", i))
	}
	t.Cleanup(g.close)
	require.NoError(t, g.start(t.Context(), io.Discard))
	t.Cleanup(func() { require.NoError(t, g.end(nil)) })
	return g
}

func TestPayloadsArePlacedAndMeasuredUntilTheyAreEnded(t *testing.T) {
	g := payloads(t, 2, "sleep", "1000")
	a := new(Agent)
	require.NoError(t, a.enter(g))
	require.ErrorContains(t, a.enter(g), `workers called "g"`)
	nice := 7
	require.NoError(t, a.place(t.Context(), wire.Placement{Workers: "g", Nice: &nice}))

	all := g.measure()
	require.Len(t, all, 2)
	for i, s := range all {
		require.Equal(t, g.work.Comms[i], s.Comm)
		require.False(t, s.Ended)
		require.Positive(t, s.Age)
		raw, err := unix.Getpriority(unix.PRIO_PROCESS, s.PID)
		require.NoError(t, err)
		require.Equal(t, nice, 20-raw, "the system call returns 20 less the nice value")
	}

	require.NoError(t, g.end(nil))
	require.Empty(t, g.died, "they were told to end")
	for i, s := range g.measure() {
		require.True(t, s.Ended)
		require.ErrorIs(t, unix.Kill(all[i].PID, 0), unix.ESRCH)
	}
	g.close()
	require.Nil(t, g.measure(), "their pages are gone")
	a.leave(g)
	require.ErrorContains(t, a.place(t.Context(), wire.Placement{Workers: "g"}), `no workers called "g"`)
}

func TestAPayloadThatFailsIsToldWithWhatItWrote(t *testing.T) {
	g := payloads(t, 1, "sh", "-c", "echo no such policy >&2; exit 3")
	died := <-g.died
	require.EqualError(t, died, fmt.Sprintf("g/0 (pid %d) has ended: exit status 3; it wrote: no such policy", died.PID))
}

func TestAPayloadThatIsDoneHasNotDied(t *testing.T) {
	g := payloads(t, 1, "true")
	<-g.members[0].over
	require.Empty(t, g.died)
	require.True(t, g.measure()[0].Ended)
}

func TestOutputIsReadyOnceAndKeepsBothItsEnds(t *testing.T) {
	o := newOutput()
	require.Empty(t, o.String())
	for _, part := range []string{"rea", "dy\nthe ", "rest"} {
		n, err := o.Write([]byte(part))
		require.NoError(t, err)
		require.Equal(t, len(part), n)
	}
	<-o.ready
	require.Equal(t, "the rest", o.String())

	_, err := o.Write([]byte(ready + strings.Repeat("x", 2*maxOutput) + "end"))
	require.NoError(t, err)
	left := len("the rest"+ready) + len("end") // of the text, beside the letters that are kept
	require.Contains(t, o.String(), fmt.Sprintf("x\n(%d bytes are left out here)\nx", maxOutput+left))
	require.True(t, strings.HasPrefix(o.String(), "the restrea"))
	require.True(t, strings.HasSuffix(o.String(), "xend"))

	var also bytes.Buffer
	payload := newOutput()
	payload.also = &also
	_, err = payload.Write([]byte(ready))
	require.NoError(t, err)
	require.Equal(t, ready, also.String(), "a payload may say so without meaning it")
}
