package runtime_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeTB is a test that fails without failing the test that uses it.
type fakeTB struct {
	output   bytes.Buffer
	cleanups []func()
}

// failedNow is what fakeTB's FailNow panics with.
type failedNow struct{}

func (f *fakeTB) Output() io.Writer      { return &f.output }
func (f *fakeTB) FailNow()               { panic(failedNow{}) }
func (f *fakeTB) Cleanup(cleanup func()) { f.cleanups = append(f.cleanups, cleanup) }

// message runs a read that fails and returns what the test would print.
func (f *fakeTB) message(t *testing.T, read func()) string {
	t.Helper()
	require.PanicsWithValue(t, failedNow{}, read)
	message := strings.TrimSuffix(f.output.String(), "\n")
	f.output.Reset()
	return message
}
