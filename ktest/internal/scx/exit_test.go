package scx

import (
	"testing"

	"github.com/stretchr/testify/require"
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
