package guest

import (
	"context"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	methodExec   = "exec"
	methodSignal = "signal"
)

func handleExec(ctx context.Context, c *Call) (any, error) {
	var command Command
	if err := c.Decode(&command); err != nil {
		return nil, err
	}
	p, err := Start(command, c.In, c.Out, c.Err)
	if err != nil {
		return nil, err
	}

	stop := context.AfterFunc(ctx, func() { _ = p.Signal(unix.SIGKILL) })
	defer stop()
	return p.Wait()
}

// Exec runs a program in the guest and waits for it. An exit status other than
// 0 is not an error. When ctx ends, the program is killed with its process
// group.
func (c *Client) Exec(ctx context.Context, command Command, s Streams) (Exit, error) {
	var exit Exit
	err := c.Call(ctx, methodExec, command, &exit, s)
	return exit, err
}

type signalParams struct {
	PID    int
	Signal syscall.Signal
}

func handleSignal(_ context.Context, c *Call) (any, error) {
	var params signalParams
	if err := c.Decode(&params); err != nil {
		return nil, err
	}
	if err := unix.Kill(params.PID, params.Signal); err != nil {
		return nil, fmt.Errorf("send %s to process %d: %w", unix.SignalName(params.Signal), params.PID, err)
	}
	return nil, nil
}

// Signal sends a signal to a process in the guest, as kill(2) does.
func (c *Client) Signal(ctx context.Context, pid int, sig syscall.Signal) error {
	return c.Call(ctx, methodSignal, signalParams{PID: pid, Signal: sig}, nil, Streams{})
}
