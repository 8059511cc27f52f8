package ktest

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/vmm/guest"
)

func TestErrnoThatAnOperationCanReturnNamesIt(t *testing.T) {
	call := func(op, path string, errno syscall.Errno) error {
		return fmt.Errorf("in the guest: %w", &guest.Error{Message: "it failed", Op: op, Path: path, Errno: errno})
	}
	const task = `; the kernel fails so, too, if init_task of the scheduler "brk" returns the errno of "no space left on device": see whether it refuses the task`
	const cgroup = `; the kernel fails so, too, if cgroup_init of the scheduler "brk" returns the errno of "device or resource busy": see whether it refuses the cgroup`
	for _, c := range []struct {
		err  error
		want string
	}{
		{call("fork/exec", "/w", unix.ENOSPC), task},
		{&scenario.WorkerDiedError{Comm: "fork-0", Fork: unix.ENOSPC}, task},
		{&scenario.WorkerDiedError{Comm: "fork-0", Fork: unix.ENOSPC, Full: true}, ""},
		{&scenario.WorkerDiedError{Comm: "fork-0"}, ""},
		{&scenario.CgroupFullError{Err: call("fork/exec", "/w", unix.EAGAIN)}, ""},
		{call("fork/exec", "/w", unix.EACCES), ""},
		{call("mkdir", "/sys/fs/cgroup/ktgen/a", unix.EBUSY), cgroup},
		{call("mkdir", "/sys/fs/cgroup/ktgen/a", unix.EEXIST), ""},
		{call("mkdir", "/tmp/a", unix.EBUSY), ""},
		{call("", "", 0), ""},
		{errors.New("fork/exec /w: no space left on device"), ""}, // of the host
	} {
		got := explainErrno(c.err, "brk")
		require.ErrorIs(t, got, c.err)
		require.EqualError(t, got, c.err.Error()+c.want)
	}
}
