package scenario

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLastWordsAreShort(t *testing.T) {
	require.Equal(t, ", and has written nothing to its standard error", lastWords([]byte(" \n")))
	require.Equal(t, ": no such file", lastWords([]byte("no such file\n")))
	long := lastWords([]byte(strings.Repeat("x", 5000) + "the end"))
	require.Less(t, len(long), 1100)
	require.Regexp(t, `^: \(3983 bytes before\) x+the end$`, long)
}
