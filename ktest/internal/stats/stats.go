// Package stats asks a scheduler in a guest for its statistics, over a Unix
// socket that the scheduler serves. The protocol is that of scx_stats, which
// most sched_ext schedulers use: a line of JSON is answered by another.
package stats

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/ktgen/ktgen/vmm/guest"
)

// method is the name of the call to the agent.
const method = "stats.ask"

// MaxAnswer bounds the answer of a scheduler, in bytes.
const MaxAnswer = 8 << 20

// Request is what a scheduler is asked.
type Request struct {
	Socket string // path in the guest
	Target string // which statistics, "top" for those of the scheduler as a whole
}

// line is the request as a scheduler reads it.
func (r Request) line() []byte {
	type args struct {
		Target string `json:"target"`
	}
	b, err := json.Marshal(struct {
		Req  string `json:"req"`
		Args args   `json:"args"`
	}{"stats", args{r.Target}})
	if err != nil {
		panic(err) // strings can be encoded
	}
	return append(b, '\n')
}

// RefusedError is a request that the scheduler does not answer as asked.
type RefusedError struct {
	Errno  int    // that it gives; 0 if it gives none and no statistics either
	Answer string // the beginning of what it says
}

func (e *RefusedError) Error() string {
	if e.Errno == 0 {
		return fmt.Sprintf("the scheduler's answer has no statistics (args.resp): %s", e.Answer)
	}
	return fmt.Sprintf("the scheduler answers with error %d: %s; see the targets that it offers with \"stats_meta\"", e.Errno, e.Answer)
}

// TooLargeError is an answer that does not end.
type TooLargeError struct{ Limit int }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the scheduler's answer has more than %d bytes", e.Limit)
}

// MalformedError is an answer that is not JSON.
type MalformedError struct{ Answer string }

func (e *MalformedError) Error() string {
	return fmt.Sprintf("the scheduler's answer is no JSON: %q", e.Answer)
}

// Ask returns the statistics of the scheduler in a guest, as JSON.
//
// The error is a [*RefusedError], a [*TooLargeError], a [*MalformedError], or
// says why the socket cannot be used: fs.ErrNotExist if there is none.
func Ask(ctx context.Context, client *guest.Client, r Request) ([]byte, error) {
	var answer bytes.Buffer
	if err := client.Call(ctx, method, r, nil, guest.Streams{Out: &answer}); err != nil {
		return nil, err
	}
	return parse(answer.Bytes())
}

// parse returns the statistics in an answer.
func parse(line []byte) ([]byte, error) {
	if len(line) > MaxAnswer {
		return nil, &TooLargeError{Limit: MaxAnswer}
	}
	var answer struct {
		Errno int             `json:"errno"`
		Args  json.RawMessage `json:"args"`
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return nil, &MalformedError{Answer: clip(line)}
	}
	var args struct {
		Resp json.RawMessage `json:"resp"`
	}
	_ = json.Unmarshal(answer.Args, &args) // without resp it is refused
	if answer.Errno != 0 || len(args.Resp) == 0 || string(args.Resp) == "null" {
		return nil, &RefusedError{Errno: answer.Errno, Answer: clip(line)}
	}
	return args.Resp, nil
}

// clip returns the beginning of an answer, for messages.
func clip(line []byte) string {
	const most = 200
	line = bytes.TrimSpace(line)
	if len(line) > most {
		return string(line[:most]) + "..."
	}
	return string(line)
}

// Handlers returns the method of the agent.
func Handlers() guest.Handlers { return guest.Handlers{method: handle} }

func handle(ctx context.Context, c *guest.Call) (any, error) {
	var r Request
	if err := c.Decode(&r); err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", r.Socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(r.line()); err != nil {
		return nil, err
	}
	// One byte more than may be, for the host to tell.
	line, err := bufio.NewReader(io.LimitReader(conn, MaxAnswer+1)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(line) == 0 {
		return nil, errors.New("the scheduler closed the connection without an answer: what it has written may say why")
	}
	_, err = c.Out.Write(line)
	return nil, err
}
