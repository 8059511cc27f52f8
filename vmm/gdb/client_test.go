package gdb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// conversation plays a recorded conversation: lines "> data" are what the
// client has to send, lines "< data" what the stub answers.
func conversation(t *testing.T, conn net.Conn, script string) <-chan error {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		defer conn.Close()
		in := bufio.NewReader(conn)
		for line := range strings.Lines(script) {
			line = strings.TrimSpace(line)
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			direction, data, _ := strings.Cut(line, " ")
			if direction == "<" {
				if _, err := conn.Write(append([]byte("+"), frame(data)...)); err != nil {
					done <- err
					return
				}
				continue
			}
			got, err := readPacket(in)
			if err == nil && got != data {
				err = fmt.Errorf("the client sent %q, not %q", got, data)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	return done
}

func dial(t *testing.T, script string, onStop func(Stop)) (*Client, <-chan error) {
	t.Helper()
	ours, theirs := net.Pipe()
	done := conversation(t, theirs, script)
	c, err := New(t.Context(), ours, onStop)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c, done
}

func TestStopIsToldBeforeTheReplyThatFollowsIt(t *testing.T) {
	var seen []Stop
	c, _ := dial(t, "> qC\n< QC01\n> c\n> qC\n< T02thread:01;\n< QC01\n", func(s Stop) { seen = append(seen, s) })
	require.NoError(t, c.Continue())
	require.NoError(t, c.Sync(t.Context()))
	require.Equal(t, []Stop{{Signal: 2, Thread: 1}}, seen)
}

func TestRepliesThatMakeNoSenseAreErrors(t *testing.T) {
	short := strings.Repeat("0", 2*ripAt)
	for _, test := range []struct{ name, script, want string }{
		{"short registers", "> g\n< " + short + "\n", "refused g: 000"},
		{"registers that are no numbers", "> g\n< " + strings.Repeat("x", 2*ripAt+16) + "\n", "refused g: xxx"},
		{"unknown command", "> g\n< \n", "does not know g"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, _ := dial(t, "> qC\n< QC01\n"+test.script, func(Stop) {})
			_, err := c.PC(t.Context())
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestEndOfTheConnectionEndsCalls(t *testing.T) {
	c, done := dial(t, "> qC\n< QC01\n> z2,10,8\n", func(Stop) {})
	require.ErrorIs(t, c.Unwatch(t.Context(), 16, 8), ErrGone)
	require.NoError(t, <-done)
	<-c.Done()
	require.ErrorIs(t, c.Continue(), ErrGone)
}

func TestContextEndsACallWithoutAReply(t *testing.T) {
	ours, theirs := net.Pipe()
	go io.Copy(io.Discard, theirs)
	defer theirs.Close()
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(10*time.Millisecond, func() { cancel(cause) })
	_, err := New(ctx, ours, func(Stop) {})
	require.ErrorIs(t, err, cause)
}

func TestUnwantedReplyEndsTheConnection(t *testing.T) {
	c, _ := dial(t, "> qC\n< QC01\n> c\n< OK\n< OK\n", func(Stop) {})
	require.NoError(t, c.Continue())
	<-c.Done()
	require.ErrorIs(t, c.Sync(t.Context()), ErrGone)
}

func TestPacketsAreReadAsTheyWereWritten(t *testing.T) {
	for _, test := range []struct{ wire, want string }{
		{"$OK#9a", "OK"},
		{"+++$OK#9a", "OK"},
		{"$#00", ""},
		{"$0* #7a", "0000"},
		{"$}]#da", "}"},
	} {
		got, err := readPacket(bufio.NewReader(strings.NewReader(test.wire)))
		require.NoError(t, err, test.wire)
		require.Equal(t, test.want, got, test.wire)
	}
	for _, wire := range []string{"x", "$OK#9b", "$OK#xx", "$*!#4b", "$}#7d", "$0*#5a", "$" + strings.Repeat("0", maxPacket+1)} {
		_, err := readPacket(bufio.NewReader(strings.NewReader(wire)))
		require.ErrorIs(t, err, ErrProtocol, "%.20q", wire)
	}
	for _, wire := range []string{"$OK", "$OK#9", "$}", "$0*"} {
		_, err := readPacket(bufio.NewReader(strings.NewReader(wire)))
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, wire)
	}
}

func FuzzPacket(f *testing.F) {
	f.Add("+$T05thread:p01.02;watch:ffffffff83207a00;#00")
	f.Add("$S02#b5")
	f.Add("$0*~#00")
	f.Fuzz(func(t *testing.T, wire string) {
		in := bufio.NewReader(strings.NewReader(wire))
		for {
			packet, err := readPacket(in)
			if err != nil {
				return
			}
			if len(packet) > maxPacket+128 {
				t.Fatalf("a packet of %d bytes", len(packet))
			}
			if isStop(packet) {
				_, _ = parseStop(packet)
			}
		}
	})
}

func TestStopRepliesAreUnderstood(t *testing.T) {
	for _, test := range []struct {
		packet string
		want   Stop
	}{
		{"S05", Stop{Signal: 5}},
		{"T05thread:p01.02;watch:ffffffff83207a00;", Stop{Signal: 5, Thread: 2, Watch: 0xffffffff83207a00}},
		{"T02thread:01;", Stop{Signal: 2, Thread: 1}},
		{"T05core:3;thread:0a;awatch:10;", Stop{Signal: 5, Thread: 10, Watch: 16}},
	} {
		got, err := parseStop(test.packet)
		require.NoError(t, err, test.packet)
		require.Equal(t, test.want, got, test.packet)
	}
	for _, packet := range []string{"T", "Txx", "T05thread:;", "T05thread:zz;", "T05watch:;", "T05thread:10000;"} {
		_, err := parseStop(packet)
		require.ErrorIs(t, err, ErrProtocol, packet)
	}
}
