package freeze

import (
	"bytes"
	"testing"

	ebtf "github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// made is a map as the kernel has it.
func made(id uint32, name string, typ ktsnap.MapType, valueSize int) *bpfmap.Map {
	return &bpfmap.Map{Map: ktsnap.Map{ID: id, Name: name, Type: typ, KeySize: 4, ValueSize: valueSize}}
}

func specOf(t *testing.T, types ...ebtf.Type) *ebtf.Spec {
	b, err := ebtf.NewBuilder(types, nil)
	require.NoError(t, err)
	raw, err := b.Marshal(nil, nil)
	require.NoError(t, err)
	spec, err := ebtf.LoadSpecFromReader(bytes.NewReader(raw))
	require.NoError(t, err)
	return spec
}

func TestMapsOfOneNameAreToldApart(t *testing.T) {
	const short = "tasks_per_domai"
	define := func(end string, typ ktsnap.MapType, valueSize int) *definition {
		return &definition{name: short + end, typ: typ, keySize: 4, valueSize: valueSize}
	}
	sum, most := define("n_sum", ktsnap.MapTypeArray, 8), define("n_max", ktsnap.MapTypeArray, 8)
	seen, kept := define("n_seen", ktsnap.MapTypeHash, 8), define("n_kept", ktsnap.MapTypeArray, 4)
	array := func(id uint32) *bpfmap.Map { return made(id, short, ktsnap.MapTypeArray, 8) }
	for name, row := range map[string]struct {
		defs []*definition
		maps []*bpfmap.Map
		want map[uint32]string
	}{
		"in the order of their ids": {
			[]*definition{sum, most}, []*bpfmap.Map{array(9), array(3)},
			map[uint32]string{3: sum.name, 9: most.name},
		},
		"by type, when one was not made": {
			[]*definition{sum, most, seen}, []*bpfmap.Map{made(5, short, ktsnap.MapTypeHash, 8)},
			map[uint32]string{5: seen.name},
		},
		"by size, in another order": {
			[]*definition{sum, kept}, []*bpfmap.Map{made(5, short, ktsnap.MapTypeArray, 4), array(6)},
			map[uint32]string{5: kept.name, 6: sum.name},
		},
		"not, when one of two that are alike was not made": {
			[]*definition{sum, most}, []*bpfmap.Map{array(5)}, map[uint32]string{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(map[uint32]string)
			p := &program{definitions: row.defs}
			p.match(row.maps, func(m *bpfmap.Map, d *definition) { got[m.ID] = d.name })
			require.Equal(t, row.want, got)
		})
	}
}

func TestDefinitionsThatAreNoneAreLeftOut(t *testing.T) {
	integer := &ebtf.Int{Name: "int", Size: 4}
	spell := func(n uint32) ebtf.Type {
		return &ebtf.Pointer{Target: &ebtf.Array{Type: integer, Index: integer, Nelems: n}}
	}
	section := &ebtf.Datasec{Name: ".maps", Vars: []ebtf.VarSecinfo{
		{Type: &ebtf.Var{Name: "number", Type: integer}},
		{Type: &ebtf.Func{Name: "function"}},
		{Type: &ebtf.Var{Name: "odd", Type: &ebtf.Struct{Members: []ebtf.Member{{Name: "type", Type: integer}, {Name: "value", Type: integer}, {Name: "values", Type: integer}}}}},
		{Type: &ebtf.Var{Name: "queue", Type: &ebtf.Struct{Members: []ebtf.Member{{Name: "type", Type: spell(22)}, {Name: "value", Type: &ebtf.Pointer{Target: integer}}}}}},
	}}
	var got []*definition
	require.NotPanics(t, func() { got = definitionsIn(specOf(t), section) })
	require.Equal(t, []*definition{
		{name: "odd", valueSize: 4},
		{name: "queue", typ: ktsnap.MapTypeQueue, value: integer, valueSize: 4},
	}, got)
}

// A ring buffer's tag names the type of its records.
func TestRecordsHaveTheTypeThatATagNames(t *testing.T) {
	integer := &ebtf.Int{Name: "int", Size: 4, Encoding: ebtf.Signed}
	event := &ebtf.Struct{Name: "event", Size: 4, Members: []ebtf.Member{{Name: "pid", Type: integer}}}
	ring := func(name string, tags ...string) *ebtf.Var {
		typ := &ebtf.Pointer{Target: &ebtf.Array{Type: integer, Index: integer, Nelems: uint32(ktsnap.MapTypeRingBuf)}}
		return &ebtf.Var{Name: name, Linkage: ebtf.GlobalVar, Tags: tags, Type: &ebtf.Struct{Size: 8, Members: []ebtf.Member{{Name: "type", Type: typ}}}}
	}
	section := &ebtf.Datasec{Name: ".maps"}
	for i, v := range []*ebtf.Var{ring("bytes"), ring("events", "other", "ktgen:record:event"), ring("lost", "ktgen:record:evnt")} {
		section.Vars = append(section.Vars, ebtf.VarSecinfo{Type: v, Offset: uint32(8 * i), Size: 8})
	}
	section.Size = uint32(8 * len(section.Vars))
	records := make(map[string]string)
	for _, d := range definitions(specOf(t, event, section)) {
		if d.record != nil {
			records[d.name] = d.record.TypeName()
		}
	}
	require.Equal(t, map[string]string{"events": "event"}, records)
}

// libbpf drops the type of a section that it makes larger or smaller, unless it can make the
// array at its end so.
func TestSectionsWithoutATypeAreFoundInTheBTF(t *testing.T) {
	const btfAddr = 0xffff_8880_0000_1000
	section := func(name string, size uint32) *ebtf.Datasec {
		number := &ebtf.Var{Name: "v", Type: &ebtf.Int{Name: "int", Size: 4}, Linkage: ebtf.GlobalVar}
		return &ebtf.Datasec{Name: name, Size: size, Vars: []ebtf.VarSecinfo{{Type: number, Size: 4}}}
	}
	spec := specOf(t, section(".bss", 16), section(".data.statistics_of_all", 24), section(".data.empty", 0))
	defs := definitions(spec)
	require.Len(t, defs, 2)
	bss, long := defs[0], defs[1]
	of := func(name string, valueSize, entries int, typ ktsnap.MapType) *bpfmap.Map {
		m := made(7, name, typ, valueSize)
		m.MaxEntries = entries
		return m
	}
	typed := of("sched.bss", 16, 1, ktsnap.MapTypeArray)
	typed.BTF, typed.ValueType = bpfmap.BTF{Addr: btfAddr}, uint32(bss.valueID)
	const array = ktsnap.MapTypeArray
	for name, row := range map[string]struct {
		m      *bpfmap.Map
		others []*bpfmap.Map
		want   *definition
	}{
		"larger":                   {of("sched.bss", 64, 1, array), nil, bss},
		"whose name is cut":        {of(".data.statistic", 64, 1, array), nil, long},
		"with the object's name":   {of("sched.data.stat", 64, 1, array), nil, long},
		"smaller than its types":   {of("sched.bss", 8, 1, array), nil, nil},
		"of several entries":       {of("sched.bss", 64, 2, array), nil, nil},
		"no array":                 {of("sched.bss", 64, 1, ktsnap.MapTypeHash), nil, nil},
		"of another name":          {of("sched.bssx", 64, 1, array), nil, nil},
		"of a program that has it": {of("other.bss", 64, 1, array), []*bpfmap.Map{typed}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			prog := &program{definitions: defs, decoded: true, spec: spec}
			p := &programs{known: map[bpfmap.BTF]*program{{Addr: btfAddr}: prog}}
			p.nameMaps(append([]*bpfmap.Map{row.m}, row.others...))
			require.Same(t, row.want, p.defined[row.m].definition)
		})
	}
}

func TestSectionsOfVariablesAreDefinitions(t *testing.T) {
	for name, want := range map[string]bool{
		".bss": true, ".data": true, ".data.recs": true, ".rodata.x": true,
		"": false, ".": false, "bss": false, ".bssx": false, ".maps": false, ".kconfig": false, ".addr_space.1": false, "data.": false,
	} {
		require.Equal(t, want, isVariables(name), "%q", name)
	}
}

func TestStructOpsAreDefinedByTheirVariables(t *testing.T) {
	ops := &ebtf.Struct{Name: "sched_ext_ops", Size: 8, Members: []ebtf.Member{{Name: "flags", Type: &ebtf.Int{Name: "u64", Size: 8}}}}
	section := func(name string, vars ...string) *ebtf.Datasec {
		s := &ebtf.Datasec{Name: name, Size: uint32(8 * len(vars))}
		for i, v := range vars {
			s.Vars = append(s.Vars, ebtf.VarSecinfo{Offset: uint32(8 * i), Size: 8, Type: &ebtf.Var{Name: v, Type: ops, Linkage: ebtf.GlobalVar}})
		}
		return s
	}
	spec := specOf(t, section(".struct_ops.link", "operations_of_one", "operations_of_two"), section("?.struct_ops", "operations_of_three"))

	got := make(map[uint32]string)
	p := &program{definitions: definitions(spec)}
	made := func(id uint32) *bpfmap.Map {
		return &bpfmap.Map{Map: ktsnap.Map{ID: id, Name: "operations_of_o", Type: ktsnap.MapTypeStructOps, KeySize: 4, ValueSize: 512}}
	}
	two := made(8)
	two.Name = "operations_of_t"
	p.match([]*bpfmap.Map{made(7), two}, func(m *bpfmap.Map, d *definition) { got[m.ID] = d.name })
	require.Equal(t, map[uint32]string{7: "operations_of_one"}, got, "of two and three, one was not made")
}

// Maps that user space makes have no BTF, and libbpf leaves it out when the kernel
// refuses it. What the program's definition says holds where the sizes are the same.
func TestTypesOfMapsWithoutBTFAreThoseOfTheirDefinition(t *testing.T) {
	d := &definition{
		name: "counts", keySize: 4, key: &ebtf.Int{Name: "int", Size: 4}, valueSize: 8, value: &ebtf.Int{Name: "u64", Size: 8},
	}
	for name, row := range map[string]struct {
		m          *bpfmap.Map
		btf        bpfmap.BTF
		key, value bool
	}{
		"hash":          {made(1, "counts", ktsnap.MapTypeHash, 8), bpfmap.BTF{}, true, true},
		"hash with BTF": {made(1, "counts", ktsnap.MapTypeHash, 8), bpfmap.BTF{Addr: 1}, true, false},
		"array":         {made(1, "counts", ktsnap.MapTypeArray, 8), bpfmap.BTF{}, true, true},
		"another size":  {made(1, "counts", ktsnap.MapTypeArray, 16), bpfmap.BTF{}, true, false},
		"queue":         {made(1, "counts", ktsnap.MapTypeQueue, 8), bpfmap.BTF{Addr: 1}, true, true},
		"devices":       {made(1, "counts", ktsnap.MapTypeDevMap, 8), bpfmap.BTF{}, true, true},
		"hash of maps":  {made(1, "counts", ktsnap.MapTypeHashOfMaps, 8), bpfmap.BTF{}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			row.m.BTF = row.btf
			require.NoError(t, d.describe(row.m, btf.NewShapes(nil)))
			require.Equal(t, row.key, row.m.Key != nil)
			require.Equal(t, row.value, row.m.Value != nil)
		})
	}
}

func TestSectionsWithoutATypeAreAsLongAsTheGuestHasThem(t *testing.T) {
	integer := &ebtf.Int{Name: "u64", Size: 8}
	section := func(name string, n uint32) *ebtf.Datasec {
		total := &ebtf.Var{Name: "total", Type: integer, Linkage: ebtf.GlobalVar}
		counts := &ebtf.Var{Name: "counts", Type: &ebtf.Array{Type: integer, Index: integer, Nelems: n}, Linkage: ebtf.GlobalVar}
		s := &ebtf.Datasec{Name: name, Size: 8 + 8*n, Vars: []ebtf.VarSecinfo{{Type: total, Size: 8}}}
		if n > 0 {
			s.Vars = append(s.Vars, ebtf.VarSecinfo{Type: counts, Offset: 8, Size: 8 * n})
		}
		return s
	}
	spec := specOf(t, section(".data.counts", 2), section(".data.total", 0))
	defs := definitions(spec)
	for name, row := range map[string]struct {
		of          *definition
		size, elems int
		fits, typed bool
	}{
		"longer":                      {defs[0], 48, 5, true, true},
		"as it is":                    {defs[0], 24, 2, true, true},
		"shorter":                     {defs[0], 16, 1, true, true},
		"without room for an element": {defs[0], 12, 0, false, false},
		"without an array":            {defs[1], 48, 0, true, true},
	} {
		m := made(1, row.of.name, ktsnap.MapTypeArray, row.size)
		m.MaxEntries = 1
		require.Equal(t, row.fits, row.of.fits(m), name)
		require.NoError(t, row.of.describe(m, btf.NewShapes(nil)), name)
		require.Equal(t, row.typed, m.Value != nil, name)
		if row.elems > 0 {
			require.Equal(t, row.elems, m.Value.Members[1].Type.Underlying().Len, name)
		}
	}
}
