package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Bytes that a terminal obeys, or that are no text, are shown as dumps show them.
func TestTextsAreBareIfTheyCanBePrinted(t *testing.T) {
	char := &ctype.Shape{Kind: ctype.KindChar, Name: "char", Size: 1}
	for text, want := range map[string]string{
		"worker/7":  "worker/7",
		"naïve":     "naïve",
		"":          "",
		"\x04\x12x": `"\x04\x12x"`,
		"\x1b[2J":   `"\x1b[2J"`,
		"a\nb":      `"a\nb"`,
		"\xff\xfe":  `"\xff\xfe"`,
	} {
		raw := make([]byte, 8)
		copy(raw, text)
		snap := &ktsnap.Snapshot{Maps: []*ktsnap.Map{{
			Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, N: 1, Total: 1, Slots: 1, Stride: 8, Values: raw,
			Value: &ctype.Shape{Kind: ctype.KindArray, Size: 8, Elem: char, Len: 8},
		}}}
		var out bytes.Buffer
		require.NoError(t, writeValue(&out, snap.Map("m").At(0).Get("")))
		require.Equal(t, want+"\n", out.String())
	}
}
