package ctype

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnumsOfFlagsAreToldFromOthers(t *testing.T) {
	for name, c := range map[string]struct {
		values []uint64
		flags  int
	}{
		"bits":                        {[]uint64{1, 2, 4}, 3},
		"bits and none":               {[]uint64{0, 1, 2, 4}, 3},
		"bits and combinations":       {[]uint64{1, 2, 4, 8, 3, 15}, 4},
		"bits and a mask":             {[]uint64{1, 1 << 32, 1 << 40, 0xff << 56}, 3},
		"aliases":                     {[]uint64{1, 1, 2, 2, 4, 4}, 3},
		"numbers":                     {[]uint64{0, 1, 2, 3, 4}, 0},
		"numbers from 1":              {[]uint64{1, 2, 3, 4}, 0},
		"two bits":                    {[]uint64{1, 2}, 0},
		"few bits among many":         {[]uint64{1, 2, 4, 5, 6, 7, 9, 10, 11}, 0},
		"a value of bits without one": {[]uint64{1, 2, 4, 0x50}, 0},
		"nothing":                     {nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := &Shape{Kind: KindEnum, Size: 8}
			for _, v := range c.values {
				s.Values = append(s.Values, EnumValue{Name: "X", Value: v})
			}
			require.Len(t, s.Flags(), c.flags)
			s.Signed = true
			require.Nil(t, s.Flags())
		})
	}
}
