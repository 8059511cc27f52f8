package public_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/cast/live"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// held sums up what captures of several schedulers have where pointers were found.
type held struct {
	captures, silent int
	places, seen     map[cast.Class]int
}

func newHeld() *held {
	return &held{places: make(map[cast.Class]int), seen: make(map[cast.Class]int)}
}

// hold requires that each value in a place where pointers were found leads to what the finding
// says.
func (h *held) hold(t *testing.T, path string, snap *ktsnap.Snapshot) {
	t.Helper()
	obj, err := object.Open(path)
	require.NoError(t, err)
	r := live.Check(cast.Analyze(obj), snap)
	h.captures++
	for _, c := range r.Claims {
		h.places[c.Finding.Class]++
		if c.Seen() {
			h.seen[c.Finding.Class]++
		}
		require.Zero(t, c.Wrong, "%s: %v", c.Name, c.Examples)
	}
	for _, p := range r.Silent {
		h.silent++
		t.Logf("no finding: %s holds %d addresses, and %d zeros, such as at %s", p.Name, p.Addresses, p.Null, p.Example)
	}
}

func (h *held) String() string {
	s := fmt.Sprintf("%d captures", h.captures)
	for _, class := range []cast.Class{cast.Proven, cast.Likely, cast.Guessed} {
		s += fmt.Sprintf("; %v: %d places, %d with pointers, 0 wrong", class, h.places[class], h.seen[class])
	}
	return s + fmt.Sprintf("; %d integers without a finding that hold addresses", h.silent)
}
