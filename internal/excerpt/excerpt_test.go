package excerpt

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestBeginningAndEndAreKeptHoweverTheyAreWritten(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		b := &Buffer{Size: 40}
		var all string
		for range random.IntN(20) {
			piece := strings.Repeat(string(rune('a'+random.IntN(26))), random.IntN(60))
			n, err := b.Write([]byte(piece))
			require.NoError(t, err)
			require.Equal(t, len(piece), n)
			all += piece
			want := all
			if len(all) > 40 {
				want = fmt.Sprintf("%s\n(%d bytes are left out here)\n%s", all[:10], len(all)-40, all[len(all)-30:])
			}
			if random.IntN(2) == 0 {
				require.Equal(t, want, b.String())
			}
		}
		require.LessOrEqual(t, cap(b.head)+cap(b.tail), 256)
	}
}

func TestLinesInTheMiddleAreCounted(t *testing.T) {
	require.Equal(t, "1\n2\n3", Lines("1\n2\n3\n", 1, 2))
	require.Equal(t, "1\n(2 lines, 6 bytes, are left out here)\n4", Lines("1\n22\n33\n4", 1, 1))
	require.Empty(t, Lines("\n", 1, 1))
}
