package gdb

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// This file plays conversations with QEMU's gdbstub that were recorded. On a host
// with KVM, -record records them anew.

var record = flag.Bool("record", false, "record the conversations in testdata with this host's QEMU")

// ticks is the address of the BIOS's counter of timer interrupts, which is
// written 18 times a second while there is nothing to boot.
const ticks = 0x46c

// session is what a conversation shows of an accelerator.
type session struct {
	refused []string // commands for watchpoints that the stub refuses
	hits    []Stop   // of writes to ticks
}

// converse holds a conversation: five places, two that are not aligned, and
// hits of one, if any come.
func converse(t *testing.T, conn net.Conn, hits int) session {
	t.Helper()
	ctx := t.Context()
	stops := make(chan Stop, 16)
	c, err := New(ctx, conn, func(s Stop) { stops <- s })
	require.NoError(t, err)
	defer c.Close()

	var s session
	watch := func(addr uint64, size int) {
		var refused *Error
		if err := c.Watch(ctx, addr, size); errors.As(err, &refused) {
			s.refused = append(s.refused, refused.Command)
		} else {
			require.NoError(t, err)
		}
	}
	for i := range uint64(5) {
		watch(0x8000+8*i, 8)
	}
	watch(0x9002, 4)
	watch(0x9000, 3)
	require.NoError(t, c.Unwatch(ctx, 0x8000, 8))
	watch(ticks, 4)

	require.Equal(t, Stop{Signal: 2, Thread: 1}, <-stops, "attaching has stopped the guest")
	for range hits {
		require.NoError(t, c.Continue())
		stop := <-stops
		s.hits = append(s.hits, stop)
		require.NoError(t, c.Select(ctx, stop.Thread))
		_, err := c.PC(ctx)
		require.NoError(t, err)
	}
	return s
}

func TestRecordedConversations(t *testing.T) {
	const fifth, odd, three = "Z2,8020,8", "Z2,9002,4", "Z2,9000,3"
	for _, test := range []struct {
		accel   string
		hits    int
		refused []string
	}{
		{"tcg", 3, nil},
		// The KVM that this was recorded on (kvm_pvm) loads no debug registers, so
		// that no hit comes. What the stub accepts is decided by QEMU.
		{"kvm", 0, []string{fifth, odd, three}},
	} {
		t.Run(test.accel, func(t *testing.T) {
			file := filepath.Join("testdata", test.accel+".txt")
			if *record {
				recordConversation(t, test.accel, file, test.hits)
			}
			script, err := os.ReadFile(file)
			require.NoError(t, err)
			ours, theirs := net.Pipe()
			done := conversation(t, theirs, string(script))
			got := converse(t, ours, test.hits)
			require.NoError(t, <-done)
			require.Equal(t, test.refused, got.refused)
			require.Len(t, got.hits, test.hits)
			for _, hit := range got.hits {
				require.Equal(t, Stop{Signal: 5, Thread: 1, Watch: ticks}, hit)
			}
		})
	}
}

// recordConversation starts a QEMU whose BIOS finds nothing to boot, and writes
// what is said to its gdbstub and what it answers into a file.
func recordConversation(t *testing.T, accel, file string, hits int) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "gdb")
	ctx, cancel := context.WithCancel(t.Context())
	qemu := exec.CommandContext(ctx, "qemu-system-x86_64", "-nodefaults", "-display", "none", "-m", "64",
		"-accel", accel, "-cpu", "qemu64", "-gdb", "unix:"+socket+",server=on,wait=off")
	require.NoError(t, qemu.Start())
	defer qemu.Wait()
	defer cancel()
	time.Sleep(20 * time.Second) // for the BIOS to come to its end, on a slow host

	conn, err := net.Dial("unix", socket)
	require.NoError(t, err)
	time.Sleep(time.Second) // for the guest to be stopped by that
	version, err := exec.Command("qemu-system-x86_64", "--version").Output()
	require.NoError(t, err)
	line, _, _ := strings.Cut(string(version), "\n")
	log := &recorder{Conn: conn}
	fmt.Fprintf(&log.said, "# %s, -accel %s\n", line, accel)
	converse(t, log, hits)
	require.NoError(t, os.WriteFile(file, []byte(log.said.String()), 0o644))
}

// recorder notes the packets that go over a connection.
type recorder struct {
	net.Conn
	mu   sync.Mutex // guards what follows
	said strings.Builder
	rest []byte // of what QEMU has sent, no whole packet
}

func (r *recorder) Write(b []byte) (int, error) {
	packet, err := readPacket(bufio.NewReader(bytes.NewReader(b)))
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	fmt.Fprintf(&r.said, "> %s\n", packet)
	r.mu.Unlock()
	return r.Conn.Write(b)
}

func (r *recorder) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = append(r.rest, b[:n]...)
	for {
		whole := bytes.NewReader(r.rest)
		in := bufio.NewReader(whole)
		packet, malformed := readPacket(in)
		if malformed != nil {
			return n, err
		}
		fmt.Fprintf(&r.said, "< %s\n", packet)
		r.rest = r.rest[len(r.rest)-whole.Len()-in.Buffered():]
	}
}
