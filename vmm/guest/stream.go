package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"strings"
	"sync"
)

// windowSize is how many bytes of a stream may be under way: sent and not yet
// consumed by the reader at the other end.
const windowSize = 4 * chunk

// inbox is the receiving end of a stream. Memory is bounded by the window.
type inbox struct {
	grant func(n int)          // tells the sender that n bytes were consumed
	busy  func() (done func()) // begins what lasts while the reader has something to do

	mu     sync.Mutex
	change sync.Cond // L is &mu
	chunks [][]byte
	size   int // bytes in chunks
	used   int // bytes consumed and not granted yet
	rest   func()
	end    error // io.EOF or the reason why no more data comes
}

func newInbox(grant func(n int)) *inbox {
	in := &inbox{grant: grant}
	in.change.L = &in.mu
	return in
}

// put adds received bytes; it owns b. A sender that ignores the window is
// an error.
func (in *inbox) put(b []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.end != nil {
		return nil
	}
	if held := in.size + in.used + len(b); held > windowSize {
		return malformed("stream carries %d bytes beyond its window", held-windowSize)
	}
	if in.rest == nil && in.busy != nil {
		in.rest = in.busy()
	}
	in.chunks = append(in.chunks, b)
	in.size += len(b)
	in.change.Broadcast()
	return nil
}

// finish says that nothing follows: io.EOF, or the reason. Only the first call
// counts; bytes received before it can still be read.
func (in *inbox) finish(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.end == nil {
		in.end = err
	}
	in.change.Broadcast()
}

// Read implements io.Reader. It blocks until there are bytes or the stream has
// ended.
func (in *inbox) Read(p []byte) (int, error) {
	n, used, err := in.take(p)
	if used > 0 {
		in.grant(used)
	}
	return n, err
}

// idle notes that the reader has done everything. It is called with mu held.
func (in *inbox) idle() {
	if in.rest != nil {
		in.rest()
		in.rest = nil
	}
}

// take copies buffered bytes to p and says how many bytes are worth a grant:
// none until a quarter of the window is used, so that small reads do not cost
// a frame each.
func (in *inbox) take(p []byte) (n, used int, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.chunks) == 0 && in.end == nil {
		in.idle()
		in.change.Wait()
	}
	if len(in.chunks) == 0 {
		in.idle()
		return 0, 0, in.end
	}

	n = copy(p, in.chunks[0])
	in.size -= n
	in.chunks[0] = in.chunks[0][n:]
	if len(in.chunks[0]) == 0 {
		in.chunks = in.chunks[1:]
	}

	in.used += n
	if in.used >= windowSize/4 && in.end == nil {
		used, in.used = in.used, 0
	}
	return n, used, nil
}

// outbox is the sending end of a stream. One goroutine writes to it.
type outbox struct {
	ctx     context.Context // of the call; its end fails writes
	frames  *frameWriter
	call    uint32
	channel channel
	busy    func() (done func()) // begins what lasts while feed has something to send; may be nil

	mu     sync.Mutex
	rest   func()        // ends that; nil while feed waits
	ended  bool          // feed has
	free   int           // bytes that the window allows
	opened chan struct{} // closed and replaced when free grows
}

func newOutbox(ctx context.Context, frames *frameWriter, call uint32, ch channel) *outbox {
	return &outbox{ctx: ctx, frames: frames, call: call, channel: ch, free: windowSize, opened: make(chan struct{})}
}

// Write implements io.Writer. It blocks while the window is closed, and fails
// when the call has ended.
func (out *outbox) Write(p []byte) (int, error) {
	sent := 0
	for sent < len(p) {
		n, err := out.reserve(min(len(p)-sent, chunk))
		if err != nil {
			return sent, err
		}
		f := frame{kind: kindData, channel: out.channel, call: out.call, body: p[sent : sent+n]}
		if err := out.frames.write(out.ctx, f); err != nil {
			return sent, err
		}
		sent += n
	}
	return sent, nil
}

// Close ends the stream.
func (out *outbox) Close() error {
	return out.frames.write(out.ctx, frame{kind: kindEOF, channel: out.channel, call: out.call})
}

// reserve takes up to want bytes out of the window and waits for one at least.
func (out *outbox) reserve(want int) (int, error) {
	for {
		if err := context.Cause(out.ctx); err != nil {
			return 0, err
		}
		n, opened := out.tryReserve(want)
		if n > 0 {
			return n, nil
		}
		out.idle(opened)
		select {
		case <-opened:
		case <-out.ctx.Done():
		}
	}
}

func (out *outbox) tryReserve(want int) (int, <-chan struct{}) {
	out.mu.Lock()
	defer out.mu.Unlock()
	n := min(want, out.free)
	out.free -= n
	return n, out.opened
}

// start sends r, or nothing if it is nil. It ends with the call, as soon as r lets it.
func (out *outbox) start(r io.Reader) {
	if r == nil {
		r = bytes.NewReader(nil)
	}
	if prompt(r) {
		out.act()
	} else {
		out.busy = nil
	}
	go func() {
		out.feed(r)
		out.idle(nil)
	}()
}

// prompt reports whether reads return at once, so that the guest can be kept waiting
// for them.
func prompt(r io.Reader) bool {
	switch r := r.(type) {
	case *bytes.Reader, *bytes.Buffer, *strings.Reader:
		return true
	case *Gate:
		return r.feed()
	}
	return false
}

// act notes that there is something to send.
func (out *outbox) act() {
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.rest == nil && out.busy != nil {
		out.rest = out.busy()
	}
}

// idle notes that nothing can be sent: until the window is opened, if opened is not nil,
// which is the channel that says so.
func (out *outbox) idle(opened <-chan struct{}) {
	out.mu.Lock()
	defer out.mu.Unlock()
	out.ended = out.ended || opened == nil
	if out.rest == nil || opened != nil && opened != (<-chan struct{})(out.opened) {
		return
	}
	out.rest()
	out.rest = nil
}

// openBy widens the window as a window frame says.
func (out *outbox) openBy(f frame) error {
	n := binary.LittleEndian.Uint32(f.body)
	out.mu.Lock()
	defer out.mu.Unlock()
	if uint64(out.free)+uint64(n) > windowSize {
		return malformed("window opened by %d bytes beyond its size", uint64(out.free)+uint64(n)-windowSize)
	}
	out.free += int(n)
	if out.rest == nil && out.busy != nil && !out.ended {
		out.rest = out.busy()
	}
	close(out.opened)
	out.opened = make(chan struct{})
	return nil
}

// sendWindow returns the grant function of an inbox. A failing connection is
// noticed by its reader, so that errors are of no use here.
func sendWindow(ctx context.Context, frames *frameWriter, call uint32, ch channel) func(int) {
	return func(n int) {
		body := binary.LittleEndian.AppendUint32(nil, uint32(n))
		_ = frames.write(ctx, frame{kind: kindWindow, channel: ch, call: call, body: body})
	}
}

// feed copies r to the stream and ends it. It is the whole life of a goroutine
// that ends with the stream's call or with r.
func (out *outbox) feed(r io.Reader) {
	_, _ = io.Copy(struct{ io.Writer }{out}, r)
	_ = out.Close()
	if g, ok := r.(*Gate); ok {
		close(g.sent)
	}
}
