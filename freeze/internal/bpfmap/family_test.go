package bpfmap

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// A row in the table of map kinds promises that maps of the type can be read.
func TestEveryKindOfMapHasAReader(t *testing.T) {
	readers := make(map[ktsnap.MapType]int)
	for _, f := range families {
		for _, typ := range f.types {
			readers[typ]++
		}
	}
	for typ := ktsnap.MapTypeHash; typ < 256; typ++ {
		want := 1
		if typ.Unreadable() != "" || strings.HasPrefix(typ.String(), "map type ") {
			want = 0
		}
		require.Equal(t, want, readers[typ], "readers of %v in families", typ)
	}
}
