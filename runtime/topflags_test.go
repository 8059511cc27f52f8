package runtime

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Only what is made as the ids of dispatch queues are is taken apart.
func TestTopFlagsAreOfEnumsThatCombineThem(t *testing.T) {
	enum := func(size int, values ...uint64) *ctype.Shape {
		s := &ctype.Shape{Kind: ctype.KindEnum, Name: "e", Size: size}
		for i, v := range values {
			s.Values = append(s.Values, ctype.EnumValue{Name: string(rune('A' + i)), Value: v})
		}
		return s
	}
	const top, next = 1 << 63, 1 << 62
	for name, c := range map[string]struct {
		enum  *ctype.Shape
		value uint64
		want  string
	}{
		"a bit and a number":      {enum(8, top, top|1, top|2), top | 9, "A|9"},
		"two bits":                {enum(8, top, next, top|1, next|2), top | next | 9, "A|B|9"},
		"two bits with a name":    {enum(8, top, next, top|next, top|1), top | next | 9, "C|9"},
		"a number":                {enum(8, top, top|1), 9, "e(9)"},
		"a bit without a name":    {enum(8, top, top|1), top | next, "A|4611686018427387904"},
		"no combination":          {enum(8, top, 1, 2), top | 1, "e(9223372036854775809)"},
		"low bits":                {enum(4, 4, 5, 6, 8), 7, "e(7)"},
		"numbers above the bit":   {enum(4, 1<<16, 1<<16|1, 1<<17|3), 1<<16 | 7, "e(65543)"},
		"32 bits":                 {enum(4, 1<<31, 1<<31|1), 1<<31 | 7, "A|7"},
		"a bit below what is one": {enum(8, top, top|1, next), next | 1, "e(4611686018427387905)"},
	} {
		require.Equal(t, c.want, JoinTags("e", c.value, c.enum.TopFlags()), name)
	}
	signed := enum(8, top, top|1)
	signed.Signed = true
	require.Nil(t, signed.TopFlags())
}
