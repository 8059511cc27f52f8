package guest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// serveOn starts an agent with handlers at the other end of a connection, and
// returns the host's end. The agent ends with the test.
func serveOn(t *testing.T, handlers Handlers) net.Conn {
	t.Helper()
	// Registered first, so that it looks after everything is closed.
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })

	host, guest := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(context.Background(), guest, handlers) }()
	t.Cleanup(func() {
		host.Close()
		select {
		case <-served:
		case <-time.After(10 * time.Second):
			t.Error("the agent does not end with its connection")
		}
	})
	return host
}

func connect(t *testing.T, conn net.Conn) *Client {
	t.Helper()
	c, err := Connect(t.Context(), conn)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

type refusal struct{ Reason string }

func (r *refusal) Error() string { return "refused: " + r.Reason }
func (r *refusal) Code() string  { return "refused" }

// testHandlers are methods that show one thing each.
func testHandlers() Handlers {
	return Handlers{
		"double": func(_ context.Context, c *Call) (any, error) {
			var n int
			if err := c.Decode(&n); err != nil {
				return nil, err
			}
			return 2 * n, nil
		},
		"echo": func(_ context.Context, c *Call) (any, error) {
			n, err := io.Copy(c.Out, c.In)
			return n, err
		},
		"both": func(_ context.Context, c *Call) (any, error) {
			fmt.Fprint(c.Out, "to out")
			fmt.Fprint(c.Err, "to err")
			return nil, nil
		},
		"hang": func(ctx context.Context, c *Call) (any, error) {
			fmt.Fprint(c.Out, "hanging")
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
		"flood": func(_ context.Context, c *Call) (any, error) {
			for {
				if _, err := c.Out.Write(make([]byte, chunk)); err != nil {
					return nil, err
				}
			}
		},
		"panic":  func(context.Context, *Call) (any, error) { panic("at the disco") },
		"refuse": func(context.Context, *Call) (any, error) { return nil, &refusal{"too late"} },
		"open":   func(context.Context, *Call) (any, error) { return os.Open("/no/such/file") },
		"huge":   func(context.Context, *Call) (any, error) { return strings.Repeat("x", maxBody), nil },
		"wordy":  func(context.Context, *Call) (any, error) { return nil, errors.New(strings.Repeat("\x01", 4*maxBody)) },
	}
}

func TestCallReturnsTheResult(t *testing.T) {
	c := connect(t, serveOn(t, testHandlers()))
	var got int
	require.NoError(t, c.Call(t.Context(), "double", 21, &got, Streams{}))
	require.Equal(t, 42, got)
}

func TestStreamsCarryEveryByteInOrder(t *testing.T) {
	c := connect(t, serveOn(t, testHandlers()))
	for _, size := range []int{0, 1, chunk - 1, chunk, chunk + 1, windowSize, 3*windowSize + 17, 5 << 20} {
		sent := make([]byte, size)
		for i := range sent {
			sent[i] = byte(rand.Uint32())
		}
		var back bytes.Buffer
		var n int
		require.NoError(t, c.Call(t.Context(), "echo", nil, &n, Streams{In: bytes.NewReader(sent), Out: &back}))
		require.Equal(t, size, n)
		require.True(t, bytes.Equal(sent, back.Bytes()), "%d bytes came back changed", size)
	}
}

func TestOutAndErrAreApart(t *testing.T) {
	c := connect(t, serveOn(t, testHandlers()))
	var out, errOut strings.Builder
	require.NoError(t, c.Call(t.Context(), "both", nil, nil, Streams{Out: &out, Err: &errOut}))
	require.Equal(t, "to out", out.String())
	require.Equal(t, "to err", errOut.String())
}

func TestCallsRunAtTheSameTime(t *testing.T) {
	c := connect(t, serveOn(t, testHandlers()))
	var calls sync.WaitGroup
	for i := range 50 {
		calls.Go(func() {
			sent := bytes.Repeat([]byte{byte(i)}, 300_000)
			var back bytes.Buffer
			if err := c.Call(t.Context(), "echo", nil, nil, Streams{In: bytes.NewReader(sent), Out: &back}); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(sent, back.Bytes()) {
				t.Errorf("call %d got another one's bytes", i)
			}
		})
	}
	calls.Wait()
}

func TestAReaderThatBlocksHoldsUpItsOwnCallOnly(t *testing.T) {
	c := connect(t, serveOn(t, testHandlers()))
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe() // nobody reads
	flooding := make(chan error, 1)
	go func() { flooding <- c.Call(ctx, "flood", nil, nil, Streams{Out: w}) }()

	for range 100 {
		var got int
		require.NoError(t, c.Call(t.Context(), "double", 1, &got, Streams{}))
	}
	cancel()
	r.Close()
	require.ErrorIs(t, <-flooding, context.Canceled)
}

func TestFailuresAreToldApart(t *testing.T) {
	c := connect(t, serveOn(t, testHandlers()))
	call := func(method string) error { return c.Call(t.Context(), method, "no number", nil, Streams{}) }

	var e *Error
	require.ErrorAs(t, call("refuse"), &e)
	require.Equal(t, "refused", e.Code)
	var r refusal
	require.NoError(t, e.Decode(&r))
	require.Equal(t, "too late", r.Reason)

	err := call("open")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, err, syscall.ENOENT)
	require.NotErrorIs(t, err, syscall.EACCES)
	var failed *Error
	require.ErrorAs(t, err, &failed)
	require.Equal(t, []any{"open", "/no/such/file", syscall.ENOENT}, []any{failed.Op, failed.Path, failed.Errno})
	require.ErrorContains(t, call("open"), "/no/such/file")
	require.ErrorContains(t, call("panic"), "at the disco")
	require.ErrorContains(t, call("huge"), "at most")
	require.ErrorContains(t, call("double"), "parameters of double")
	require.ErrorContains(t, call("nothing"), `no method "nothing"`)
	require.ErrorAs(t, call("wordy"), &e)
	require.NoError(t, c.Call(t.Context(), "double", 1, nil, Streams{}), "a failure costs only its call")
}

// The agent can have ended the session, and the reader noticed it, by the time that either is looked at.
func TestSessionsThatHaveEndedAreOver(t *testing.T) {
	for range 20 {
		c := connect(t, serveOn(t, testHandlers()))
		require.NoError(t, c.frames.write(t.Context(), frame{kind: kindBye}))
		<-c.lost
		require.NoError(t, c.awaitBye(t.Context()))
	}
}

func TestCancelEndsTheHandler(t *testing.T) {
	ended := make(chan error, 1)
	handlers := Handlers{"hang": func(ctx context.Context, c *Call) (any, error) {
		fmt.Fprint(c.Out, "hanging")
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, nil
	}}
	c := connect(t, serveOn(t, handlers))
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	go func() {
		_, _ = io.ReadFull(r, make([]byte, len("hanging")))
		cancel()
	}()

	require.ErrorIs(t, c.Call(ctx, "hang", nil, nil, Streams{Out: w}), context.Canceled)
	require.ErrorIs(t, <-ended, errCanceled)
}

func TestLostGuestFailsCalls(t *testing.T) {
	conn := serveOn(t, testHandlers())
	c := connect(t, conn)
	r, w := io.Pipe()
	go func() {
		_, _ = io.ReadFull(r, make([]byte, len("hanging")))
		conn.Close()
	}()

	require.ErrorIs(t, c.Call(t.Context(), "hang", nil, nil, Streams{Out: w}), ErrLost)
	<-c.Lost()
	require.ErrorIs(t, c.Call(t.Context(), "double", 1, nil, Streams{}), ErrLost)
}

func TestSessionsFollowOneAnotherOnOneConnection(t *testing.T) {
	conn := serveOn(t, testHandlers())
	for range 10 {
		c, err := Connect(t.Context(), conn)
		require.NoError(t, err)
		hanging := make(chan error, 1)
		r, w := io.Pipe()
		go func() { hanging <- c.Call(t.Context(), "hang", nil, nil, Streams{Out: w}) }()
		_, err = io.ReadFull(r, make([]byte, len("hanging")))
		require.NoError(t, err)

		require.NoError(t, c.Quiesce(t.Context()))
		require.Error(t, <-hanging, "Quiesce ends the calls")
		require.ErrorIs(t, c.Call(t.Context(), "double", 1, nil, Streams{}), ErrLost)
	}
}

func TestAfterQuiesceTheAgentIsSilent(t *testing.T) {
	conn := serveOn(t, testHandlers())
	c, err := Connect(t.Context(), conn)
	require.NoError(t, err)
	flooding := make(chan error, 1)
	go func() { flooding <- c.Call(t.Context(), "flood", nil, nil, Streams{}) }()
	require.NoError(t, c.Quiesce(t.Context()))
	<-flooding

	require.NoError(t, conn.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
	n, err := conn.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.Zero(t, n)
}

func TestHelloEndsTheSessionBefore(t *testing.T) {
	stopped := make(chan struct{})
	running := make(chan struct{})
	conn := serveOn(t, Handlers{"hang": func(ctx context.Context, c *Call) (any, error) {
		close(running)
		<-ctx.Done()
		close(stopped)
		return nil, nil
	}})
	// A host that vanishes: it speaks, and never reads again.
	w := newFrameWriter(conn)
	require.NoError(t, w.write(t.Context(), frame{kind: kindHello, body: []byte(`{"Version":1,"Nonce":"old"}`)}))
	_, err := readFrame(conn)
	require.NoError(t, err)
	require.NoError(t, w.write(t.Context(), frame{kind: kindCall, call: 1, body: []byte(`{"Method":"hang"}`)}))
	<-running
	w.close()
	<-w.done

	connect(t, conn)
	<-stopped
}

func TestConnectGivesUpWithItsContext(t *testing.T) {
	host, guest := net.Pipe()
	defer guest.Close()
	go io.Copy(io.Discard, guest) // an agent that never answers
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := Connect(ctx, host)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestHostRefusesAnAgentOfAnotherVersion(t *testing.T) {
	host, guest := net.Pipe()
	go func() {
		defer guest.Close()
		f, err := readFrame(guest)
		if err != nil {
			return
		}
		f.body = bytes.Replace(f.body, []byte(`"Version":1`), []byte(`"Version":7`), 1)
		_, _ = guest.Write(f.encode())
		_, _ = io.Copy(io.Discard, guest)
	}()
	_, err := Connect(t.Context(), host)
	require.ErrorContains(t, err, "different builds")
}
