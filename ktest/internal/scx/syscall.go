package scx

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/vmm/guest"
)

// This file runs programs of a scheduler's object that only run when they are asked to:
// those of section "syscall".

const methodProgram = "scx.program" // runs a program of the object that is loaded

// programCall is a run of a program, and its result.
type programCall struct {
	Name    string
	Context []byte // what the program gets, and what it has made of it
	Result  uint32
}

// loaded notes the object that a run has loaded.
func (l *Loader) loaded(c *bpfload.Collection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.object = c
}

func (l *Loader) handleProgram(_ context.Context, c *guest.Call) (any, error) {
	var call programCall
	if err := c.Decode(&call); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock() // the object stays loaded meanwhile
	if l.object == nil {
		return nil, errors.New("no scheduler that was started from an object is loaded: start one with ktest.Object, or call RunProgram in its Scheduler.Loaded")
	}
	p := l.object.Programs[call.Name]
	if p == nil {
		return nil, errors.New("it is not loaded: its section says ?, or it was switched off (Scheduler.Load): have it loaded")
	}
	options := &ebpf.RunOptions{}
	if len(call.Context) > 0 {
		options.Context, options.ContextOut = call.Context, slices.Clone(call.Context)
	}
	result, err := p.Run(options)
	if errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("the kernel does not run it with a context of %d bytes (%w): it uses more of its context; give it all that it uses", len(call.Context), unix.EINVAL)
	}
	if err != nil {
		return nil, fmt.Errorf("run it: %w", err)
	}
	call.Result = result
	if out, ok := options.ContextOut.([]byte); ok {
		call.Context = out
	}
	return call, nil
}

// RunProgram runs a program of section "syscall" of the object that is loaded in the
// guest. It returns what the program returns, and has made of its context.
func RunProgram(ctx context.Context, client *guest.Client, name string, context []byte) (result uint32, out []byte, err error) {
	var call programCall
	err = client.Call(ctx, methodProgram, programCall{Name: name, Context: context}, &call, guest.Streams{})
	return call.Result, call.Context, err
}
