package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// This file holds the bodies of the frames that are JSON.

// hello begins a session. The host makes up the nonce; the agent repeats it,
// which tells its answer from frames of an earlier session.
type hello struct {
	Version int
	Nonce   string
}

// callBody names what to do.
type callBody struct {
	Method string
	Params json.RawMessage
}

// Error is a call that failed in the guest. errors.Is works across the wire for
// errnos, and for fs.ErrNotExist and its siblings.
type Error struct {
	Method  string
	Message string
	Code    string          // what failed, for programs; see the handlers
	Data    json.RawMessage // details of a Code, if any

	// What failed of an operation on a file or a program, as fs.PathError has it.
	Op, Path string
	Errno    syscall.Errno // of the system call that failed; zero if none did
}

// Codes that the agent itself gives. Handlers add theirs by returning an error
// that has a method `Code() string`; its JSON becomes the Data.
const (
	codeNotExist   = "not-exist"
	codeExist      = "exist"
	codePermission = "permission"
	codeCanceled   = "canceled"
	codeNoMethod   = "no-method"
)

func (e *Error) Error() string { return fmt.Sprintf("guest: %s: %s", e.Method, e.Message) }

// Is makes errors.Is see the errno, and the errors of package io/fs that an
// Error stands for.
func (e *Error) Is(target error) bool {
	if errno, ok := target.(syscall.Errno); ok && errno != 0 {
		return e.Errno == errno
	}
	switch e.Code {
	case codeNotExist:
		return target == fs.ErrNotExist
	case codeExist:
		return target == fs.ErrExist
	case codePermission:
		return target == fs.ErrPermission
	}
	return false
}

// Decode fills v from the error's details.
func (e *Error) Decode(v any) error {
	if err := json.Unmarshal(e.Data, v); err != nil {
		return fmt.Errorf("details of guest error %q: %w", e.Code, err)
	}
	return nil
}

// coded is an error that a program on the host wants to tell apart.
type coded interface {
	error
	Code() string
}

// describe turns what a handler returned into the error that travels.
func describe(method string, err error) *Error {
	e := &Error{Method: method, Message: err.Error()}
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		e.Op, e.Path = path.Op, path.Path
	}
	errors.As(err, &e.Errno)

	var c coded
	switch {
	case errors.As(err, &c):
		e.Code = c.Code()
		e.Data, _ = json.Marshal(c)
	case errors.Is(err, os.ErrNotExist):
		e.Code = codeNotExist
	case errors.Is(err, os.ErrExist):
		e.Code = codeExist
	case errors.Is(err, os.ErrPermission):
		e.Code = codePermission
	case errors.Is(err, errCanceled):
		e.Code = codeCanceled
	}
	return e
}

// marshalError encodes an error so that it fits a frame: a message of any
// length is cut, and details that are too long are left out.
func marshalError(e *Error) []byte {
	const limit = maxBody / 8 // JSON can grow a byte to six
	cut := *e
	if len(cut.Message) > limit {
		cut.Message = cut.Message[:limit] + " ... (cut)"
	}
	if len(cut.Data) > limit {
		cut.Data = nil
	}
	b, err := json.Marshal(&cut)
	if err != nil {
		b, _ = json.Marshal(&Error{Method: e.Method, Message: cut.Message})
	}
	return b
}
