package object_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
)

func TestInitialValuesAreThoseOfTheFile(t *testing.T) {
	eachZoo(t, func(t *testing.T, obj *object.Object) {
		for name, want := range map[string]uint64{".data": 5, ".rodata.limits": 3, ".addr_space.1": 11} {
			data := obj.Section(name).Data
			require.GreaterOrEqual(t, len(data), 8, name)
			require.Equal(t, want, obj.ByteOrder.Uint64(data), name)
		}
		require.Nil(t, obj.Section(".bss.big").Data, "all of it is zero")
		require.Nil(t, obj.Section(".kconfig").Data)

		ops := obj.Map("zoo_ops")
		flags, err := ktbtf.FieldOf(ops.Value, "flags")
		require.NoError(t, err)
		require.Len(t, ops.Initial, int(ops.ValueSize))
		require.EqualValues(t, 1, obj.ByteOrder.Uint32(ops.Initial[flags.Offset:]))
	})
}
