package qmp

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxMessage bounds the size of one message, in bytes. The largest reply of
// QEMU, to query-qmp-schema, has about 200 KiB.
const maxMessage = 64 << 20

// Version is QEMU's version as its greeting gives it.
type Version struct {
	QEMU struct {
		Major, Minor, Micro int
	} `json:"qemu"`
	Package string `json:"package"` // of the distribution, such as "Debian 1:7.2+dfsg-7"
}

// String returns the version as QEMU prints it, such as
// "7.2.22 (Debian 1:7.2+dfsg-7)".
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v.QEMU.Major, v.QEMU.Minor, v.QEMU.Micro)
	if v.Package == "" {
		return s
	}
	return s + " (" + v.Package + ")"
}

// Event is something that QEMU reports by itself, such as STOP or SHUTDOWN.
type Event struct {
	Name string
	Data json.RawMessage // the event's own object; nil if it has none
	Time time.Time       // QEMU's clock; zero if it did not say
}

// message is any of what QEMU sends: greeting, reply, error or event.
type message struct {
	Greeting *struct {
		Version Version `json:"version"`
	} `json:"QMP"`

	ID     *uint64         `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`

	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	Time  *struct {
		Seconds      int64 `json:"seconds"`
		Microseconds int64 `json:"microseconds"`
	} `json:"timestamp"`
}

// event returns the event that m carries.
func (m *message) event() Event {
	e := Event{Name: m.Event, Data: m.Data}
	if m.Time != nil && m.Time.Seconds > 0 {
		e.Time = time.Unix(m.Time.Seconds, m.Time.Microseconds*int64(time.Microsecond))
	}
	return e
}

// scanner splits a connection into messages: one JSON object per line.
type scanner struct {
	r    *bufio.Reader
	line []byte
}

func newScanner(r io.Reader) *scanner {
	return &scanner{r: bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next message. It returns io.EOF at the end of the
// connection between two messages, io.ErrUnexpectedEOF inside one, and
// otherwise the reader's error or one that quotes what is no message.
func (s *scanner) next() (*message, error) {
	for {
		line, err := s.readLine()
		if err != nil {
			return nil, err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		m := new(message)
		if err := json.Unmarshal(line, m); err != nil {
			return nil, fmt.Errorf("reading a message (%.80q): %w", line, err)
		}
		return m, nil
	}
}

// readLine returns the next line, valid until the next call.
func (s *scanner) readLine() ([]byte, error) {
	s.line = s.line[:0]
	for {
		part, err := s.r.ReadSlice('\n')
		s.line = append(s.line, part...)
		switch {
		case err == nil:
			return s.line, nil
		case len(s.line) > maxMessage:
			return nil, fmt.Errorf("a message exceeds %d bytes", maxMessage)
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && len(s.line) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}
