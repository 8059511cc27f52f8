package ktest_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
)

// A timer of a guest is shown as the kernel's own that its words lead to.
func TestDumpsTellThatATimerOfAGuestIsSet(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("races")})
	snap := vm.Freeze("now")
	timer, err := snap.Map("tickers").At(0).Get("timer.__opaque[0]").Uint64()
	require.NoError(t, err)
	require.Greater(t, timer, uint64(0xffff_8000_0000_0000), "an address of the kernel")
	var text, doc bytes.Buffer
	require.NoError(t, dump.Text(&text, snap, dump.Options{Maps: []string{"tickers"}}))
	require.Contains(t, text.String(), fmt.Sprintf("set: %#x", timer))
	require.NoError(t, dump.JSON(&doc, snap, "tickers"))
	require.Contains(t, doc.String(), fmt.Sprintf(`"$callback":"%#x"`, timer))
}
