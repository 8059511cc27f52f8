package guest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Client is the host's end of a connection with an agent. Its methods may be
// called from any goroutine.
type Client struct {
	conn   io.ReadWriteCloser
	pace   Paced // of the guest; conn, or one without effect
	frames *frameWriter
	nonce  string

	greeted chan struct{} // closed when the agent has answered the hello
	bye     chan struct{} // closed when the agent has answered the bye
	lost    chan struct{} // closed when the connection has ended; then err is set
	err     error

	mu     sync.Mutex
	last   uint32 // id of the latest call
	calls  map[uint32]*exchange
	caller string // method of a call to a guest in lockstep that is not a task's
}

// exchange is one call as the host sees it.
type exchange struct {
	task     *Task // that has made it; nil if it is the test itself
	in       *outbox
	out, err *inbox
	cancel   context.CancelCauseFunc
	answer   chan frame    // of capacity 1
	answered chan struct{} // closed when it has come, also when it is taken
}

// ErrLost says that the guest is gone or its agent cannot be understood.
var ErrLost = errors.New("the connection with the guest agent is lost")

// Connect begins a session with the agent at the other end of conn and waits
// until it answers, which is when the guest has booted. The client owns conn
// from then on. If ctx ends first, conn is closed.
func Connect(ctx context.Context, conn io.ReadWriteCloser) (*Client, error) {
	c := &Client{
		conn: conn, pace: free{conn}, nonce: rand.Text(),
		greeted: make(chan struct{}), bye: make(chan struct{}), lost: make(chan struct{}),
		calls: make(map[uint32]*exchange),
	}
	if pace, ok := conn.(Paced); ok {
		c.pace, c.frames, c.nonce = pace, newDirectWriter(conn), "lockstep" // a random one would be in the guest's memory
	} else {
		c.frames = newFrameWriter(conn)
	}
	go c.read() // ends when conn does

	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	body, err := json.Marshal(hello{Version: version, Nonce: c.nonce})
	if err != nil {
		return nil, err
	}
	if err := c.frames.write(ctx, frame{kind: kindHello, body: body}); err != nil {
		conn.Close()
		return nil, fmt.Errorf("greet the guest agent: %w", orContext(ctx, err))
	}
	defer c.Until(ctx, func() bool { return closed(c.greeted) })()
	select {
	case <-c.greeted:
		return c, nil
	case <-c.lost:
		conn.Close()
		return nil, fmt.Errorf("wait for the guest agent: %w", orContext(ctx, c.err))
	}
}

// orContext returns the context's error if it has ended, since that is why
// whatever else failed then.
func orContext(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// Lost is closed when the connection has ended.
func (c *Client) Lost() <-chan struct{} { return c.lost }

// Close ends the connection. Calls that are running fail with ErrLost.
func (c *Client) Close() error {
	err := c.conn.Close()
	<-c.lost
	return err
}

// Quiesce ends the session: every call is stopped, and when Quiesce returns
// the agent sends nothing more and waits for the next [Connect]. The client
// cannot be used afterwards; the connection stays open, also on the guest's
// side, and belongs to the caller again.
func (c *Client) Quiesce(ctx context.Context) error {
	if err := c.frames.write(ctx, frame{kind: kindBye}); err != nil {
		return fmt.Errorf("end the session with the guest agent: %w", err)
	}
	return c.awaitBye(ctx)
}

// awaitBye waits until the agent has ended the session, which it may have.
func (c *Client) awaitBye(ctx context.Context) error {
	defer c.Until(ctx, func() bool { return closed(c.bye) })()
	select {
	case <-c.bye:
		<-c.lost // the reader is done with conn
		return nil
	case <-c.lost:
		if closed(c.bye) { // after which the reader ends
			return nil
		}
		return fmt.Errorf("end the session with the guest agent: %w", c.err)
	case <-ctx.Done():
		return fmt.Errorf("wait until the guest agent has ended its session: %w", context.Cause(ctx))
	}
}

// Streams are the bytes that flow while a call lasts. A writer that blocks
// holds up its own call only. A reader that blocks must be made to return by
// the caller.
type Streams struct {
	In       io.Reader // sent to the handler; nil sends nothing
	Out, Err io.Writer // what it sends; nil discards
}

// Call performs a method in the guest and waits for it. params and result are
// encoded as JSON; either may be nil. A failure in the guest is an *[Error];
// if the guest is gone the error is [ErrLost]. When ctx ends, the call is
// canceled in the guest and Call returns without waiting for that.
func (c *Client) Call(ctx context.Context, method string, params, result any, s Streams) error {
	leave, err := c.enterAlone(ctx, method)
	if err != nil {
		return err
	}
	defer leave()
	x, id, err := c.begin(ctx, method, params)
	if err != nil {
		return err
	}
	defer c.end(id, x)
	x.in.start(s.In)
	defer c.await(ctx, x)()

	var pumps sync.WaitGroup
	pumps.Go(func() { pump(s.Out, x.out) })
	pumps.Go(func() { pump(s.Err, x.err) })
	f, err := c.wait(ctx, method, id, x)
	x.out.finish(io.EOF) // every data frame of a call comes before its answer
	x.err.finish(io.EOF)
	pumps.Wait()
	if err != nil {
		return err
	}
	return decodeAnswer(method, f, result)
}

// await lets the guest run until a call is answered, unless it is a task's, which rests
// now.
func (c *Client) await(ctx context.Context, x *exchange) (end func()) {
	if x.task != nil {
		x.task.Rest()
		if !x.task.patient {
			return func() {}
		}
	}
	return c.Until(ctx, func() bool { return closed(x.answered) })
}

// enterAlone makes a second goroutine that calls a guest in lockstep fail, unless it
// is a task's: which of the two comes first is the host's to decide.
func (c *Client) enterAlone(ctx context.Context, method string) (leave func(), err error) {
	if c.frames.direct == nil || taskOf(ctx) != nil {
		return func() {}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.caller != "" {
		return nil, &ConcurrentError{Method: method, Other: c.caller}
	}
	c.caller = method
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.caller = ""
	}, nil
}

// ConcurrentError is a call of a guest in lockstep beside another one.
type ConcurrentError struct {
	Method, Other string
}

func (e *ConcurrentError) Error() string {
	return fmt.Sprintf("guest: %s: another goroutine calls the guest at the same time (%s), and which of the two comes first would not be repeated: call a guest in lockstep from one goroutine, or boot it without ktest.Config.Seed", e.Method, e.Other)
}

// pump copies a stream to w, and keeps reading when w fails so that the call
// goes on.
func pump(w io.Writer, in *inbox) {
	if w != nil {
		if _, err := io.Copy(w, struct{ io.Reader }{in}); err == nil {
			return
		}
	}
	_, _ = io.Copy(io.Discard, struct{ io.Reader }{in})
}

func (c *Client) begin(ctx context.Context, method string, params any) (*exchange, uint32, error) {
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, 0, fmt.Errorf("parameters of %s: %w", method, err)
	}
	body, err := json.Marshal(callBody{Method: method, Params: raw})
	if err != nil {
		return nil, 0, fmt.Errorf("parameters of %s: %w", method, err)
	}

	x, id := c.enter(ctx)
	if err := c.frames.write(ctx, frame{kind: kindCall, call: id, body: body}); err != nil {
		c.end(id, x)
		return nil, 0, c.failed(method, err)
	}
	return x, id, nil
}

func (c *Client) enter(ctx context.Context) (*exchange, uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	id := c.last
	ctx, cancel := context.WithCancelCause(ctx)
	x := &exchange{task: taskOf(ctx), cancel: cancel, answer: make(chan frame, 1), answered: make(chan struct{})}
	x.in = newOutbox(ctx, c.frames, id, channelIn)
	x.out = newInbox(sendWindow(ctx, c.frames, id, channelOut))
	x.err = newInbox(sendWindow(ctx, c.frames, id, channelErr))
	x.in.busy, x.out.busy, x.err.busy = c.pace.Busy, c.pace.Busy, c.pace.Busy
	c.calls[id] = x
	return x, id
}

func (c *Client) end(id uint32, x *exchange) {
	c.mu.Lock()
	delete(c.calls, id)
	c.mu.Unlock()
	x.cancel(errCanceled)
}

// wait returns the answer to a call.
func (c *Client) wait(ctx context.Context, method string, id uint32, x *exchange) (frame, error) {
	select {
	case f := <-x.answer:
		return f, nil
	case <-c.lost:
		select {
		case f := <-x.answer: // the answer was the last thing that came
			return f, nil
		default:
			return frame{}, c.failed(method, c.err)
		}
	case <-ctx.Done():
		select {
		case f := <-x.answer: // it came first, as far as anyone can tell
			return f, nil
		default:
		}
		c.cancel(id)
		return frame{}, fmt.Errorf("guest: %s: %w", method, context.Cause(ctx))
	}
}

// cancel tells the guest that a call was given up. It waits for nobody.
func (c *Client) cancel(id uint32) {
	write := func() { _ = c.frames.write(context.Background(), frame{kind: kindCancel, call: id}) }
	if c.frames.direct != nil {
		write()
		return
	}
	go write() // ends when the guest reads it, or with the connection
}

func (c *Client) failed(method string, err error) error {
	if errors.Is(err, ErrLost) {
		return fmt.Errorf("guest: %s: %w", method, err)
	}
	return fmt.Errorf("guest: %s: %w: %w", method, ErrLost, err)
}

func decodeAnswer(method string, f frame, result any) error {
	if f.kind == kindError {
		e := new(Error)
		if err := json.Unmarshal(f.body, e); err != nil {
			return fmt.Errorf("guest: %s failed, and its error cannot be read: %w", method, err)
		}
		return e
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(f.body, result); err != nil {
		return fmt.Errorf("guest: result of %s: %w", method, err)
	}
	return nil
}

// read takes frames off the connection until it ends.
func (c *Client) read() {
	defer close(c.lost)
	defer func() { c.frames.close(); <-c.frames.done }()
	for {
		f, err := readFrame(c.conn)
		if err != nil {
			c.err = fmt.Errorf("%w: %w", ErrLost, unexpected(err))
			c.conn.Close() // which ends a write that is blocked
			return
		}
		if f.kind == kindBye {
			c.err = fmt.Errorf("%w: the session was ended", ErrLost)
			close(c.bye)
			return
		}
		if err := c.dispatch(f); err != nil {
			c.err = fmt.Errorf("%w: %w", ErrLost, err)
			c.conn.Close()
			return
		}
	}
}

func (c *Client) dispatch(f frame) error {
	if f.kind == kindHello {
		return c.welcome(f)
	}
	select {
	case <-c.greeted:
	default:
		return nil // left over from an earlier session
	}

	c.mu.Lock()
	x := c.calls[f.call]
	c.mu.Unlock()
	if x == nil {
		return nil // of a call that was given up
	}
	return x.deliver(f)
}

// welcome takes the agent's hello. One with another nonce answers the hello of
// an earlier session.
func (c *Client) welcome(f frame) error {
	var h hello
	if err := json.Unmarshal(f.body, &h); err != nil {
		return malformed("hello: %v", err)
	}
	if h.Nonce != c.nonce {
		return nil
	}
	if h.Version != version {
		return malformed("the agent speaks version %d, the host version %d: they are different builds", h.Version, version)
	}
	select {
	case <-c.greeted:
		return malformed("second hello")
	default:
		close(c.greeted)
		return nil
	}
}

func (x *exchange) deliver(f frame) error {
	switch {
	case f.kind == kindResult || f.kind == kindError:
		if closed(x.answered) {
			return malformed("call %d is answered twice", f.call)
		}
		x.task.Act()
		close(x.answered)
		x.answer <- f
		return nil
	case f.kind == kindData && f.channel == channelOut:
		return x.out.put(f.body)
	case f.kind == kindData && f.channel == channelErr:
		return x.err.put(f.body)
	case f.kind == kindEOF && f.channel != channelIn:
		return nil // the answer ends both streams
	case f.kind == kindWindow && f.channel == channelIn:
		return x.in.openBy(f)
	}
	return malformed("frame kind %d on channel %d is not for the host", f.kind, f.channel)
}
