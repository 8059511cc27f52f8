package cast

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTwoNumbersAreKeptApart: c ? 0 : 24 is none of the numbers between, until a
// third one is there.
func TestTwoNumbersAreKeptApart(t *testing.T) {
	two := constant(0).join(constant(24))
	require.Equal(t, []int64{0, 24}, two.all())
	require.Equal(t, []int64{8, 32}, two.add(constant(8)).all())
	require.Equal(t, []int64{-8, 16}, two.sub(constant(8)).all())
	require.Equal(t, []int64{0, 48}, two.mul(constant(2)).all())
	require.Equal(t, class(0, 8), two.join(constant(8)))
	require.Nil(t, two.join(constant(8)).all())
}
