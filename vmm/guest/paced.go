package guest

import (
	"bytes"
	"context"
	"io"
	"sync"
)

// Paced is a connection with a guest that runs only while somebody waits for it, as
// that of vmm.Calls is.
type Paced interface {
	io.ReadWriteCloser
	// Wait lets the guest run until over returns true, as it then does for good. The
	// guest stands until end is called.
	Wait(over func() bool) (end func())
	// Busy keeps the guest standing until done is called.
	Busy() (done func())
}

// free is the pace of a guest that runs all the time.
type free struct{ io.ReadWriteCloser }

func (free) Wait(func() bool) (end func()) { return func() {} }
func (free) Busy() (done func())           { return func() {} }

// Task is a goroutine of the host's that acts because of what the guest does, beside
// who waits for the guest: such as one that makes a call which lasts. While it acts a guest in
// lockstep stands, so that what it does happens at a moment of the guest's time that does not
// depend on the host. A task acts from the answer to a call that it has made to its
// next call. A nil Task does nothing.
type Task struct {
	client  *Client
	patient bool // it waits for its calls itself

	mu   sync.Mutex
	done func() // not nil while it acts
}

type taskKey struct{}

// Aside returns a task and the context for its calls. They do not make a guest in
// lockstep run, unless the task is patient. It does not act yet.
func (c *Client) Aside(ctx context.Context, patient bool) (context.Context, *Task) {
	t := &Task{client: c, patient: patient}
	return context.WithValue(ctx, taskKey{}, t), t
}

// Act has the task act.
func (t *Task) Act() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done == nil {
		t.done = t.client.pace.Busy()
	}
}

// Rest ends what Act has begun.
func (t *Task) Rest() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.done != nil {
		t.done()
		t.done = nil
	}
}

// taskOf returns the task that a context belongs to, or nil.
func taskOf(ctx context.Context) *Task {
	t, _ := ctx.Value(taskKey{}).(*Task)
	return t
}

// Until lets the guest run until over returns true or ctx ends; see [Paced]. It does
// not wait: who does calls end.
func (c *Client) Until(ctx context.Context, over func() bool) (end func()) {
	return c.pace.Wait(func() bool { return over() || ctx.Err() != nil || closed(c.lost) || interrupted(ctx) })
}

type interruptKey struct{}

// Interrupted returns a context that is about to be canceled when by has come true, by one
// of a guest's tasks: a guest in lockstep stands from then on until who waits for
// it with this context has noticed.
func Interrupted(ctx context.Context, by func() bool) context.Context {
	return context.WithValue(ctx, interruptKey{}, by)
}

func interrupted(ctx context.Context) bool {
	by, _ := ctx.Value(interruptKey{}).(func() bool)
	return by != nil && by()
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Gate is an input without bytes, for a call that lasts until it is closed.
type Gate struct {
	closing, sent chan struct{}

	mu     sync.Mutex
	fed    bool // there is a call whose end closes sent
	closed bool
}

// NewGate returns a gate that is open.
func NewGate() *Gate {
	return &Gate{closing: make(chan struct{}), sent: make(chan struct{})}
}

// Read waits until the gate is closed.
func (g *Gate) Read([]byte) (int, error) {
	<-g.closing
	return 0, io.EOF
}

// Close ends the input of the gate's call, and returns when the guest is about to be told.
func (g *Gate) Close() error {
	g.mu.Lock()
	if !g.closed {
		g.closed = true
		close(g.closing)
	}
	fed := g.fed
	g.mu.Unlock()
	if fed {
		<-g.sent
	}
	return nil
}

// feed notes that a call reads the gate, and reports whether it is closed already.
func (g *Gate) feed() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.fed = true
	return g.closed
}

// lines calls take with each line that is written to it, without its end. What take
// returns ends it.
type lines struct {
	take func([]byte) error
	rest []byte
	err  error
}

// Lines returns a writer that calls take with each line, while it is written.
func Lines(take func(line []byte) error) io.Writer { return &lines{take: take} }

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for l.err == nil {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			return len(p), nil
		}
		l.rest = rest
		l.err = l.take(line)
	}
	return 0, l.err
}
