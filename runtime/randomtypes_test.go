package runtime_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	cbtf "github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes objects whose maps and sections have random types.

// typeMaker makes random types, those of one object.
type typeMaker struct {
	*rand.Rand
	names   int
	named   []cbtf.Type // structs and unions that pointers can lead to
	scalars []cbtf.Type
}

func newTypeMaker(seed uint64) *typeMaker {
	r := &typeMaker{Rand: rand.New(rand.NewPCG(seed, 99))}
	for _, size := range []uint32{1, 2, 4, 8, 16} {
		r.scalars = append(r.scalars,
			&cbtf.Int{Name: fmt.Sprintf("u%d", 8*size), Size: size},
			&cbtf.Int{Name: fmt.Sprintf("s%d", 8*size), Size: size, Encoding: cbtf.Signed})
	}
	r.scalars = append(r.scalars, char,
		&cbtf.Int{Name: "_Bool", Size: 1, Encoding: cbtf.Bool},
		&cbtf.Float{Name: "float", Size: 4}, &cbtf.Float{Name: "double", Size: 8})
	return r
}

var char = &cbtf.Int{Name: "char", Size: 1, Encoding: cbtf.Signed}

func (r *typeMaker) name(prefix string) string {
	r.names++
	return fmt.Sprintf("%s%d", prefix, r.names)
}

// memberName is one that Go exports by its first letter, or cannot.
func (r *typeMaker) memberName() string {
	return r.name([]string{"m", "M", "_x", "two_words", "type", "String"}[r.IntN(6)])
}

func (r *typeMaker) scalar() cbtf.Type {
	switch r.IntN(5) {
	case 0:
		return r.enum()
	case 1:
		return &cbtf.Typedef{Name: r.name("t"), Type: r.scalars[r.IntN(len(r.scalars))]}
	case 2:
		return &cbtf.Volatile{Type: r.scalars[r.IntN(len(r.scalars))]}
	}
	return r.scalars[r.IntN(len(r.scalars))]
}

// enum has values one after another, or flags.
func (r *typeMaker) enum() cbtf.Type {
	e := &cbtf.Enum{Name: r.name("e"), Size: 1 << r.IntN(4), Signed: r.IntN(2) == 0}
	flags := r.IntN(3) == 0
	for i := range 2 + r.IntN(4) {
		value := uint64(i)
		if flags {
			value = 1 << i
		}
		e.Values = append(e.Values, cbtf.EnumValue{Name: r.name("V"), Value: value})
	}
	return e
}

// pointer leads to a struct of the object, to one of the kernel's, to another
// pointer, or nobody knows where.
func (r *typeMaker) pointer() cbtf.Type {
	p := &cbtf.Pointer{Target: &cbtf.Void{}}
	switch n := r.IntN(10); {
	case n < 6 && len(r.named) > 0:
		p.Target = r.named[r.IntN(len(r.named))]
	case n == 6:
		p.Target = &cbtf.Fwd{Name: "task_struct"}
	case n == 7:
		p.Target = &cbtf.FuncProto{Return: &cbtf.Void{}}
	case n == 8 && len(r.named) > 0:
		p.Target = &cbtf.Pointer{Target: r.named[r.IntN(len(r.named))]}
	case n == 9:
		p.Target = r.scalars[r.IntN(8)]
	}
	return p
}

func (r *typeMaker) array(elem cbtf.Type) cbtf.Type {
	return &cbtf.Array{Index: r.scalars[4], Type: elem, Nelems: uint32(1 + r.IntN(4))}
}

// value returns any type that can be a member.
func (r *typeMaker) value(depth int) cbtf.Type {
	switch n := r.IntN(12); {
	case depth > 0 && n < 2:
		return r.structure(depth-1, r.name("s"))
	case depth > 0 && n == 2:
		return r.union(depth-1, r.name("u"))
	case depth > 0 && n < 5:
		return r.array(r.value(depth - 1))
	case n < 7:
		return r.pointer()
	case n == 7:
		return &cbtf.Array{Index: r.scalars[4], Type: char, Nelems: uint32(1 + r.IntN(16))}
	}
	return r.scalar()
}

// structure has members one after another with holes, bitfields and anonymous
// members among them.
func (r *typeMaker) structure(depth int, name string) *cbtf.Struct {
	s := &cbtf.Struct{Name: name}
	for range 1 + r.IntN(6) {
		s.Size += uint32(r.IntN(3))
		switch {
		case r.IntN(6) == 0:
			r.bitfields(s)
		case depth > 0 && r.IntN(8) == 0:
			r.add(s, "", r.structure(depth-1, ""))
		case depth > 0 && r.IntN(8) == 0:
			r.add(s, "", r.union(depth-1, ""))
		default:
			r.add(s, r.memberName(), r.value(depth))
		}
	}
	if name != "" {
		r.named = append(r.named, s)
	}
	return s
}

func (r *typeMaker) add(s *cbtf.Struct, name string, t cbtf.Type) {
	s.Members = append(s.Members, cbtf.Member{Name: name, Type: t, Offset: cbtf.Bits(8 * s.Size)})
	s.Size += sizeOf(t)
}

func sizeOf(t cbtf.Type) uint32 {
	n, err := cbtf.Sizeof(t)
	if err != nil {
		panic(err) // a type that this file does not make
	}
	return uint32(n)
}

// bitfields adds bitfields that share one storage unit.
func (r *typeMaker) bitfields(s *cbtf.Struct) {
	unit := r.scalars[4+r.IntN(4)]
	width := int(8 * sizeOf(unit))
	for bit := 0; bit < width-1; {
		bits := 1 + r.IntN(min(40, width-bit))
		s.Members = append(s.Members, cbtf.Member{Name: r.name("b"), Type: unit, Offset: cbtf.Bits(8*int(s.Size) + bit), BitfieldSize: cbtf.Bits(bits)})
		bit += bits + r.IntN(3)
	}
	s.Size += uint32(width / 8)
}

func (r *typeMaker) union(depth int, name string) *cbtf.Union {
	u := &cbtf.Union{Name: name}
	for range 2 + r.IntN(2) {
		t := r.value(depth)
		u.Members = append(u.Members, cbtf.Member{Name: r.memberName(), Type: t})
		u.Size = max(u.Size, sizeOf(t))
	}
	if name != "" {
		r.named = append(r.named, u)
	}
	return u
}

// randomMaps are the kinds of the maps of an object, in turn.
var randomMaps = []ktsnap.MapType{
	ktsnap.MapTypeArray, ktsnap.MapTypeHash, ktsnap.MapTypePerCPUArray, ktsnap.MapTypeLRUHash, ktsnap.MapTypePerCPUHash, ktsnap.MapTypeTaskStorage,
}

// randomObject makes an object with n random types: one for the values of each
// kind of map, the others for global variables.
func randomObject(t testing.TB, seed uint64, n int) *object.Object {
	t.Helper()
	r := newTypeMaker(seed)
	keys := []cbtf.Type{
		r.scalars[4], // u32
		&cbtf.Array{Index: r.scalars[4], Type: char, Nelems: 12},
		&cbtf.Struct{Name: "key", Size: 8, Members: []cbtf.Member{{Name: "cpu", Type: r.scalars[4]}, {Name: "id", Type: r.scalars[5], Offset: 32}}},
	}
	section := &cbtf.Datasec{Name: ".bss"}
	var types []cbtf.Type
	for i := range n {
		root := r.structure(3, fmt.Sprintf("root%d", i))
		types = append(types, root)
		if i >= len(randomMaps) {
			v := &cbtf.Var{Name: fmt.Sprintf("var%d", i), Type: root, Linkage: cbtf.GlobalVar}
			section.Vars = append(section.Vars, cbtf.VarSecinfo{Type: v, Offset: section.Size, Size: root.Size})
			section.Size += (root.Size + 7) &^ 7
		}
	}
	spec := parsedBTF(t, append(append(types, keys...), section))
	obj := &object.Object{Name: fmt.Sprintf("r%d.bpf.o", seed), ByteOrder: binary.LittleEndian, Types: spec}
	for i, kind := range randomMaps {
		var root *cbtf.Struct
		require.NoError(t, spec.TypeByName(fmt.Sprintf("root%d", i), &root))
		key := keys[0]
		if kind == ktsnap.MapTypeHash || kind == ktsnap.MapTypeLRUHash || kind == ktsnap.MapTypePerCPUHash {
			key = keys[r.IntN(len(keys))]
		}
		obj.Maps = append(obj.Maps, object.Map{
			Name: fmt.Sprintf("map%d", i), Type: uint32(kind), KeySize: sizeOf(key), ValueSize: root.Size, MaxEntries: 3,
			Key: key, Value: root, Section: ".maps",
		})
	}
	var bss *cbtf.Datasec
	require.NoError(t, spec.TypeByName(".bss", &bss))
	s := object.Section{Name: ".bss", Kind: object.BSS, Size: uint64(bss.Size), Type: bss}
	for _, v := range bss.Vars {
		s.Vars = append(s.Vars, object.Var{Name: v.Type.TypeName(), Offset: v.Offset, Size: v.Size, Type: v.Type.(*cbtf.Var).Type})
	}
	obj.Sections = append(obj.Sections, s)
	return obj
}

// parsedBTF writes types as BTF and reads it back, as it comes from an object.
func parsedBTF(t testing.TB, types []cbtf.Type) *cbtf.Spec {
	t.Helper()
	builder, err := cbtf.NewBuilder(types, nil)
	require.NoError(t, err)
	raw, err := builder.Marshal(nil, nil)
	require.NoError(t, err)
	spec, err := btf.Parse(raw)
	require.NoError(t, err)
	return spec
}
