package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2"}, "capabilities": ["oob"]}}` + "\r\n"

// command is what a fake QEMU gets.
type command struct {
	Execute   string          `json:"execute"`
	Arguments json.RawMessage `json:"arguments"`
	ID        uint64          `json:"id"`
}

// fake is the QEMU end of a connection.
type fake struct {
	conn *net.UnixConn
	in   *bufio.Reader
}

func (f *fake) next() (command, error) {
	line, err := f.in.ReadBytes('\n')
	if err != nil {
		return command{}, err
	}
	var c command
	return c, json.Unmarshal(line, &c)
}

func (f *fake) send(format string, args ...any) {
	fmt.Fprintf(f.conn, format+"\r\n", args...)
}

func (f *fake) ok(id uint64) { f.send(`{"return": {}, "id": %d}`, id) }

func pair(t testing.TB) (ours, theirs *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	conn := func(fd int) *net.UnixConn {
		f := os.NewFile(uintptr(fd), "pair")
		defer f.Close()
		c, err := net.FileConn(f)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		return c.(*net.UnixConn)
	}
	return conn(fds[0]), conn(fds[1])
}

// connect returns a client, and a fake QEMU that serve answers for once
// the client is in command mode.
func connect(t testing.TB, opts Options, serve func(*fake)) *Client {
	t.Helper()
	ours, theirs := pair(t)
	served := make(chan struct{})
	go func() {
		defer close(served)
		f := &fake{conn: theirs, in: bufio.NewReader(theirs)}
		io.WriteString(theirs, greeting)
		c, err := f.next()
		if err != nil || c.Execute != "qmp_capabilities" {
			return
		}
		f.ok(c.ID)
		serve(f)
	}()
	c, err := New(t.Context(), ours, opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		c.Close()
		theirs.Close()
		<-served
	})
	return c
}

// echo answers each command with its name.
func echo(f *fake) {
	for {
		c, err := f.next()
		if err != nil {
			return
		}
		f.send(`{"return": {"did": %q}, "id": %d}`, c.Execute, c.ID)
	}
}

func TestDoDecodesTheResult(t *testing.T) {
	c := connect(t, Options{}, echo)
	var out struct{ Did string }
	require.NoError(t, c.Do(t.Context(), "query-status", nil, &out))
	require.Equal(t, "query-status", out.Did)
	require.Equal(t, "7.2.22 (Debian 1:7.2)", c.Version().String())
}

func TestRepliesFindTheirCallersInAnyOrder(t *testing.T) {
	const calls = 50
	c := connect(t, Options{}, func(f *fake) {
		var got []command
		for range calls {
			c, err := f.next()
			if err != nil {
				return
			}
			got = append(got, c)
		}
		for i := len(got) - 1; i >= 0; i-- {
			f.send(`{"return": {"did": %q}, "id": %d}`, got[i].Execute, got[i].ID)
		}
	})
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			var out struct{ Did string }
			name := fmt.Sprintf("call-%d", i)
			if err := c.Do(t.Context(), name, nil, &out); err != nil || out.Did != name {
				t.Errorf("%s: got %q, %v", name, out.Did, err)
			}
		})
	}
	wg.Wait()
}

func TestRefusalIsTyped(t *testing.T) {
	c := connect(t, Options{}, func(f *fake) {
		c, _ := f.next()
		f.send(`{"error": {"class": "CommandNotFound", "desc": "no such thing"}, "id": %d}`, c.ID)
	})
	err := c.Do(t.Context(), "frobnicate", nil, nil)
	var refused *Error
	require.ErrorAs(t, err, &refused)
	require.Equal(t, Error{Command: "frobnicate", Class: "CommandNotFound", Desc: "no such thing"}, *refused)
	require.EqualError(t, err, "qemu refused frobnicate: no such thing (CommandNotFound)")
}

func TestEventsComeInOrderAndBeforeLaterReplies(t *testing.T) {
	var got []string
	c := connect(t, Options{OnEvent: func(e Event) { got = append(got, e.Name+string(e.Data)) }}, func(f *fake) {
		c, _ := f.next()
		for i := range 100 {
			f.send(`{"timestamp": {"seconds": 1, "microseconds": 2}, "event": "E%d", "data": {"x": %d}}`, i, i)
		}
		f.ok(c.ID)
	})
	require.NoError(t, c.Do(t.Context(), "stop", nil, nil))
	require.Len(t, got, 100)
	for i, e := range got {
		require.Equal(t, fmt.Sprintf(`E%d{"x": %d}`, i, i), e)
	}
}

func TestLargeReplies(t *testing.T) {
	big := strings.Repeat("x", 3<<20)
	c := connect(t, Options{}, func(f *fake) {
		c, _ := f.next()
		f.send(`{"return": %q, "id": %d}`, big, c.ID)
	})
	var out string
	require.NoError(t, c.Do(t.Context(), "query-qmp-schema", nil, &out))
	require.Equal(t, big, out)
}

func TestEndOfConnectionFailsEveryCall(t *testing.T) {
	c := connect(t, Options{}, func(f *fake) {
		for range 3 {
			if _, err := f.next(); err != nil {
				return
			}
		}
		f.conn.Close()
	})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := c.Do(t.Context(), "stop", nil, nil); !errors.Is(err, ErrGone) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	<-c.Done()
	require.ErrorIs(t, c.Do(t.Context(), "cont", nil, nil), ErrGone)
}

func TestContextEndsACallAndNotTheClient(t *testing.T) {
	release := make(chan struct{})
	c := connect(t, Options{}, func(f *fake) {
		late, _ := f.next()
		<-release
		f.send(`{"return": {"did": "late"}, "id": %d}`, late.ID)
		echo(f)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, c.Do(ctx, "slow", nil, nil), context.DeadlineExceeded)
	close(release)
	var out struct{ Did string }
	require.NoError(t, c.Do(t.Context(), "next", nil, &out))
	require.Equal(t, "next", out.Did)
	require.Empty(t, c.waiting)
}

func TestArgumentsAreSent(t *testing.T) {
	got := make(chan string, 1)
	c := connect(t, Options{}, func(f *fake) {
		c, _ := f.next()
		got <- string(c.Arguments)
		f.ok(c.ID)
	})
	args := struct {
		URI string `json:"uri"`
	}{"fd:x"}
	require.NoError(t, c.Do(t.Context(), "migrate", args, nil))
	require.Equal(t, `{"uri":"fd:x"}`, <-got)
}

func TestFilesArePassed(t *testing.T) {
	got := make(chan string, 1)
	c := connect(t, Options{}, func(f *fake) {
		line, rights := make([]byte, 512), make([]byte, 128)
		n, oobn, _, _, err := f.conn.ReadMsgUnix(line, rights)
		if err != nil {
			return
		}
		messages, err := unix.ParseSocketControlMessage(rights[:oobn])
		if err != nil || len(messages) != 1 {
			return
		}
		fds, err := unix.ParseUnixRights(&messages[0])
		if err != nil {
			return
		}
		file := os.NewFile(uintptr(fds[0]), "passed")
		defer file.Close()
		text, _ := io.ReadAll(io.NewSectionReader(file, 0, 100))
		got <- string(text)
		var c command
		json.Unmarshal(line[:n], &c)
		f.ok(c.ID)
	})
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	defer file.Close()
	_, err = file.WriteString("content")
	require.NoError(t, err)
	require.NoError(t, c.SendFile(t.Context(), "f", file))
	require.Equal(t, "content", <-got)
}

func TestGreetingThatNeverComes(t *testing.T) {
	t.Run("silence", func(t *testing.T) {
		ours, _ := pair(t)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := New(ctx, ours, Options{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
	t.Run("end", func(t *testing.T) {
		ours, theirs := pair(t)
		theirs.Close()
		_, err := New(t.Context(), ours, Options{})
		require.ErrorIs(t, err, ErrGone)
	})
	t.Run("another protocol", func(t *testing.T) {
		ours, theirs := pair(t)
		io.WriteString(theirs, "HTTP/1.1 400 Bad Request\r\n")
		_, err := New(t.Context(), ours, Options{})
		require.ErrorContains(t, err, "HTTP/1.1 400")
	})
}

func TestNonsenseEndsTheConnection(t *testing.T) {
	c := connect(t, Options{}, func(f *fake) {
		f.next()
		f.send(`{"return": [}`)
	})
	err := c.Do(t.Context(), "stop", nil, nil)
	require.ErrorIs(t, err, ErrGone)
	require.ErrorContains(t, err, `return`)
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte(greeting))
	f.Add([]byte("{\"return\": {}, \"id\": 1}\r\n{\"event\": \"STOP\", \"timestamp\": {\"seconds\": -1, \"microseconds\": 1}}\n"))
	f.Add([]byte(`{"error": {"class": "GenericError"}, "id": -1}` + "\n"))
	f.Add([]byte("\n\n{\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := newScanner(strings.NewReader(string(data)))
		for range len(data) + 1 {
			m, err := s.next()
			if err != nil {
				return
			}
			m.event()
			var out any
			_ = m.result("fuzz", &out)
		}
		t.Fatal("more messages than bytes")
	})
}

func BenchmarkDo(b *testing.B) {
	c := connect(b, Options{}, echo)
	for b.Loop() {
		if err := c.Do(b.Context(), "stop", nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}
