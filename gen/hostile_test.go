package gen_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
)

// Kinds of types in BTF, with bits of their info word.
const (
	kindInt    = 1 << 24
	kindPtr    = 2 << 24
	kindArray  = 3 << 24
	kindStruct = 4 << 24
	kindUnion  = 5 << 24
	kindEnum   = 6 << 24
	kindFwd    = 7 << 24
	kindDef    = 8 << 24 // typedef
	kindFloat  = 16 << 24
	kindEnum64 = 19 << 24
	bitfields  = 1 << 31 // member offsets have widths
)

// btfOf assembles BTF from its strings and the words of its types.
func btfOf(strings string, words ...uint32) []byte {
	b := binary.LittleEndian.AppendUint16(nil, 0xeb9f)
	b = append(b, 1, 0)
	for _, n := range []int{24, 0, 4 * len(words), 4 * len(words), len(strings)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(n))
	}
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return append(b, strings...)
}

// hostile are types that no compiler makes, and the rule that each breaks;
// none if there is code for it.
var hostile = map[string]struct {
	btf  []byte
	rule string
}{
	"a struct in itself":         {btfOf("\x00s\x00m\x00", 1, kindStruct|1, 8, 3, 1, 0), "contains itself"},
	"a typedef of itself":        {btfOf("\x00t\x00", 1, kindDef, 1), "type"},
	"an array of itself":         {btfOf("\x00", 0, kindArray, 0, 1, 1, 4), "type"},
	"a pointer to itself":        {btfOf("\x00", 0, kindPtr, 1), ""},
	"structs in one another":     {btfOf("\x00s\x00t\x00m\x00", 1, kindStruct|1, 8, 5, 2, 0, 3, kindStruct|1, 8, 5, 1, 0), "contains itself"},
	"a list":                     {btfOf("\x00s\x00next\x00", 1, kindStruct|1, 8, 3, 2, 0, 0, kindPtr, 1), ""},
	"an id out of range":         {btfOf("\x00s\x00m\x00", 1, kindStruct|1, 8, 3, 77, 0), "refers to type 77 of 1"},
	"a name out of range":        {btfOf("\x00s\x00", 99, kindStruct, 8), "name at 99"},
	"an array that overflows":    {btfOf("\x00int\x00", 1, kindInt, 4, 32, 0, kindArray, 0, 1, 1, 0xffffffff), "bytes"},
	"arrays that overflow":       {btfOf("\x00int\x00", 1, kindInt, 8, 64, 0, kindArray, 0, 1, 1, 1<<31, 0, kindArray, 0, 2, 1, 1<<31), "bytes"},
	"a member beyond its struct": {btfOf("\x00s\x00m\x00int\x00", 1, kindStruct|1, 4, 3, 2, 64, 5, kindInt, 4, 32), "member"},
	"a wide bitfield":            {btfOf("\x00s\x00m\x00int\x00", 1, bitfields|kindStruct|1, 16, 3, 2, 77<<24, 5, kindInt, 4, 32), "bit"},
	"an integer of 3 bytes":      {btfOf("\x00int\x00", 1, kindInt, 3, 24), ""},
	"a float of 16 bytes":        {btfOf("\x00f\x00", 1, kindFloat, 16), ""},
	"an empty struct":            {btfOf("\x00s\x00", 1, kindStruct, 0), ""},
	"an empty union in a struct": {btfOf("\x00s\x00m\x00", 1, kindStruct|1, 4, 3, 2, 0, 0, kindUnion, 0), ""},
	"an array of nothing":        {btfOf("\x00s\x00", 1, kindStruct, 0, 0, kindArray, 0, 1, 1, 1<<30), ""},
	"an enum without values":     {btfOf("\x00e\x00", 1, kindEnum, 4), ""},
	"an enum of 8 bytes":         {btfOf("\x00e\x00A\x00", 1, kindEnum64|1, 8, 3, 0xffffffff, 0xffffffff), ""},
	"a declaration":              {btfOf("\x00s\x00", 1, kindFwd, 0, 0, kindPtr, 1), ""},
	"members of one name":        {btfOf("\x00s\x00m\x00int\x00", 1, kindStruct|2, 8, 3, 2, 0, 3, 2, 32, 5, kindInt, 4, 32), ""},
	"Go's words as names":        {btfOf("\x00func\x00type\x00int\x00", 1, kindStruct|2, 8, 6, 2, 0, 1, 2, 32, 11, kindInt, 4, 32), ""},
	"names of other bytes":       {btfOf("\x00s`\n*/\xff\x01\x00\xe2\x80\xa8;\x00int\x00", 1, kindStruct|1, 4, 9, 2, 0, 14, kindInt, 4, 32), ""},
	"two structs of one name":    {btfOf("\x00s\x00int\x00m\x00", 1, kindStruct|1, 4, 7, 3, 0, 1, kindStruct|1, 8, 7, 3, 32, 3, kindInt, 4, 32), ""},
}

// Types that no compiler makes are refused with the rule they break, or there
// is code for them, which Render type-checks.
func TestHostileTypesAreRefusedOrGenerate(t *testing.T) {
	for name, tc := range hostile {
		t.Run(name, func(t *testing.T) {
			err := generateTypes(tc.btf)
			if tc.rule == "" {
				require.NoError(t, err)
				return
			}
			var format *ktbtf.FormatError
			require.ErrorAs(t, err, &format)
			require.ErrorContains(t, err, tc.rule)
		})
	}
}

// maxHostile bounds how many types of one input get a map.
const maxHostile = 64

// generateTypes generates code for an object that has a map with values of
// each type.
func generateTypes(raw []byte) error {
	spec, err := ktbtf.Parse(raw)
	if err != nil {
		return err
	}
	obj := &object.Object{Name: "hostile.bpf.o", ByteOrder: binary.LittleEndian, Types: spec}
	for typ, err := range spec.All() {
		if err != nil {
			return err
		}
		if len(obj.Maps) == maxHostile {
			break
		}
		switch typ.(type) {
		case *btf.Void, *btf.Func, *btf.FuncProto, *btf.Datasec, *btf.Var, *btf.Fwd:
			continue
		}
		obj.Maps = append(obj.Maps, object.Map{
			Name: fmt.Sprint("m", len(obj.Maps)), Type: 1, Key: typ, Value: typ, KeySize: 4, ValueSize: 4, MaxEntries: 1,
		})
	}
	model, err := gen.Build(obj, gen.Options{Package: "hostile"})
	if err != nil {
		return err
	}
	src, err := model.Render()
	if err != nil {
		return fmt.Errorf("rendering: %w", err)
	}
	if err := compiles(src); err != nil {
		return fmt.Errorf("rendering: %w", err)
	}
	return nil
}

// FuzzTypes: whatever the types, they are refused before rendering, or what is
// rendered compiles.
func FuzzTypes(f *testing.F) {
	for _, tc := range hostile {
		f.Add(tc.btf)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		spec, err := ktbtf.Parse(raw)
		if err != nil || spec == nil {
			return
		}
		if err := generateTypes(raw); err != nil {
			require.NotContains(t, err.Error(), "rendering: ")
		}
	})
}
