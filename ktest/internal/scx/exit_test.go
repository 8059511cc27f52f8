package scx

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/guest"
)

func TestStallSaysWhereToLook(t *testing.T) {
	for message, want := range map[string]string{
		"spin[93] failed to run for 2.004s":           "a queue that no dispatch empties",
		"watchdog failed to check in for 5.108s":      "a host that is too busy",
		"a message that no kernel of today's writes.": "a queue that no dispatch empties",
	} {
		err := Exit{Scheduler: "x", Kind: ExitErrorStall, Reason: "runnable task stall", Message: message}.Err()
		require.ErrorContains(t, err, message)
		require.ErrorContains(t, err, want)
	}
}

// What a program has crashed with comes before the files that it did without.
func TestCrashComesFirst(t *testing.T) {
	for output, want := range map[string]string{
		"loading\npanic: no config\n\ngoroutine 1 [running]:\n": "panic: no config",
		"SIGSEGV: segmentation violation\nPC=0x1\n":             "SIGSEGV: segmentation violation",
		"thread 'main' (93) panicked at src/main.rs:3:5:\nno\n": "thread 'main' (93) panicked at src/main.rs:3:5:",
		"prog: main.c:7: main: Assertion `n > 0' failed.\n":     "prog: main.c:7: main: Assertion `n > 0' failed.",
	} {
		e := &LoaderError{Args: []string{"/prog"}, Exit: guest.Exit{Code: 2}, Output: output, Missed: []guest.Miss{{Path: "/etc/x", Error: "no such file or directory"}}}
		line, _, _ := strings.Cut(e.Error(), "\n")
		require.Contains(t, line, "(exit status 2): "+want+"; it could not open /etc/x")
	}
	e := &LoaderError{Args: []string{"/prog"}, Exit: guest.Exit{Code: 2}, Output: "do not panic: all is well\n"}
	require.Contains(t, e.Error(), "(exit status 2); it wrote:")
}

func TestWhatAGuestLacksIsSaid(t *testing.T) {
	tty := guest.Miss{Path: "/dev/tty", Error: "no such device or address"}
	for _, row := range []struct {
		output string
		missed []guest.Miss
		want   string
	}{
		{"", []guest.Miss{tty}, "; it could not open /dev/tty (no such device or address); programs in the guest have no terminal: give it the option with which it writes lines, and wrote nothing"},
		{"x", []guest.Miss{tty, {Path: "/etc/x", Error: "permission denied"}}, ", /etc/x (permission denied): what it needs is put into the guest by Config.Files; programs in the guest have no terminal"},
		{"stdin: Inappropriate ioctl for device\n", nil, "; programs in the guest have no terminal"},
		{"connect: Network is unreachable\n", nil, "; the guest has no network but its loopback interface"},
		{"dial tcp: lookup stats.example.com: no such host\n", nil, "; the guest has no network but its loopback interface"},
	} {
		e := &LoaderError{Args: []string{"/prog"}, Exit: guest.Exit{Code: 2}, Output: row.output, Missed: row.missed}
		line, _, _ := strings.Cut(e.Error(), "\n")
		require.Contains(t, line, row.want)
	}
	e := &LoaderError{Args: []string{"/prog"}, Exit: guest.Exit{Code: 2}, Output: "it ends\n"}
	require.NotContains(t, e.Error(), "terminal")
	require.NotContains(t, e.Error(), "network")
}

func TestExitSaysItsCode(t *testing.T) {
	for code, want := range map[int64]string{
		0: `scheduler "x": unregistered from BPF: bye`, 42: `scheduler "x": unregistered from BPF: bye (exit code 42)`,
		-22:                 `scheduler "x": unregistered from BPF: bye (exit code -22)`,
		1<<48 | 1<<32:       `scheduler "x": unregistered from BPF: bye (exit code SCX_ECODE_ACT_RESTART | SCX_ECODE_RSN_HOTPLUG)`,
		1<<48 | 1<<33 | 0x5: `scheduler "x": unregistered from BPF: bye (exit code SCX_ECODE_ACT_RESTART | 0x200000005)`,
	} {
		require.Equal(t, want, Exit{Scheduler: "x", Reason: "unregistered from BPF", Message: "bye", Code: code}.String())
	}
}
