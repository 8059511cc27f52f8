package gen_test

import (
	"encoding/binary"
	"regexp"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Enumerators have their name in C, with the type in front where that is not theirs
// alone.
func TestEnumeratorsAreCalledAsInC(t *testing.T) {
	first := objectWith(t, "first.bpf.o", &btf.Struct{Name: "Item", Size: 8, Members: []btf.Member{
		{Name: "one", Type: enum("one", "ALPHA", "beta", "Item", "_GAMMA", "DELTA", "Bss")},
		{Name: "two", Type: enum("two", "ALPHA", "EPSILON"), Offset: 32},
	}})
	second := objectWith(t, "second.bpf.o", &btf.Struct{Name: "other", Size: 8, Members: []btf.Member{
		{Name: "two", Type: enum("two", "ALPHA", "EPSILON")},
		{Name: "three", Type: enum("three", "DELTA", "ZETA", "Snap", "FirstSnap"), Offset: 32},
	}})
	for name, c := range map[string]struct {
		objects []*object.Object
		opts    gen.Options
		want    []string
	}{
		"of one object": {[]*object.Object{first}, gen.Options{},
			[]string{"One_ALPHA", "One_beta", "One_Item", "One__GAMMA", "DELTA", "Bss", "Two_ALPHA", "EPSILON"}},
		"of several": {[]*object.Object{first, second}, gen.Options{},
			[]string{"One_ALPHA", "One_beta", "One_Item", "One__GAMMA", "One_DELTA", "Bss", "Three_DELTA", "ZETA", "Snap", "Three_FirstSnap", "Two_ALPHA", "EPSILON"}},
		"with a chosen name": {[]*object.Object{first}, gen.Options{Renames: []gen.Rename{{C: "one.DELTA", Go: "EPSILON"}}},
			[]string{"One_ALPHA", "One_beta", "One_Item", "One__GAMMA", "EPSILON", "Bss", "Two_ALPHA", "Two_EPSILON"}},
	} {
		t.Run(name, func(t *testing.T) {
			c.opts.Package = "p"
			p, err := gen.BuildPackage(c.objects, c.opts)
			require.NoError(t, err)
			files, err := p.Files(-1)
			require.NoError(t, err)
			var got []string
			for _, match := range regexp.MustCompile(`(?m)^\t(\w+) +(?:One|Two|Three) += \d+$`).FindAllStringSubmatch(string(files[0]), -1) {
				got = append(got, match[1])
			}
			require.Equal(t, c.want, got)
		})
	}
}

func enum(name string, enumerators ...string) *btf.Enum {
	e := &btf.Enum{Name: name, Size: 4}
	for i, c := range enumerators {
		e.Values = append(e.Values, btf.EnumValue{Name: c, Value: uint64(i)})
	}
	return e
}

// objectWith is an object with a map of values.
func objectWith(t *testing.T, name string, value *btf.Struct) *object.Object {
	t.Helper()
	builder, err := btf.NewBuilder([]btf.Type{value}, nil)
	require.NoError(t, err)
	raw, err := builder.Marshal(nil, nil)
	require.NoError(t, err)
	types, err := ktbtf.Parse(raw)
	require.NoError(t, err)
	parsed, err := types.AnyTypeByName(value.Name)
	require.NoError(t, err)
	return &object.Object{
		Name: name, ByteOrder: binary.LittleEndian, Types: types,
		Maps: []object.Map{{Name: "m", Type: uint32(ktsnap.MapTypeArray), KeySize: 4, ValueSize: value.Size, Value: parsed, MaxEntries: 1}},
	}
}
