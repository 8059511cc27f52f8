package guest

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stepped is a connection whose guest runs only while it is waited for: what the host
// writes is kept back until then, and what the guest writes stops it.
type stepped struct {
	guest net.Conn // the host's end of a pipe

	mu    sync.Mutex
	out   []byte
	waits map[*func() bool]bool
	busy  int
	steps []int // bytes that the guest got each time it was let go
	read  bool  // the host waits for bytes
	turn  sync.Cond
}

func newStepped(t *testing.T, handlers Handlers) *stepped {
	host, agent := net.Pipe()
	s := &stepped{guest: host, waits: make(map[*func() bool]bool)}
	s.turn.L = &s.mu
	served := make(chan struct{})
	go func() { defer close(served); _ = Serve(context.Background(), agent, handlers) }()
	t.Cleanup(func() { agent.Close(); host.Close(); <-served })
	return s
}

func (s *stepped) Read(p []byte) (int, error) {
	s.mu.Lock()
	s.read = true
	for !s.runs() {
		s.turn.Wait()
	}
	out := s.out
	s.out, s.read = nil, false
	s.steps = append(s.steps, len(out))
	s.mu.Unlock()
	if len(out) > 0 {
		go s.guest.Write(out) // ends when the guest has read it, or with the pipe
	}
	return s.guest.Read(p)
}

func (s *stepped) runs() bool {
	for over := range s.waits {
		if (*over)() {
			return false
		}
	}
	return s.read && len(s.waits) > 0 && s.busy == 0
}

func (s *stepped) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.out = append(s.out, p...)
	return len(p), nil
}

func (s *stepped) Close() error { return s.guest.Close() }

func (s *stepped) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.turn.Broadcast()
}

func (s *stepped) Wait(over func() bool) (end func()) {
	s.change(func() { s.waits[&over] = true })
	return func() { s.change(func() { delete(s.waits, &over) }) }
}

func (s *stepped) Busy() (done func()) {
	s.change(func() { s.busy++ })
	return sync.OnceFunc(func() { s.change(func() { s.busy-- }) })
}

// count returns how often the guest was let go.
func (s *stepped) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.steps)
}

func connectStepped(t *testing.T, handlers Handlers) (*Client, *stepped) {
	t.Helper()
	s := newStepped(t, handlers)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c, err := Connect(ctx, s)
	require.NoError(t, err)
	return c, s
}

// echo sends back what it gets.
func echo(_ context.Context, c *Call) (any, error) {
	_, err := io.Copy(c.Out, c.In)
	return "done", err
}

func TestAGuestInLockstepRunsOnlyDuringCalls(t *testing.T) {
	c, s := connectStepped(t, Handlers{"echo": echo})
	for range 3 {
		before := s.count()
		var answer string
		require.NoError(t, c.Call(t.Context(), "echo", nil, &answer, Streams{}))
		require.Equal(t, "done", answer)
		require.Greater(t, s.count(), before)
		stands := s.count()
		require.NoError(t, c.frames.write(t.Context(), frame{kind: kindCancel, call: 99}))
		require.Equal(t, stands, s.count(), "nobody waits")
	}
}

// A call that lasts does not make the guest run, and its end is told when it is waited for.
func TestATaskDoesNotMakeAGuestInLockstepRun(t *testing.T) {
	c, s := connectStepped(t, Handlers{"echo": echo})
	before := s.count()
	ctx, task := c.Aside(t.Context(), false)
	task.Act()
	gate, over := NewGate(), make(chan struct{})
	go func() { // ends when the gate is closed
		defer task.Rest()
		defer close(over)
		_ = c.Call(ctx, "echo", nil, nil, Streams{In: gate})
	}()
	require.NoError(t, c.Call(t.Context(), "echo", nil, nil, Streams{}))
	require.False(t, closed(over))
	require.Greater(t, s.count(), before)
	stands := s.count()
	require.NoError(t, gate.Close())
	require.Equal(t, stands, s.count(), "nobody waits")
	end := c.Until(t.Context(), func() bool { return closed(over) })
	<-over
	end()
}

func TestTwoGoroutinesCannotCallAGuestInLockstep(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	c, _ := connectStepped(t, Handlers{"wait": func(context.Context, *Call) (any, error) {
		close(entered)
		<-leave
		return nil, nil
	}})
	first := make(chan error, 1)
	go func() { first <- c.Call(context.Background(), "wait", nil, nil, Streams{}) }()
	<-entered
	concurrent := (*ConcurrentError)(nil)
	require.ErrorAs(t, c.Call(t.Context(), "other", nil, nil, Streams{}), &concurrent)
	require.Equal(t, ConcurrentError{Method: "other", Other: "wait"}, *concurrent)
	close(leave)
	require.NoError(t, <-first)
}

func TestLinesAreTakenWhole(t *testing.T) {
	var got []string
	w := Lines(func(line []byte) error { got = append(got, string(line)); return nil })
	for _, piece := range []string{"a", "b\nc\n\nd", "e", "\n", "rest"} {
		n, err := io.WriteString(w, piece)
		require.NoError(t, err)
		require.Equal(t, len(piece), n)
	}
	require.Equal(t, []string{"ab", "c", "", "de"}, got)
}
