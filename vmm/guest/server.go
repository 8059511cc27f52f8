package guest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
)

// Handler performs the calls of one method. Its result, which may be nil, goes
// to the host as JSON. ctx ends when the host cancels the call or the session
// ends; the handler must then return.
type Handler func(ctx context.Context, c *Call) (result any, err error)

// Handlers maps methods to what performs them.
type Handlers map[string]Handler

// Call is one call as its handler sees it.
type Call struct {
	// In carries the bytes that the host sends along, up to io.EOF.
	In io.Reader
	// Out and Err carry bytes to the host while the call lasts. Each is for
	// one goroutine at a time.
	Out, Err io.Writer

	method string
	params json.RawMessage

	id       uint32
	in       *inbox
	out, err *outbox
	cancel   context.CancelCauseFunc
}

// Decode fills v from the parameters of the call.
func (c *Call) Decode(v any) error {
	if err := json.Unmarshal(c.params, v); err != nil {
		return fmt.Errorf("parameters of %s: %w", c.method, err)
	}
	return nil
}

// errCanceled ends a call that the host has given up.
var errCanceled = errors.New("canceled by the host")

// errSessionOver ends the calls of a session that has been replaced.
var errSessionOver = errors.New("the session has ended")

// maxCalls bounds the calls that run at a time.
const maxCalls = 1024

// Serve answers the frames that come from conn until it ends. It returns nil
// at a clean end, and stops the calls that are still running first.
func Serve(ctx context.Context, conn io.ReadWriter, handlers Handlers) error {
	s := &server{ctx: ctx, frames: newFrameWriter(conn), handlers: handlers}
	defer s.frames.close()
	defer s.endSession()
	for {
		f, err := readFrame(conn)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from the host: %w", err)
		}
		if err := s.handle(f); err != nil {
			return err
		}
	}
}

// server is the guest's end of a connection. The goroutine in Serve reads
// frames; each call runs in its own.
type server struct {
	ctx      context.Context // of Serve
	frames   *frameWriter
	handlers Handlers

	running sync.WaitGroup // the calls of the session

	mu    sync.Mutex
	calls map[uint32]*Call // nil between sessions
}

func (s *server) handle(f frame) error {
	switch f.kind {
	case kindHello:
		return s.beginSession(f)
	case kindBye:
		s.endSession()
		return s.frames.write(s.ctx, frame{kind: kindBye})
	case kindCall:
		return s.start(f)
	case kindData, kindEOF, kindWindow, kindCancel:
		return s.deliver(f)
	}
	return malformed("frame kind %d is not for the guest", f.kind)
}

func (s *server) beginSession(f frame) error {
	s.endSession()
	var h hello
	if err := json.Unmarshal(f.body, &h); err != nil {
		return malformed("hello: %v", err)
	}

	s.mu.Lock()
	s.calls = make(map[uint32]*Call)
	s.mu.Unlock()
	body, err := json.Marshal(hello{Version: version, Nonce: h.Nonce})
	if err != nil {
		return err
	}
	return s.frames.write(s.ctx, frame{kind: kindHello, body: body})
}

// endSession stops all calls and waits for them, so that no frame of theirs
// follows.
func (s *server) endSession() {
	s.mu.Lock()
	for _, c := range s.calls {
		c.stop(errSessionOver)
	}
	s.calls = nil
	s.mu.Unlock()
	s.running.Wait()
}

// stop makes the call's handler return.
func (c *Call) stop(reason error) {
	c.cancel(reason)
	c.in.finish(reason)
}

func (s *server) start(f frame) error {
	var body callBody
	if err := json.Unmarshal(f.body, &body); err != nil {
		return malformed("call: %v", err)
	}

	c, err := s.admit(f.call, body)
	if errors.Is(err, errTooMany) {
		e := &Error{Method: body.Method, Message: err.Error()}
		return s.frames.write(s.ctx, frame{kind: kindError, call: f.call, body: marshalError(e)})
	}
	if c == nil {
		return err
	}
	callCtx := c.out.ctx
	s.running.Go(func() { s.run(callCtx, c) })
	return nil
}

var errTooMany = fmt.Errorf("%d calls are running already, and that is the most: wait until one has ended", maxCalls)

// admit enters a call into the table. Between sessions there is none, and no
// call: the host has sent it while it ended the session.
func (s *server) admit(id uint32, body callBody) (*Call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.calls == nil:
		return nil, nil
	case s.calls[id] != nil:
		return nil, malformed("call %d exists already", id)
	case len(s.calls) >= maxCalls:
		return nil, errTooMany
	}

	ctx, cancel := context.WithCancelCause(s.ctx)
	c := &Call{method: body.Method, params: body.Params, id: id, cancel: cancel}
	c.in = newInbox(sendWindow(ctx, s.frames, id, channelIn))
	c.out = newOutbox(ctx, s.frames, id, channelOut)
	c.err = newOutbox(ctx, s.frames, id, channelErr)
	c.In, c.Out, c.Err = c.in, c.out, c.err
	s.calls[id] = c
	return c, nil
}

// run performs a call and answers it.
func (s *server) run(ctx context.Context, c *Call) {
	answer := s.perform(ctx, c)
	c.stop(errCanceled)

	s.mu.Lock()
	current := s.calls[c.id] == c
	if current {
		delete(s.calls, c.id)
	}
	s.mu.Unlock()
	if current {
		// A connection that fails is noticed by Serve, which reads it.
		_ = s.frames.write(s.ctx, answer)
	}
}

func (s *server) perform(ctx context.Context, c *Call) frame {
	result, err := s.invoke(ctx, c)
	if err == nil {
		body, merr := json.Marshal(result)
		switch {
		case merr != nil:
			err = fmt.Errorf("encode the result: %w", merr)
		case len(body) > maxBody:
			err = fmt.Errorf("the result has %d bytes, and an answer at most %d: ask for less at once", len(body), maxBody)
		default:
			return frame{kind: kindResult, call: c.id, body: body}
		}
	}
	return frame{kind: kindError, call: c.id, body: marshalError(describe(c.method, err))}
}

// invoke calls the handler. A handler that panics fails its call: the agent is
// PID 1, whose end is the end of the guest.
func (s *server) invoke(ctx context.Context, c *Call) (result any, err error) {
	handler, ok := s.handlers[c.method]
	if !ok {
		return nil, &noMethod{Method: c.method}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v\n%s", p, debug.Stack())
		}
	}()
	result, err = handler(ctx, c)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	return result, err
}

// noMethod is a call of a method that the guest's program has no handler for.
type noMethod struct{ Method string }

func (e *noMethod) Code() string { return codeNoMethod }

func (e *noMethod) Error() string {
	return fmt.Sprintf("the program in the guest has no method %q; is it another build of the program?", e.Method)
}

// deliver hands a frame to the call it belongs to. Frames of calls that have
// just ended are normal and dropped.
func (s *server) deliver(f frame) error {
	s.mu.Lock()
	c := s.calls[f.call]
	s.mu.Unlock()
	if c == nil {
		return nil
	}

	switch {
	case f.kind == kindCancel:
		c.stop(errCanceled)
	case f.kind == kindData && f.channel == channelIn:
		return c.in.put(f.body)
	case f.kind == kindEOF && f.channel == channelIn:
		c.in.finish(io.EOF)
	case f.kind == kindWindow && f.channel == channelOut:
		return c.out.openBy(f)
	case f.kind == kindWindow && f.channel == channelErr:
		return c.err.openBy(f)
	default:
		return malformed("frame kind %d on channel %d is not for the guest", f.kind, f.channel)
	}
	return nil
}
