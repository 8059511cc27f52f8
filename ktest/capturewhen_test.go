package ktest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCaptureWhenSaysWhatWasSeen(t *testing.T) {
	require.EqualError(t, &CaptureWhenError{Path: ".bss.nr_dispatched", Last: uint64(17), Looks: 1203, Err: context.DeadlineExceeded},
		"the condition on .bss.nr_dispatched has not come true; its value is 17 (seen 1203 times): context deadline exceeded")
	require.EqualError(t, &CaptureWhenError{Path: ".bss.nr_dispatched", Err: ErrNoScheduler},
		"the condition on .bss.nr_dispatched was not looked at: no scheduler is attached")
}
