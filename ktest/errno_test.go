package ktest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestErrnoThatAnOperationCanReturnNamesIt(t *testing.T) {
	for text, want := range map[string]string{
		"spin-0: start /w: fork/exec /w: no space left on device":                       `; the kernel fails so, too, if init_task of the scheduler "brk" returns the errno of "no space left on device": see whether it refuses the task`,
		"fork/exec /w: resource temporarily unavailable; its cgroup may: raise PIDsMax": "",
		"fork/exec /w: permission denied":                                               "",
		"mkdir /sys/fs/cgroup/ktgen/a: device or resource busy":                         `; the kernel fails so, too, if cgroup_init of the scheduler "brk" returns the errno of "device or resource busy": see whether it refuses the cgroup`,
		"mkdir /sys/fs/cgroup/ktgen/a: file exists":                                     "",
		"mkdir /tmp/a: device or resource busy":                                         "",
	} {
		err := errors.New(text)
		got := explainErrno(err, "brk")
		require.ErrorIs(t, got, err)
		require.EqualError(t, got, text+want)
	}
}
