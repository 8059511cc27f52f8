package object

// This file reads BTF-defined maps: variables in ".maps" whose struct type
// spells the definition, as libbpf's macros make it.
//
//	__uint(name, 7)     int (*name)[7];
//	__ulong(name, 7)    enum { unique = 7 } name;
//	__type(name, T)     T *name;
//	__array(name, T)    T *name[];

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
)

const mapsSection = ".maps"

// Some of the kernel's enum bpf_map_type.
const (
	progArray   = 3
	arrayOfMaps = 12
	hashOfMaps  = 13
	structOps   = 26
)

func (o *Object) readMaps(f *file) error {
	s, err := o.definitions(f, mapsSection)
	if err != nil {
		return err
	}
	for _, v := range s.Vars {
		m, err := o.readMap(v)
		if errors.Is(err, errUnsized) {
			o.warnf("map %s is left out: %v", v.Name, err)
			continue
		}
		if err != nil {
			return &Error{File: f.name, Section: mapsSection, Offset: int64(v.Offset), Err: fmt.Errorf("map %s: %w", v.Name, err)}
		}
		o.Maps = append(o.Maps, *m)
	}
	return o.readLegacyMaps(f)
}

// definitions returns the variables of a section that defines things for the
// loader. It is empty if the object has no such section.
func (o *Object) definitions(f *file, name string) (Section, error) {
	s := Section{Name: name}
	for i, sec := range f.elf.Sections {
		if sec.Name != name {
			continue
		}
		s.Size, s.Type, s.Index = sec.Size, o.datasec(name), i
		if s.Type == nil {
			return s, &Error{File: f.name, Section: name, Offset: -1, Err: errors.New("BTF does not describe it"), Advice: "compile the object with clang -g"}
		}
		o.layOut(f, &s)
		return s, nil
	}
	return s, nil
}

func (o *Object) readMap(v Var) (*Map, error) {
	m := &Map{Name: v.Name, Tags: v.Tags, Section: mapsSection, Offset: v.Offset, Weak: v.Weak, Static: v.Static}
	m.placeValues(v.Type, v.Size)
	return m, o.define(m, v.Type, true)
}

// define reads the struct t into m. Only a map in ".maps" itself can hold
// others.
func (o *Object) define(m *Map, t btf.Type, outer bool) error {
	def, ok := btf.As[*btf.Struct](t)
	if !ok {
		return errors.New("its definition is no struct: " + howDefined)
	}
	d := definition{Map: m, obj: o, outer: outer}
	for i, member := range def.Members {
		if err := d.read(member); err != nil {
			return fmt.Errorf("%s: %w", member.Name, err)
		}
		if member.Name == "values" && i < len(def.Members)-1 {
			d.refuse("its values are not the last member of its definition: move them to its end")
		}
	}
	if m.Type == 0 {
		return errors.New("it has no type: " + howDefined)
	}
	return nil
}

// howDefined shows a definition.
const howDefined = `define it as struct { __uint(type, BPF_MAP_TYPE_ARRAY); ... } name SEC(".maps")`

// definition is a map while its members are read.
type definition struct {
	*Map
	obj   *Object
	outer bool
}

// refuse notes the first reason for which libbpf refuses the definition (parse_btf_map_def
// in tools/lib/bpf/libbpf.c).
func (d definition) refuse(format string, args ...any) {
	if d.Refused == "" {
		d.Refused = fmt.Sprintf(format, args...)
	}
}

func (d definition) read(m btf.Member) error {
	switch m.Name {
	case "type":
		return setUint32(&d.Type, m.Type)
	case "max_entries":
		return setUint32(&d.MaxEntries, m.Type)
	case "map_flags":
		return setUint32(&d.Flags, m.Type)
	case "numa_node":
		return setUint32(&d.NUMANode, m.Type)
	case "pinning":
		if !d.outer {
			d.refuse("a map inside of others cannot be pinned: define it without pinning")
		}
		return setUint32(&d.Pinning, m.Type)
	case "map_extra":
		return setUint64(&d.Extra, m.Type)
	case "key_size":
		return setSize(&d.KeySize, m.Type)
	case "value_size":
		return setSize(&d.ValueSize, m.Type)
	case "key":
		return d.setType(&d.Key, &d.KeySize, m)
	case "value":
		return d.setType(&d.Value, &d.ValueSize, m)
	case "values":
		return d.readValues(m.Type)
	}
	d.obj.warnf("map %s: definition has %s, which is not known; it is ignored", d.Name, m.Name)
	d.refuse("its definition has %s, which loaders do not know: leave it out, or write it as bpf/bpf_helpers.h does", m.Name)
	return nil
}

// readValues reads __array(values, T): the template of inner maps, or of a
// program array's programs.
func (d definition) readValues(t btf.Type) error {
	arr, ok := btf.As[*btf.Array](t)
	if !ok {
		return fmt.Errorf("is a %s, want an array of pointers", ktbtf.Spell(t))
	}
	ptr, ok := btf.As[*btf.Pointer](arr.Type)
	if !ok {
		return fmt.Errorf("is an array of %s, want an array of pointers", ktbtf.Spell(arr.Type))
	}
	if d.ValueSize == 0 {
		d.ValueSize = 4 // a map or program id
	}
	_, isMap := btf.As[*btf.Struct](ptr.Target)
	d.checkValues(arr, ptr, isMap)
	if !isMap {
		return nil
	}
	if !d.outer {
		return errors.New("an inner map cannot hold maps")
	}
	d.Inner = &Map{Name: d.Name + ".inner", Section: mapsSection, Offset: d.Offset}
	return d.obj.define(d.Inner, ptr.Target, false)
}

// checkValues says what is wrong with the values of a map.
func (d definition) checkValues(arr *btf.Array, ptr *btf.Pointer, isMap bool) {
	_, isFunc := btf.As[*btf.FuncProto](ptr.Target)
	switch {
	case d.Type != arrayOfMaps && d.Type != hashOfMaps && d.Type != progArray:
		d.refuse("its definition has values, and it is no map of maps and no program array: leave them out")
	case d.ValueSize != 4:
		d.refuse("its values have %d bytes, and the maps or programs in it are numbers of 4: leave its value out", d.ValueSize)
	case arr.Nelems != 0:
		d.refuse("its definition has room for %d values: declare them with __array", arr.Nelems)
	case d.Type == progArray && !isFunc:
		d.refuse("its values are %s, and those of a program array are functions", ktbtf.Spell(ptr))
	case d.Type != progArray && !isMap:
		d.refuse("its values are %s, and those of a map of maps are definitions of maps", ktbtf.Spell(ptr))
	}
}

func setUint32(field *uint32, t btf.Type) error {
	n, err := number(t)
	if err != nil {
		return err
	}
	if n > 1<<32-1 {
		return fmt.Errorf("%d does not fit 32 bits", n)
	}
	*field = uint32(n)
	return nil
}

func setUint64(field *uint64, t btf.Type) (err error) {
	*field, err = number(t)
	return err
}

// number returns the value that __uint or __ulong encodes.
func number(t btf.Type) (uint64, error) {
	if enum, ok := btf.As[*btf.Enum](t); ok {
		if len(enum.Values) != 1 {
			return 0, fmt.Errorf("is an enum of %d values, want the one of __ulong", len(enum.Values))
		}
		return enum.Values[0].Value, nil
	}
	ptr, ok := btf.As[*btf.Pointer](t)
	if !ok {
		return 0, fmt.Errorf("is a %s, want what __uint or __ulong make", ktbtf.Spell(t))
	}
	arr, ok := btf.As[*btf.Array](ptr.Target)
	if !ok {
		return 0, fmt.Errorf("is a %s, want what __uint or __ulong make", ktbtf.Spell(t))
	}
	return uint64(arr.Nelems), nil
}

// setSize sets a size given as a number, beside a type or instead of one.
func setSize(size *uint32, t btf.Type) error {
	before := *size
	if err := setUint32(size, t); err != nil {
		return err
	}
	if before != 0 && *size != before {
		return fmt.Errorf("%d bytes, and its type has %d", *size, before)
	}
	return nil
}

// setType sets a type given as a pointer to it, and its size. Of a type that is
// only declared no size is known.
func (d definition) setType(field *btf.Type, size *uint32, m btf.Member) error {
	t := m.Type
	ptr, ok := btf.As[*btf.Pointer](t)
	if !ok {
		return fmt.Errorf("is a %s, want the pointer that __type makes", ktbtf.Spell(t))
	}
	if _, isDeclared := btf.UnderlyingType(ptr.Target).(*btf.Fwd); isDeclared {
		*field = ptr.Target
		d.obj.warnf("map %s: its %s is %s, which the object declares and does not define", d.Name, m.Name, ktbtf.Spell(ptr.Target))
		d.refuse("its %s is %s, which the object declares and does not define: include what defines it", m.Name, ktbtf.Spell(ptr.Target))
		return nil
	}
	if isVoid(ptr.Target) {
		return errUnsized
	}
	n, err := btf.Sizeof(ptr.Target)
	if err != nil {
		return fmt.Errorf("size of %s: %w", ktbtf.Spell(ptr.Target), err)
	}
	if int64(n) > 1<<32-1 {
		return fmt.Errorf("its type has %d bytes", n)
	}
	if *size != 0 && *size != uint32(n) {
		return fmt.Errorf("its type has %d bytes, and its size is given as %d", n, *size)
	}
	*field, *size = ptr.Target, uint32(n)
	return nil
}
