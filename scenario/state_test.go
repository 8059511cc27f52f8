package scenario

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/scenario/internal/wire"
)

// A CPU that has gone offline since is not one to put workers on.
func TestWhatAGuestSaysOfItselfTakesThePlaceOfWhatItSaidBefore(t *testing.T) {
	s := newState()
	s.learn(&wire.Facts{Possible: []int{0, 1, 2, 3}, Online: []int{0, 1, 3}})
	require.Equal(t, map[int]bool{0: true, 1: true, 3: true}, s.online)
	before := s.clone()
	s.learn(&wire.Facts{Possible: []int{0, 1, 2, 3}, Online: []int{0, 2}})
	require.Equal(t, map[int]bool{0: true, 2: true}, s.online)
	require.Equal(t, []int{0, 1, 2, 3}, s.cpus)
	require.Equal(t, map[int]bool{0: true, 1: true, 3: true}, before.online, "a copy keeps what it was made of")
}
