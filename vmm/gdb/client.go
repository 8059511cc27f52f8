package gdb

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// ErrGone is the error, by errors.Is, of calls whose connection to the stub has
// ended.
var ErrGone = errors.New("the connection to QEMU's gdbstub has ended")

// Error is the stub's refusal of a command.
type Error struct {
	Command string // such as "Z2,ffffffff83207a00,8"
	Reply   string // such as "E22"; empty for a command that it does not know
}

func (e *Error) Error() string {
	if e.Reply == "" {
		return fmt.Sprintf("QEMU's gdbstub does not know %s", e.Command)
	}
	return fmt.Sprintf("QEMU's gdbstub refused %s: %.80s", e.Command, e.Reply)
}

// writeTimeout bounds the writing of one command.
const writeTimeout = 10 * time.Second

// Client is one connection to a stub. Its methods may be called from any
// goroutine, but only while the guest stands still.
type Client struct {
	conn   net.Conn
	onStop func(Stop)

	turn sync.Mutex // held from a command to its reply

	replies chan string
	done    chan struct{} // closed when the reader has ended
	err     error         // why; readable once done is closed
}

// New takes over conn and waits until the stub answers. onStop is called
// for each stop that the stub tells of, by the goroutine that reads the
// connection: it must not block and must not call the client. A stop that a
// method's reply comes after has been told by then.
//
// New closes conn if it fails.
func New(ctx context.Context, conn net.Conn, onStop func(Stop)) (*Client, error) {
	c := &Client{conn: conn, onStop: onStop, replies: make(chan string, 1), done: make(chan struct{})}
	go c.read()
	if err := c.Sync(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("greeting QEMU's gdbstub: %w", err)
	}
	return c, nil
}

// Done returns a channel that is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection and waits until the reader has ended.
func (c *Client) Close() {
	c.conn.Close()
	<-c.done
}

// read delivers packets until the connection ends. They are not acknowledged:
// QEMU takes the next command for that, and a byte that it does not expect
// while vCPUs run stops them (gdb_read_byte, gdbstub/gdbstub.c).
func (c *Client) read() {
	defer close(c.done)
	defer c.conn.Close()
	in := bufio.NewReader(c.conn)
	for {
		packet, err := readPacket(in)
		if err == nil && isStop(packet) {
			var stop Stop
			if stop, err = parseStop(packet); err == nil {
				c.onStop(stop)
				continue
			}
		}
		if err != nil {
			c.err = fmt.Errorf("%w: %w", ErrGone, err)
			return
		}
		select {
		case c.replies <- packet:
		default:
			c.err = fmt.Errorf("%w: %w: a reply that nobody asked for: %.80q", ErrGone, ErrProtocol, packet)
			return
		}
	}
}

func (c *Client) write(b []byte) error {
	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.conn.Write(b); err != nil {
		c.conn.Close() // half a packet makes nonsense of the next
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return nil
}

// do runs a command and returns its reply. A reply that does not come in time
// ends the connection, since nothing tells it from the next one's.
func (c *Client) do(ctx context.Context, command string) (string, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.write(frame(command)); err != nil {
		return "", fmt.Errorf("gdb %s: %w", command, err)
	}
	reply, err := c.await(ctx)
	if err != nil {
		return "", fmt.Errorf("gdb %s: %w", command, err)
	}
	return reply, nil
}

// await returns the reply. One that has arrived wins over the connection's end.
func (c *Client) await(ctx context.Context) (string, error) {
	select {
	case reply := <-c.replies:
		return reply, nil
	case <-ctx.Done():
		c.conn.Close()
		return "", context.Cause(ctx)
	case <-c.done:
	}
	select {
	case reply := <-c.replies:
		return reply, nil
	default:
		return "", c.err
	}
}

// ok runs a command whose reply is OK.
func (c *Client) ok(ctx context.Context, command string) error {
	reply, err := c.do(ctx, command)
	if err != nil {
		return err
	}
	if reply != "OK" {
		return &Error{Command: command, Reply: reply}
	}
	return nil
}

// Watch stops the guest after each write of a vCPU to the size bytes at the
// virtual address addr. Writes of devices and of the host are not seen.
//
// The stub refuses with an [*Error] what it cannot watch: under KVM more than
// four places, and places that are not aligned to a size of 1, 2, 4 or 8.
func (c *Client) Watch(ctx context.Context, addr uint64, size int) error {
	return c.ok(ctx, fmt.Sprintf("Z2,%x,%x", addr, size))
}

// Unwatch takes back a Watch of the same address and size.
func (c *Client) Unwatch(ctx context.Context, addr uint64, size int) error {
	return c.ok(ctx, fmt.Sprintf("z2,%x,%x", addr, size))
}

// Where x86-64's instruction pointer is among the registers that g returns,
// in bytes: after the 16 general ones (gdb-xml/i386-64bit.xml of QEMU).
const ripAt = 16 * 8

// Select makes a vCPU, numbered from 1, the one that PC and Read look at.
func (c *Client) Select(ctx context.Context, thread int) error {
	return c.ok(ctx, fmt.Sprintf("Hg%x", thread))
}

// PC returns the address of the instruction that the selected vCPU is to run
// next. After a watchpoint it is that after the one that wrote.
func (c *Client) PC(ctx context.Context) (uint64, error) {
	reply, err := c.do(ctx, "g")
	if err != nil {
		return 0, err
	}
	raw, err := hex.DecodeString(reply)
	if err != nil || len(raw) < ripAt+8 {
		return 0, &Error{Command: "g", Reply: reply}
	}
	return binary.LittleEndian.Uint64(raw[ripAt:]), nil
}

// Sync returns when every stop that the stub has told of has been passed on.
func (c *Client) Sync(ctx context.Context) error {
	const command = "qC"
	reply, err := c.do(ctx, command)
	if err == nil && !strings.HasPrefix(reply, "QC") {
		err = &Error{Command: command, Reply: reply}
	}
	return err
}

// Continue lets the guest go. It returns at once, maybe before vCPUs run.
func (c *Client) Continue() error {
	c.turn.Lock()
	defer c.turn.Unlock()
	if err := c.write(frame("c")); err != nil {
		return fmt.Errorf("gdb c: %w", err)
	}
	return nil
}
