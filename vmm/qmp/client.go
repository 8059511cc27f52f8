package qmp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// writeTimeout bounds the writing of one command. Commands are a few hundred
// bytes and fit into the socket's buffer unless QEMU has stopped reading.
const writeTimeout = 10 * time.Second

// ErrGone is the error, by errors.Is, of calls whose connection to QEMU has
// ended: QEMU exited, was killed, or the client was closed.
var ErrGone = errors.New("the QMP connection has ended")

// Error is QEMU's refusal of a command.
type Error struct {
	Command string // such as "migrate"
	Class   string // such as "GenericError" or "CommandNotFound"
	Desc    string // QEMU's words
}

func (e *Error) Error() string {
	return fmt.Sprintf("qemu refused %s: %s (%s)", e.Command, e.Desc, e.Class)
}

// Options are what a [Client] may be given.
type Options struct {
	// OnEvent is called for each event, in order, by the goroutine that reads
	// the connection: it must not block and must not call Do.
	OnEvent func(Event)
}

// Client is one QMP connection in command mode.
type Client struct {
	conn    *net.UnixConn
	version Version
	onEvent func(Event)

	// write is held while a command is written, so that commands are not
	// mixed up on the wire.
	write sync.Mutex

	mu      sync.Mutex
	lastID  uint64
	waiting map[uint64]chan<- *message // one buffered slot each

	done chan struct{} // closed when the reader has ended
	err  error         // why; readable once done is closed
}

// New takes over conn, waits for QEMU's greeting and enters command mode. It
// closes conn if that fails.
func New(ctx context.Context, conn *net.UnixConn, opts Options) (*Client, error) {
	c := &Client{
		conn:    conn,
		onEvent: opts.OnEvent,
		waiting: make(map[uint64]chan<- *message),
		done:    make(chan struct{}),
	}
	in := newScanner(conn)
	if err := c.greet(ctx, in); err != nil {
		conn.Close()
		return nil, err
	}
	go c.read(in)
	if err := c.Do(ctx, "qmp_capabilities", nil, nil); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// greet reads the greeting.
func (c *Client) greet(ctx context.Context, in *scanner) error {
	stop := context.AfterFunc(ctx, func() { c.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	m, err := in.next()
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for QEMU's QMP greeting: %w", context.Cause(ctx))
		}
		return fmt.Errorf("waiting for QEMU's QMP greeting: %w: %w", ErrGone, err)
	}
	if m.Greeting == nil {
		return errors.New("waiting for QEMU's QMP greeting: got another message")
	}
	c.version = m.Greeting.Version
	return nil
}

// Version returns QEMU's version.
func (c *Client) Version() Version { return c.version }

// Done returns a channel that is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.done }

// Close ends the connection and waits until the reader has ended. QEMU keeps
// running.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// read delivers messages until the connection ends.
func (c *Client) read(in *scanner) {
	defer close(c.done)
	defer c.conn.Close()
	for {
		m, err := in.next()
		if err != nil {
			c.err = fmt.Errorf("%w: %w", ErrGone, err)
			return
		}
		c.deliver(m)
	}
}

// deliver hands a message to the one who waits for it.
func (c *Client) deliver(m *message) {
	if m.Event != "" {
		if c.onEvent != nil {
			c.onEvent(m.event())
		}
		return
	}
	if m.ID == nil {
		return
	}
	c.mu.Lock()
	reply := c.waiting[*m.ID]
	delete(c.waiting, *m.ID)
	c.mu.Unlock()
	if reply != nil {
		reply <- m
	}
}

// Do runs a command and decodes its result into out, unless out is nil. args
// is marshalled as the command's arguments object, unless it is nil.
//
// The error is an [*Error] if QEMU refused the command, is [ErrGone] if the
// connection ended first, or is ctx's cause. In the last case the command may
// still be carried out.
func (c *Client) Do(ctx context.Context, command string, args, out any) error {
	return c.do(ctx, command, args, out, nil)
}

// SendFile passes a file to QEMU, under a name that migration URIs can refer
// to as "fd:name" (command getfd). QEMU gets its own descriptor of it.
func (c *Client) SendFile(ctx context.Context, name string, f *os.File) error {
	args := struct {
		Name string `json:"fdname"`
	}{name}
	return c.do(ctx, "getfd", args, nil, f)
}

func (c *Client) do(ctx context.Context, command string, args, out any, file *os.File) error {
	if ctx.Err() != nil {
		return fmt.Errorf("qmp %s: %w", command, context.Cause(ctx))
	}
	id, reply := c.expect()
	defer c.forget(id)

	line, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        uint64 `json:"id"`
	}{command, args, id})
	if err != nil {
		return fmt.Errorf("qmp %s: encoding the arguments: %w", command, err)
	}
	if err := c.send(append(line, '\n'), file); err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}

	m, err := c.await(ctx, reply)
	if err != nil {
		return fmt.Errorf("qmp %s: %w", command, err)
	}
	return m.result(command, out)
}

// await returns the reply. A reply that has arrived wins over the connection's
// end.
func (c *Client) await(ctx context.Context, reply <-chan *message) (*message, error) {
	select {
	case m := <-reply:
		return m, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-c.done:
	}
	select {
	case m := <-reply:
		return m, nil
	default:
		return nil, c.err
	}
}

// result decodes a reply.
func (m *message) result(command string, out any) error {
	if m.Error != nil {
		return &Error{Command: command, Class: m.Error.Class, Desc: m.Error.Desc}
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(bytes.NewReader(m.Return)).Decode(out); err != nil {
		return fmt.Errorf("qmp %s: decoding the result %.80q: %w", command, m.Return, err)
	}
	return nil
}

// expect registers for the reply to a new id.
func (c *Client) expect() (uint64, <-chan *message) {
	reply := make(chan *message, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	c.waiting[c.lastID] = reply
	return c.lastID, reply
}

func (c *Client) forget(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// send writes one command, with a file beside its first byte if there is one.
// A command that could not be written whole ends the connection, since what
// follows would not be understood.
func (c *Client) send(line []byte, file *os.File) error {
	c.write.Lock()
	defer c.write.Unlock()
	select {
	case <-c.done:
		return c.err
	default:
	}

	c.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if err := c.writeAll(line, file); err != nil {
		c.conn.Close()
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return nil
}

func (c *Client) writeAll(line []byte, file *os.File) error {
	if file == nil {
		_, err := c.conn.Write(line)
		return err
	}
	n, _, err := c.conn.WriteMsgUnix(line, unix.UnixRights(int(file.Fd())), nil)
	if err != nil {
		return err
	}
	_, err = c.conn.Write(line[n:])
	return err
}
