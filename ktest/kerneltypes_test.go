package ktest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Guests of one kernel share what is known of its types.
func TestTypesOfAKernelAreParsedOnce(t *testing.T) {
	k, err := Config{}.findKernel(t.Context())
	if err != nil {
		t.Skip(err)
	}
	first, err := typesOf(k)
	require.NoError(t, err)
	again, err := typesOf(k)
	require.NoError(t, err)
	require.Same(t, first, again)
}
