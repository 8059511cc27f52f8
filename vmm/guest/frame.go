package guest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
)

// This file is the wire format: frames, each a header and a body.
//
//	 0        4     5     6         8         12
//	┌────────┬─────┬─────┬─────────┬─────────┬──────────┐
//	│ length │kind │chan │ zero    │ call id │ body ... │   little endian
//	└────────┴─────┴─────┴─────────┴─────────┴──────────┘
//
// length counts the bytes of the body.

// version is the protocol's version; a hello carries it.
const version = 1

const (
	headerSize = 12
	maxBody    = 1 << 20  // bytes; bounds what a claimed length can allocate
	chunk      = 64 << 10 // bytes; the size that streams are cut to
)

// kind says what a frame is for.
type kind uint8

const (
	kindHello  kind = iota + 1 // body: hello; begins a session, either direction
	kindCall                   // body: call; host to guest
	kindData                   // body: bytes of a stream
	kindEOF                    // no body: the stream ends
	kindWindow                 // body: uint32, bytes that the stream may carry more
	kindCancel                 // no body: the host gives up the call
	kindResult                 // body: JSON of the result; ends a call
	kindError                  // body: Error; ends a call
	kindBye                    // no body: ends the session, answered in kind
)

// channel names a stream of a call.
type channel uint8

const (
	channelIn  channel = iota // host to guest
	channelOut                // guest to host
	channelErr                // guest to host, the second one
	channels
)

// frame is one message on the wire.
type frame struct {
	kind    kind
	channel channel
	call    uint32
	body    []byte
}

// FormatError is a frame that breaks the protocol.
type FormatError struct {
	Reason string
}

func (e *FormatError) Error() string { return "agent protocol: " + e.Reason }

func malformed(format string, args ...any) error {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// readFrame reads the next frame. It returns io.EOF at the end of the stream
// between frames, io.ErrUnexpectedEOF inside one, and a *FormatError for a
// frame that cannot be.
func readFrame(r io.Reader) (frame, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return frame{}, err
	}

	length := binary.LittleEndian.Uint32(h[0:])
	f := frame{kind: kind(h[4]), channel: channel(h[5]), call: binary.LittleEndian.Uint32(h[8:])}
	if err := f.check(length, binary.LittleEndian.Uint16(h[6:])); err != nil {
		return frame{}, err
	}
	if length == 0 {
		return f, nil
	}

	f.body = make([]byte, length)
	if _, err := io.ReadFull(r, f.body); err != nil {
		return frame{}, unexpected(err)
	}
	return f, nil
}

func (f frame) check(length uint32, reserved uint16) error {
	switch {
	case f.kind < kindHello || f.kind > kindBye:
		return malformed("unknown frame kind %d", f.kind)
	case f.channel >= channels:
		return malformed("unknown channel %d", f.channel)
	case reserved != 0:
		return malformed("reserved bytes are %#x", reserved)
	case length > maxBody:
		return malformed("frame of %d bytes, at most %d are allowed", length, maxBody)
	case f.kind == kindWindow && length != 4:
		return malformed("window frame of %d bytes", length)
	}
	return nil
}

func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// frameWriter sends frames in the order in which they are given to it. One
// goroutine does the writing, so that a peer that does not read holds up only
// those who choose to wait for it.
type frameWriter struct {
	direct io.Writer // is written to at once; nil if there is a queue

	queue chan []byte
	stop  chan struct{} // closed by close
	done  chan struct{} // closed when the goroutine has ended; then err is set
	err   error
}

// queued is how many frames may wait to be written.
const queued = 16

func newFrameWriter(w io.Writer) *frameWriter {
	fw := &frameWriter{queue: make(chan []byte, queued), stop: make(chan struct{}), done: make(chan struct{})}
	go fw.run(w) // ends with close or when a write fails
	return fw
}

// newDirectWriter returns one that writes at once, to a writer that never blocks.
func newDirectWriter(w io.Writer) *frameWriter {
	fw := &frameWriter{direct: w, stop: make(chan struct{}), done: make(chan struct{})}
	close(fw.done)
	return fw
}

func (fw *frameWriter) run(w io.Writer) {
	defer close(fw.done)
	for {
		select {
		case b := <-fw.queue:
			if _, err := w.Write(b); err != nil {
				fw.err = err
				return
			}
		case <-fw.stop:
			fw.err = net.ErrClosed
			return
		}
	}
}

// close ends the goroutine, dropping the frames that wait. A write that is
// blocked ends when its stream is closed.
func (fw *frameWriter) close() { close(fw.stop) }

// write queues a frame. It fails when ctx ends before there is room, or when
// an earlier frame could not be written.
func (fw *frameWriter) write(ctx context.Context, f frame) error {
	if len(f.body) > maxBody {
		return malformed("frame of %d bytes, at most %d are allowed", len(f.body), maxBody)
	}
	if fw.direct != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		_, err := fw.direct.Write(f.encode())
		return err
	}
	select {
	case fw.queue <- f.encode():
		return nil
	case <-fw.done:
		return fw.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (f frame) encode() []byte {
	b := make([]byte, 0, headerSize+len(f.body))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(f.body)))
	b = append(b, byte(f.kind), byte(f.channel), 0, 0)
	b = binary.LittleEndian.AppendUint32(b, f.call)
	return append(b, f.body...)
}
