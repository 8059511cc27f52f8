package ktest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLatestLineWithAnObjectCounts(t *testing.T) {
	var s statsLines
	_, err := s.latest()
	require.ErrorIs(t, err, ErrNoStatsLine)
	for _, part := range []string{"starting {\n", `{"a":`, `1}`, "\nnoise\n[1]\n", `  {"a": 2} ` + "\r\n{broken}\n", `{"a":3}`} {
		s.write([]byte(part))
	}
	got, err := s.latest()
	require.NoError(t, err)
	require.Equal(t, `{"a": 2}`, string(got), "3 is not complete")

	s.write([]byte(strings.Repeat("x", maxStatsLine+1)))
	s.write([]byte("\n" + `{"a":4}` + "\n"))
	got, err = s.latest()
	require.NoError(t, err)
	require.Equal(t, `{"a":4}`, string(got))
	require.LessOrEqual(t, cap(s.partial), 2*maxStatsLine, "a line that is too long is not kept")
}
