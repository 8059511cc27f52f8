package freeze

// This file finds the definitions of maps in a program's BTF, which the kernel keeps. They
// are the variables of .maps, as libbpf's macros make them, those of .struct_ops and its
// like, which are the values, and the sections of global variables. They have the names in
// full, and the types of what the kernel keeps no types for.

import (
	"strings"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// maxName is the length of the names that the kernel keeps: BPF_OBJ_NAME_LEN
// less the NUL.
const maxName = 15

// definition is a map as the source has it.
type definition struct {
	name               string
	typ                ktsnap.MapType
	keySize, valueSize int       // bytes; 0 if it does not say
	key, value         ebtf.Type // nil if it does not say
	record             ebtf.Type // of a ring buffer; nil if it has no tag that says so
	valueID            ebtf.TypeID
	inner              *definition
	section            *ebtf.Datasec // whose variables are the value; nil if it is none
	least              int           // bytes that loaders can make the section, at least
}

// definitions lists the maps that a program defines, in their order.
func definitions(spec *ebtf.Spec) []*definition {
	var section *ebtf.Datasec
	var all []*definition
	if spec.TypeByName(".maps", &section) == nil {
		all = definitionsIn(spec, section)
	}
	for _, name := range []string{".struct_ops", ".struct_ops.link", "?.struct_ops", "?.struct_ops.link"} {
		if spec.TypeByName(name, &section) == nil {
			all = append(all, structOpsIn(section)...)
		}
	}
	all = append(all, sectionsOf(spec)...)
	for _, d := range all {
		if id, err := spec.TypeID(d.value); d.value != nil && err == nil {
			d.valueID = id
		}
	}
	return all
}

func definitionsIn(spec *ebtf.Spec, section *ebtf.Datasec) []*definition {
	var all []*definition
	for _, info := range section.Vars {
		v, ok := info.Type.(*ebtf.Var)
		if !ok {
			continue
		}
		if d := define(v.Type, true); d != nil {
			d.name, d.record = v.Name, recordOf(spec, v)
			all = append(all, d)
		}
	}
	return all
}

// recordOf returns the type that the tag of a ring buffer names, if the program has one of
// that name.
func recordOf(spec *ebtf.Spec, v *ebtf.Var) ebtf.Type {
	if _, types, _ := btf.RecordTypes(spec, v.Tags); len(types) == 1 {
		return types[0]
	}
	return nil
}

// structOpsIn lists the struct_ops maps that a section defines. The types of their
// values are the kernel's.
func structOpsIn(section *ebtf.Datasec) []*definition {
	var all []*definition
	for _, info := range section.Vars {
		if v, ok := info.Type.(*ebtf.Var); ok {
			all = append(all, &definition{name: v.Name, typ: ktsnap.MapTypeStructOps})
		}
	}
	return all
}

// sectionsOf lists the sections of variables, each of which is an array of one value.
func sectionsOf(spec *ebtf.Spec) []*definition {
	var all []*definition
	for t, err := range spec.All() {
		if err != nil {
			return all // such a type is refused where it is used
		}
		if section, ok := t.(*ebtf.Datasec); ok && isVariables(section.Name) && section.Size > 0 {
			all = append(all, &definition{name: section.Name, typ: ktsnap.MapTypeArray, keySize: 4, value: section, section: section, least: leastOf(section)})
		}
	}
	return all
}

// leastOf returns the size of a section whose last variable, if that is an array, has one
// element.
func leastOf(section *ebtf.Datasec) int {
	last := ebtf.VarSecinfo{}
	for _, v := range section.Vars {
		if v.Offset >= last.Offset {
			last = v
		}
	}
	if v, ok := last.Type.(*ebtf.Var); ok {
		if array, ok := ebtf.As[*ebtf.Array](v.Type); ok {
			if size, err := ebtf.Sizeof(array.Type); err == nil && array.Nelems > 0 {
				return int(last.Offset) + size
			}
		}
	}
	return int(section.Size)
}

func isVariables(section string) bool {
	name, dotted := strings.CutPrefix(section, ".")
	first, _, _ := strings.Cut(name, ".")
	return dotted && (first == "bss" || first == "data" || first == "rodata")
}

// isCalled tells whether the kernel can have a map by that name. libbpf puts as much
// of the object's name in front of a section's as there is room for; objects have no
// dots in theirs.
func (d *definition) isCalled(name string) bool {
	if cut(d.name) == cut(name) {
		return true
	}
	dot := strings.IndexByte(name, '.')
	if d.section == nil || dot < 0 {
		return false
	}
	return name[dot:] == d.name || len(name) == maxName && strings.HasPrefix(d.name, name[dot:])
}

// define reads a definition; it is nil if t is none. What contradicts itself is
// left out: the loader has refused it, or the kernel knows better.
func define(t ebtf.Type, outer bool) *definition {
	s, ok := ebtf.As[*ebtf.Struct](t)
	if !ok {
		return nil
	}
	d := &definition{}
	for _, m := range s.Members {
		switch m.Name {
		case "type":
			d.typ = ktsnap.MapType(number(m.Type))
		case "key_size":
			d.keySize = number(m.Type)
		case "value_size":
			d.valueSize = number(m.Type)
		case "key":
			d.key, d.keySize = pointee(m.Type)
		case "value":
			d.value, d.valueSize = pointee(m.Type)
		case "values":
			d.valueSize = 4 // a descriptor
			if outer {
				d.inner = defineInner(m.Type)
			}
		}
	}
	return d
}

func defineInner(t ebtf.Type) *definition {
	array, ok := ebtf.As[*ebtf.Array](t)
	if !ok {
		return nil
	}
	p, ok := ebtf.As[*ebtf.Pointer](array.Type)
	if !ok {
		return nil
	}
	return define(p.Target, false)
}

// number returns n of int (*member)[n], which __uint makes.
func number(t ebtf.Type) int {
	p, ok := ebtf.As[*ebtf.Pointer](t)
	if !ok {
		return 0
	}
	array, ok := ebtf.As[*ebtf.Array](p.Target)
	if !ok {
		return 0
	}
	return int(array.Nelems)
}

func pointee(t ebtf.Type) (target ebtf.Type, size int) {
	p, ok := ebtf.As[*ebtf.Pointer](t)
	if !ok {
		return nil, 0
	}
	size, err := ebtf.Sizeof(p.Target)
	if err != nil || size <= 0 {
		return nil, 0
	}
	return p.Target, size
}

// fits tells whether a map can be the one that is defined. User space may have
// changed its number of entries, and the size of its values.
func (d *definition) fits(m *bpfmap.Map) bool {
	switch {
	case d.typ != m.Type, d.keySize != 0 && d.keySize != m.KeySize:
		return false
	case m.ValueType == 0 && d.section != nil:
		return m.MaxEntries == 1 && m.ValueSize >= d.least
	case m.ValueType == 0:
		return d.valueSize == 0 || d.valueSize == m.ValueSize
	}
	return d.valueID == 0 || uint32(d.valueID) == m.ValueType
}

// describe sets the types of what the kernel keeps none for: keys, records, the values of
// queues and stacks (map_check_btf in kernel/bpf/syscall.c), maps that were made without BTF.
// So it does for sections that libbpf has made larger or smaller: before version 1.3 all, and
// later those that do not end in an array.
func (d *definition) describe(m *bpfmap.Map, shapes *btf.Shapes) (err error) {
	if m.Key == nil && d.key != nil && d.keySize == m.KeySize {
		if m.Key, err = shapes.Of(d.key); err != nil {
			return err
		}
	}
	if m.Value == nil && d.value != nil && d.valueSize == m.ValueSize && untyped(m) {
		m.Value, err = shapes.OfMap(d.name, d.value)
	}
	if d.record != nil && m.Type.IsRing() {
		m.Value, err = shapes.Of(d.record)
	}
	if d.section != nil && m.Value == nil {
		err = d.describeSection(m, shapes)
	}
	return err
}

func (d *definition) describeSection(m *bpfmap.Map, shapes *btf.Shapes) error {
	s, err := shapes.Of(d.section)
	if err != nil {
		return err
	}
	if s = s.Sized(m.ValueSize); s.Size <= m.ValueSize {
		m.Value = s
	}
	return nil
}

// untyped tells whether the kernel has no type of a map's values, and they are what the
// definition says: those of maps of maps are numbers.
func untyped(m *bpfmap.Map) bool {
	return m.Type.UntypedValues() || m.BTF.Addr == 0 && !m.Type.HoldsMaps()
}
