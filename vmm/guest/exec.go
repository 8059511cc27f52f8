package guest

import (
	"context"

	"golang.org/x/sys/unix"
)

const methodExec = "exec"

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
