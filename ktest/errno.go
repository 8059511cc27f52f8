package ktest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/ktgen/ktgen/scenario"
	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// This file explains errors of system calls that come from the scheduler: what an operation returns
// for a new task or cgroup is what the call fails with (scx_fork and scx_cgroup_init in kernel/sched/ext).

// refusal is a system call that a scheduler's operation can make fail.
type refusal struct {
	operation string
	of        string
	own       []syscall.Errno // that the call itself has
}

var (
	refusedTask   = refusal{"init_task", "task", []syscall.Errno{unix.ENOENT, unix.EACCES, unix.EPERM, unix.ENOEXEC, unix.E2BIG, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOTDIR, unix.EISDIR, unix.ETXTBSY}} // exec's, too
	refusedCgroup = refusal{"cgroup_init", "cgroup", []syscall.Errno{unix.EEXIST, unix.ENOENT, unix.ENAMETOOLONG, unix.EROFS}}
)

// explainErrno says of an error of such a call that it may be the scheduler's.
func (vm *VM) explainErrno(err error) error {
	s := vm.current()
	if s == nil || isClosed(s.Done()) {
		return err
	}
	return explainErrno(err, s.Name())
}

func explainErrno(err error, scheduler string) error {
	r, errno := refusalOf(err)
	if errno == 0 || slices.Contains(r.own, errno) {
		return err
	}
	return fmt.Errorf("%w; the kernel fails so, too, if %s of the scheduler %q returns the errno of %[4]q: see whether it refuses the %[5]s", err, r.operation, scheduler, errno, r.of)
}

// refusalOf returns the call that may have been refused, and its errno; zero if there
// is none, or if the limit of a cgroup is the reason.
func refusalOf(err error) (refusal, syscall.Errno) {
	var full *scenario.CgroupFullError
	var died *scenario.WorkerDiedError
	var failed *guest.Error
	switch {
	case errors.As(err, &full):
	case errors.As(err, &died) && !died.Full:
		return refusedTask, died.Fork
	case !errors.As(err, &failed):
	case failed.Op == "fork/exec":
		return refusedTask, failed.Errno
	case failed.Op == "mkdir" && strings.HasPrefix(failed.Path, "/sys/fs/cgroup/"):
		return refusedCgroup, failed.Errno
	}
	return refusal{}, 0
}
