package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Record is one record of the kernel's log.
type Record struct {
	Seq      uint64        // counts all records since boot
	Time     time.Duration // since boot
	Level    Level
	Facility int    // as syslog counts them; 0 is the kernel itself
	Text     string // without the line end

	// Lost says that records before this one were overwritten unread.
	Lost bool
}

// Level is the severity of a record, as syslog(2) counts them.
type Level int

// Levels of records.
const (
	Emergency Level = iota
	Alert
	Critical
	Err
	Warning
	Notice
	Info
	Debug
)

// LogStart says where reading the kernel's log begins.
type LogStart int

const (
	LogFromBoot LogStart = iota // the oldest record there is
	LogFromNow                  // only what comes
)

const methodLog = "log"

type logParams struct {
	From   LogStart
	Follow bool
}

func handleLog(ctx context.Context, c *Call) (any, error) {
	var params logParams
	if err := c.Decode(&params); err != nil {
		return nil, err
	}
	log, err := OpenLog(params.From)
	if err != nil {
		return nil, err
	}
	defer log.Close()

	out := json.NewEncoder(c.Out)
	if !params.Follow {
		return nil, log.Drain(func(r Record) error { return out.Encode(r) })
	}
	stop := context.AfterFunc(ctx, log.Interrupt)
	defer stop()
	for {
		r, err := log.Next()
		if err != nil {
			return nil, err
		}
		if err := out.Encode(r); err != nil {
			return nil, err
		}
	}
}

// Log returns the records that the guest's kernel has kept since it booted.
func (c *Client) Log(ctx context.Context) ([]Record, error) {
	var records []Record
	err := c.readLog(ctx, logParams{From: LogFromBoot}, func(r Record) { records = append(records, r) })
	return records, err
}

// FollowLog calls f with each record of the kernel's log until ctx ends or the
// guest is lost.
func (c *Client) FollowLog(ctx context.Context, from LogStart, f func(Record)) error {
	return c.readLog(ctx, logParams{From: from, Follow: true}, f)
}

func (c *Client) readLog(ctx context.Context, params logParams, f func(Record)) error {
	var broken error
	out := Lines(func(line []byte) error {
		var record Record
		if err := json.Unmarshal(line, &record); err != nil {
			broken = fmt.Errorf("read the guest's kernel log: %w", err)
			return broken
		}
		f(record)
		return nil
	})
	return errors.Join(c.Call(ctx, methodLog, params, nil, Streams{Out: out}), broken)
}

// Log is the kernel's log in the guest, for handlers.
type Log struct {
	f   *os.File
	raw syscall.RawConn
	buf []byte
}

// OpenLog opens the log of the kernel that this process runs on.
func OpenLog(from LogStart) (*Log, error) {
	f, err := os.OpenFile("/dev/kmsg", os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("kernel log: %w", err)
	}
	if from == LogFromNow {
		if _, err := f.Seek(0, io.SeekEnd); err != nil {
			f.Close()
			return nil, fmt.Errorf("kernel log: %w", err)
		}
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("kernel log: %w", err)
	}
	// A record of PRINTKRB_RECORD_MAX bytes, with its escapes and properties.
	return &Log{f: f, raw: raw, buf: make([]byte, 32<<10)}, nil
}

// Next waits for the next record. After [Log.Interrupt] it returns
// os.ErrDeadlineExceeded.
func (l *Log) Next() (Record, error) {
	return l.read(l.raw.Read)
}

// Drain calls f with the records that are there, also after [Log.Interrupt].
func (l *Log) Drain(f func(Record) error) error {
	for {
		r, err := l.read(func(f func(fd uintptr) bool) error {
			return l.raw.Control(func(fd uintptr) { f(fd) })
		})
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(r); err != nil {
			return err
		}
	}
}

// read returns the next record. When there is none yet, it depends on access,
// which calls a function with the file until that is content, whether read waits
// for one or returns EAGAIN.
func (l *Log) read(access func(func(fd uintptr) bool) error) (Record, error) {
	var lost bool
	for {
		var n int
		var readErr error
		err := access(func(fd uintptr) bool {
			n, readErr = unix.Read(int(fd), l.buf)
			return !errors.Is(readErr, unix.EAGAIN)
		})
		if err == nil {
			err = readErr
		}
		if errors.Is(err, unix.EPIPE) { // the kernel has overwritten the next record
			lost = true
			continue
		}
		if err != nil {
			return Record{}, fmt.Errorf("kernel log: %w", err)
		}
		r, err := ParseRecord(l.buf[:n])
		r.Lost = lost
		return r, err
	}
}

// Interrupt makes Next return. It may be called from any goroutine.
func (l *Log) Interrupt() { _ = l.f.SetReadDeadline(time.Unix(1, 0)) }

// Close closes the log.
func (l *Log) Close() error { return l.f.Close() }

// ParseRecord reads a record as /dev/kmsg gives it
// (Documentation/ABI/testing/dev-kmsg):
//
//	prefix,seq,microseconds,flags[,...];text\n
//	 KEY=value\n
func ParseRecord(b []byte) (Record, error) {
	head, text, ok := bytes.Cut(b, []byte{';'})
	if !ok {
		return Record{}, fmt.Errorf("kernel log: record %.60q has no text", b)
	}
	fields := strings.Split(string(head), ",")
	if len(fields) < 3 {
		return Record{}, fmt.Errorf("kernel log: record %.60q has %d fields", b, len(fields))
	}
	prefix, err1 := strconv.ParseUint(fields[0], 10, 16)
	seq, err2 := strconv.ParseUint(fields[1], 10, 64)
	us, err3 := strconv.ParseInt(fields[2], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return Record{}, fmt.Errorf("kernel log: record %.60q: %w", b, err)
	}

	line, _, _ := bytes.Cut(text, []byte{'\n'})
	return Record{
		Seq:      seq,
		Time:     time.Duration(us) * time.Microsecond,
		Level:    Level(prefix & 7),
		Facility: int(prefix >> 3),
		Text:     unescape(line),
	}, nil
}

// unescape undoes the \xHH that the kernel writes for bytes that do not print.
func unescape(b []byte) string {
	if bytes.IndexByte(b, '\\') < 0 {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		if len(b) >= 4 && b[0] == '\\' && b[1] == 'x' {
			if v, err := strconv.ParseUint(string(b[2:4]), 16, 8); err == nil {
				out = append(out, byte(v))
				b = b[4:]
				continue
			}
		}
		out = append(out, b[0])
		b = b[1:]
	}
	return string(out)
}
