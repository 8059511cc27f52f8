package ktest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// This file explains errors of system calls that come from the scheduler: what an operation returns
// for a new task or cgroup is what the call fails with (scx_fork and scx_cgroup_init in kernel/sched/ext).

// refusal is a system call that a scheduler's operation can make fail.
type refusal struct {
	how       *regexp.Regexp // how an error tells of it, with the words for its errno
	operation string
	of        string
	own       []syscall.Errno // that the call itself has
}

var refusals = []refusal{
	{
		regexp.MustCompile(`fork/exec [^:]+: ([^;:\n]+)`), "init_task", "task",
		[]syscall.Errno{unix.ENOENT, unix.EACCES, unix.EPERM, unix.ENOEXEC, unix.E2BIG, unix.ELOOP, unix.ENAMETOOLONG, unix.ENOTDIR, unix.EISDIR, unix.ETXTBSY}, // exec's
	},
	{
		regexp.MustCompile(`mkdir /sys/fs/cgroup/[^:]+: ([^;:\n]+)`), "cgroup_init", "cgroup",
		[]syscall.Errno{unix.EEXIST, unix.ENOENT, unix.ENAMETOOLONG, unix.EROFS},
	},
}

// explainErrno says of an error of such a call that it may be the scheduler's.
func (vm *VM) explainErrno(err error) error {
	s := vm.current()
	if s == nil || isClosed(s.Done()) {
		return err
	}
	return explainErrno(err, s.Name())
}

func explainErrno(err error, scheduler string) error {
	text := err.Error()
	if strings.Contains(text, "raise PIDsMax") {
		return err
	}
	for _, r := range refusals {
		at := r.how.FindStringSubmatch(text)
		if at == nil || slices.ContainsFunc(r.own, func(e syscall.Errno) bool { return e.Error() == at[1] }) {
			continue
		}
		return fmt.Errorf("%w; the kernel fails so, too, if %s of the scheduler %q returns the errno of %[4]q: see whether it refuses the %[5]s", err, r.operation, scheduler, at[1], r.of)
	}
	return err
}
