package object

// This file reads the types of an object's DWARF. BTF has only the types that
// functions and variables of the program lead to: clang leaves out what local
// variables alone point to, and makes declarations of what members point to.

import (
	"debug/dwarf"
	"debug/elf"
	"path"
	"slices"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// maxDebug bounds each section of DWARF in bytes.
const maxDebug = 64 << 20

// debugSections are those that types are read of. The addresses in a relocatable
// object are offsets into the sections that relocations name, and clang writes them
// in place, too: each section of an object begins at 0.
var debugSections = []string{".debug_info", ".debug_abbrev", ".debug_str", ".debug_line", ".debug_str_offsets", ".debug_line_str", ".debug_addr", ".debug_rnglists", ".debug_loclists"}

// readDebug keeps the sections of DWARF, if the object has any: stripped ones and
// linked ones have none.
func (o *Object) readDebug(f *file) error {
	o.debug = make(map[string][]byte)
	for _, name := range debugSections {
		sec := f.section(name)
		if sec == nil || sec.Type != elf.SHT_PROGBITS {
			continue
		}
		if b, err := f.contents(sec, maxDebug); err == nil {
			o.debug[name] = b
		}
	}
	return nil
}

// HasDebug tells whether the object has DWARF.
func (o *Object) HasDebug() bool { return len(o.debug[".debug_info"]) > 0 }

// DebugTypes returns the types that the object's DWARF defines and its BTF does not,
// by how C spells them, such as "struct task_ctx". They refer to those of [Object.Types]
// where these have them. Types of vmlinux.h are left out: the kernel has those, in a
// layout of its own. Damaged DWARF has no more types than can be read.
func (o *Object) DebugTypes() map[string]btf.Type {
	o.debugOnce.Do(func() { o.debugTypes = o.readDebugTypes() })
	return o.debugTypes
}

func (o *Object) readDebugTypes() (types map[string]btf.Type) {
	// debug/dwarf does not promise to withstand every malformed file.
	defer func() {
		if recover() != nil {
			types = nil
		}
	}()
	if !o.HasDebug() {
		return nil
	}
	data, err := dwarf.New(o.debug[".debug_abbrev"], nil, nil, o.debug[".debug_info"], o.debug[".debug_line"], nil, nil, o.debug[".debug_str"])
	if err != nil {
		return nil
	}
	for _, name := range debugSections[4:] {
		if data.AddSection(name, o.debug[name]) != nil {
			return nil
		}
	}
	return newDebugTypes(o.Types, readDies(data, len(o.debug[".debug_info"]))).named()
}

// die is an entry of DWARF that describes a type, or a part of one.
type die struct {
	*dwarf.Entry
	parts    []*die // members, enumerators, dimensions
	ofKernel bool   // vmlinux.h has it
}

func (d *die) name() string {
	name, _ := d.Val(dwarf.AttrName).(string)
	return name
}

// number returns an attribute that is a number, ok is false if there is none.
func (d *die) number(a dwarf.Attr) (n int64, ok bool) {
	n, ok = d.Val(a).(int64)
	return n, ok
}

// dies are the types of DWARF, by offset.
type dies struct {
	byOffset map[dwarf.Offset]*die
	inOrder  []*die
}

// readDies reads the types of all units, as far as they can be read. An entry has at
// least one of the size bytes that all of them have.
func readDies(data *dwarf.Data, size int) *dies {
	all := &dies{byOffset: make(map[dwarf.Offset]*die)}
	var parents []*die // those that are open; nil for what is no type
	var kernel []bool  // of the files of a unit
	r := data.Reader()
	for range size { // a damaged unit can bring the reader back to where it was
		e, err := r.Next()
		if err != nil || e == nil {
			break
		}
		if e.Tag == 0 {
			if len(parents) > 0 {
				parents = parents[:len(parents)-1]
			}
			continue
		}
		if e.Tag == dwarf.TagCompileUnit {
			kernel = filesOfKernel(data, e)
		}
		d := all.add(e, parents)
		if file, ok := e.Val(dwarf.AttrDeclFile).(int64); ok && d != nil && file >= 0 && file < int64(len(kernel)) {
			d.ofKernel = kernel[file]
		}
		if e.Children {
			parents = append(parents, d)
		}
	}
	return all
}

// add keeps an entry that describes a type or a part of one, nil for others.
func (all *dies) add(e *dwarf.Entry, parents []*die) *die {
	d := &die{Entry: e}
	switch e.Tag {
	case dwarf.TagMember, dwarf.TagEnumerator, dwarf.TagSubrangeType:
		if len(parents) == 0 || parents[len(parents)-1] == nil {
			return nil
		}
		whole := parents[len(parents)-1]
		whole.parts = append(whole.parts, d)
		return d
	case dwarf.TagStructType, dwarf.TagUnionType, dwarf.TagEnumerationType, dwarf.TagTypedef, dwarf.TagBaseType, dwarf.TagPointerType,
		dwarf.TagArrayType, dwarf.TagSubroutineType, dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
		all.byOffset[e.Offset] = d
		all.inOrder = append(all.inOrder, d)
		return d
	}
	return nil
}

// filesOfKernel tells of each file of a unit whether it is the kernel's types.
func filesOfKernel(data *dwarf.Data, unit *dwarf.Entry) []bool {
	lines, err := data.LineReader(unit)
	if err != nil || lines == nil {
		return nil
	}
	var kernel []bool
	for _, f := range lines.Files() {
		kernel = append(kernel, f != nil && path.Base(f.Name) == "vmlinux.h")
	}
	return kernel
}

// debugTypes makes BTF of dies. Nothing in it calls itself: what a type refers to is
// queued, so that a chain of types costs no stack.
type debugTypes struct {
	own   *btf.Spec
	dies  *dies
	types map[*die]btf.Type
	queue []*die // those whose type is new
}

func newDebugTypes(own *btf.Spec, all *dies) *debugTypes {
	return &debugTypes{own: own, dies: all, types: make(map[*die]btf.Type)}
}

// named returns the types that have a name, that the object's BTF lacks, and that are
// one thing everywhere.
func (c *debugTypes) named() map[string]btf.Type {
	types := make(map[string]btf.Type)
	for _, d := range c.dies.inOrder {
		if d.name() != "" && !d.ofKernel && !isDeclaration(d) {
			c.typeOf(d)
		}
	}
	c.fill()
	for _, d := range c.queue {
		t := c.types[d]
		if d.name() == "" || !isDefined(t) {
			continue
		}
		spelled := ktbtf.Spell(t)
		if _, twice := types[spelled]; twice {
			t = nil
		}
		types[spelled] = t
	}
	for name, t := range types {
		if t == nil {
			delete(types, name)
		}
	}
	return types
}

func isDefined(t btf.Type) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union, *btf.Enum, *btf.Typedef:
		return true
	}
	return false
}

func isDeclaration(d *die) bool {
	declared, _ := d.Val(dwarf.AttrDeclaration).(bool)
	return declared
}

// typeOf returns the type of a die, which is filled later.
func (c *debugTypes) typeOf(d *die) btf.Type {
	if t := c.types[d]; t != nil {
		return t
	}
	t := c.empty(d)
	if same := c.known(t); same != nil {
		t = same
	} else {
		c.queue = append(c.queue, d)
	}
	c.types[d] = t
	return t
}

// known returns the only type of the object's BTF that is called like one of DWARF.
func (c *debugTypes) known(t btf.Type) btf.Type {
	if t.TypeName() == "" {
		return nil
	}
	found, err := c.own.AnyTypesByName(t.TypeName())
	if err != nil {
		return nil
	}
	found = slices.DeleteFunc(found, func(k btf.Type) bool { return ktbtf.Spell(k) != ktbtf.Spell(t) || isFwd(k) && !isFwd(t) })
	if len(found) == 0 {
		return nil
	}
	return found[0]
}

func isFwd(t btf.Type) bool {
	_, ok := t.(*btf.Fwd)
	return ok
}

// empty makes the type of a die without what it refers to.
func (c *debugTypes) empty(d *die) btf.Type {
	size, _ := d.number(dwarf.AttrByteSize)
	forward := (d.ofKernel || isDeclaration(d)) && d.name() != ""
	switch d.Tag {
	case dwarf.TagStructType:
		if forward {
			return &btf.Fwd{Name: d.name(), Kind: btf.FwdStruct}
		}
		return &btf.Struct{Name: d.name(), Size: bounded(size)}
	case dwarf.TagUnionType:
		if forward {
			return &btf.Fwd{Name: d.name(), Kind: btf.FwdUnion}
		}
		return &btf.Union{Name: d.name(), Size: bounded(size)}
	case dwarf.TagEnumerationType:
		return &btf.Enum{Name: d.name(), Size: bounded(size)}
	case dwarf.TagTypedef:
		return &btf.Typedef{Name: d.name()}
	case dwarf.TagBaseType:
		return &btf.Int{Name: d.name(), Size: bounded(size), Encoding: encodingOf(d)}
	case dwarf.TagArrayType:
		return new(btf.Array)
	case dwarf.TagSubroutineType:
		return &btf.FuncProto{Return: new(btf.Void)}
	case dwarf.TagConstType, dwarf.TagVolatileType, dwarf.TagRestrictType, dwarf.TagAtomicType:
		return new(btf.Const) // which of them does not change what is in memory
	}
	return new(btf.Pointer)
}

// bounded is a number of 32 bits, 0 for one that has no room in it.
func bounded(n int64) uint32 {
	if n < 0 || n > 1<<32-1 {
		return 0
	}
	return uint32(n)
}

// encodingOf maps DWARF's encodings of numbers (DW_ATE_*, DWARF 5, 7.8).
func encodingOf(d *die) btf.IntEncoding {
	const boolean, signed, signedChar, unsignedChar = 0x02, 0x05, 0x06, 0x08
	switch n, _ := d.number(dwarf.AttrEncoding); n {
	case boolean:
		return btf.Bool
	case signed:
		return btf.Signed
	case signedChar:
		return btf.Signed | btf.Char
	case unsignedChar:
		return btf.Char
	}
	return btf.Unsigned
}

func (c *debugTypes) fill() {
	for i := 0; i < len(c.queue); i++ { // which grows meanwhile
		d := c.queue[i]
		switch t := c.types[d].(type) {
		case *btf.Struct:
			t.Members = c.members(d)
		case *btf.Union:
			t.Members = c.members(d)
		case *btf.Enum:
			c.fillEnum(t, d)
		case *btf.Typedef:
			t.Type = c.referred(d)
		case *btf.Pointer:
			t.Target = c.referred(d)
		case *btf.Const:
			t.Type = c.referred(d)
		case *btf.Array:
			c.fillArray(t, d)
		}
	}
}

// referred is the type that a die is about; void is said by none.
func (c *debugTypes) referred(d *die) btf.Type {
	at, ok := d.Val(dwarf.AttrType).(dwarf.Offset)
	if to := c.dies.byOffset[at]; ok && to != nil {
		return c.typeOf(to)
	}
	return new(btf.Void)
}

func (c *debugTypes) members(d *die) []btf.Member {
	var members []btf.Member
	for _, p := range d.parts {
		if p.Tag != dwarf.TagMember {
			continue
		}
		m := btf.Member{Name: p.name(), Type: c.referred(p)}
		at, _ := p.number(dwarf.AttrDataMemberLoc)
		m.Offset = btf.Bits(8 * uint64(bounded(at)))
		if bits, ok := p.number(dwarf.AttrBitSize); ok {
			first, _ := p.number(dwarf.AttrDataBitOffset)
			m.Offset, m.BitfieldSize = m.Offset+btf.Bits(bounded(first)), btf.Bits(bounded(bits))
		}
		members = append(members, m)
	}
	return members
}

func (c *debugTypes) fillEnum(t *btf.Enum, d *die) {
	for _, p := range d.parts {
		if n, ok := p.number(dwarf.AttrConstValue); ok && p.Tag == dwarf.TagEnumerator {
			t.Values = append(t.Values, btf.EnumValue{Name: p.name(), Value: uint64(n)})
			t.Signed = t.Signed || n < 0
		}
	}
}

// fillArray makes arrays of arrays of one with several dimensions.
func (c *debugTypes) fillArray(t *btf.Array, d *die) {
	index := &btf.Int{Name: "__ARRAY_SIZE_TYPE__", Size: 4}
	t.Index, t.Type = index, c.referred(d)
	first := true
	for _, p := range slices.Backward(d.parts) {
		if p.Tag != dwarf.TagSubrangeType {
			continue
		}
		if !first {
			inner := *t
			t.Type = &inner
		}
		first, t.Nelems = false, dimension(p)
	}
}

// dimension is how many elements an array has, 0 if it does not say.
func dimension(p *die) uint32 {
	if n, ok := p.number(dwarf.AttrCount); ok {
		return bounded(n)
	}
	if last, ok := p.number(dwarf.AttrUpperBound); ok {
		return bounded(last + 1)
	}
	return 0
}
