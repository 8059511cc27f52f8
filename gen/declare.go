package gen

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file fills the model: declarations for all types that have a name, and
// accessors for all maps and sections.

func (b *builder) declare() error {
	for _, d := range b.types.decls {
		if d.name == "" {
			continue
		}
		b.model.Types = append(b.model.Types, b.declareType(d))
	}
	accessors := b.newScope("Binding")
	for i, s := range b.sections {
		b.model.Sections[i].Name = accessors.claim(sectionName(s.Section), "section "+s.Name)
		b.declareSection(b.model.Sections[i], s)
	}
	var claims []claimed
	for _, m := range b.maps {
		if !m.isInner {
			claims = append(claims, claimed{m.Name, exported(m.Name), "map " + m.Name, nil})
		}
	}
	names := accessors.claimEach(claims)
	for _, m := range b.maps {
		if !m.isInner {
			b.model.Maps = append(b.model.Maps, b.declareMap(names[0], m))
			names = names[1:]
			continue
		}
		outer := b.model.Maps[len(b.model.Maps)-1]
		inner := b.declareMap(outer.Name+"_Inner", m)
		inner.IsInner = true
		if outer.Access == gofile.AccessArrayOfMaps || outer.Access == gofile.AccessHashOfMaps {
			outer.Inner = inner
			outer.Doc = append(outer.Doc, innerDoc(inner, m)...)
		}
		b.model.Maps = append(b.model.Maps, inner)
	}
	if err := b.declareReaders(accessors); err != nil {
		return err
	}
	b.declareFixture()
	b.model.Shapes = b.writer.String()
	slices.SortFunc(b.model.Types, func(a, b *gofile.Type) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(b.model.Codecs, func(a, b *gofile.Codec) int { return cmp.Compare(a.Name, b.Name) })
	return b.checkSizes()
}

// maxGoValue bounds in bytes what becomes one Go value: the compiler rejects
// types beyond its own limit, and nobody wants to hold one.
const maxGoValue = 64 << 20

func (b *builder) checkSizes() error {
	for _, t := range b.model.Types {
		if t.Size > maxGoValue {
			return fmt.Errorf("%s has %d bytes, more than the %d that are read as one value", t.Name, t.Size, maxGoValue)
		}
	}
	return nil
}

func (b *builder) declareType(d *decl) *gofile.Type {
	switch d.shape.Kind {
	case ctype.KindEnum:
		return b.declareEnum(d)
	case ctype.KindFwd:
		return &gofile.Type{Kind: gofile.OpaqueType, Name: d.name, Doc: b.opaqueDoc(d)}
	}
	t := &gofile.Type{Kind: gofile.StructType, Name: d.name, Size: d.shape.Size}
	t.Doc = []string{fmt.Sprintf("%s is %s.", d.name, d.inC())}
	if d.payload != "" {
		t.Doc = []string{fmt.Sprintf("%s is %s, with %s behind it.", d.name, d.inC(), d.payload)}
	}
	for _, tag := range b.declTags(d) {
		t.Doc = append(t.Doc, "\ttag: "+tag)
	}
	t.Fields = b.fields(d)
	t.CPUs = cpuBitmap(d.cName, t.Fields)
	if t.Sparse = b.isKernels(d); t.Sparse {
		t.Doc = []string{
			fmt.Sprintf("%s is %s, as far as it is read.", d.name, d.inKernel()),
			"Members are found by name; those that the guest's kernel lacks are zero, see",
			"ktrt.Absent.",
		}
	}
	return t
}

func (b *builder) opaqueDoc(d *decl) []string {
	if slices.ContainsFunc(b.prune.large, func(name string) bool { return name == "struct "+d.cName || name == "union "+d.cName }) {
		return []string{
			fmt.Sprintf("%s is struct %s, which is read as an address only: it is too large to", d.name, d.cName),
			"be one value.",
		}
	}
	return []string{
		fmt.Sprintf("%s is struct %s, which is read as an address only: it belongs to the", d.name, d.cName),
		"kernel, or the object declares it without defining it. Where the object's BTF has its members,",
		fmt.Sprintf("-fields %s:MEMBER generates those that it names.", d.cName),
	}
}

// isKernels tells whether d is a type of the kernel, or a part of one. It was
// asked of d's parent before.
func (b *builder) isKernels(d *decl) bool {
	d.kernels = d.cName != "" && b.kernel[d.cName] == d.shape || d.parent != nil && d.parent.kernels
	return d.kernels
}

// inKernel is inC for a type of the kernel's.
func (d *decl) inKernel() string {
	if d.cName == "" {
		return strings.Replace(d.inC(), " without", " of the kernel without", 1)
	}
	return "the kernel's " + d.inC()
}

// inC is the C name of a type, in a sentence.
func (d *decl) inC() string {
	if d.cName == "" {
		kind := "a struct"
		if d.shape.Kind == ctype.KindUnion {
			kind = "a union"
		} else if d.shape.Kind == ctype.KindEnum {
			kind = "an enum"
		}
		return kind + " without a name"
	}
	if d.shape.Name == "" {
		return "the typedef " + d.cName
	}
	return ctype.Spell(d.shape)
}

func bytesText(n int) string {
	if n == 1 {
		return "1 byte"
	}
	return fmt.Sprintf("%d bytes", n)
}

// fields returns the fields of a struct or union.
func (b *builder) fields(d *decl) []gofile.Field {
	members := d.shape.Fields()
	shared := overlapping(members)
	names := b.newScope()
	names.quiet = b.isKernels(d) // whose comments have the names in C
	fields, claims := make([]gofile.Field, len(members)), make([]claimed, len(members))
	for i, m := range members {
		if _, ok := m.Tail(); ok && m.Type.IsFlexible() && !b.inKeys[d.shape] {
			fields[i] = b.flexible(m)
		} else {
			fields[i] = b.field(m, shared[i])
		}
		claims[i] = claimed{m.Name, exported(m.Name), fmt.Sprintf("%s.%s", d.describe(), m.Name), nil}
	}
	for i, name := range names.claimEach(claims) {
		fields[i].Name = name
	}
	return fields
}

// overlapping tells of each member whether it shares bytes with another, as
// members of unions do.
func overlapping(members []ctype.Member) []bool {
	shared := make([]bool, len(members))
	order := make([]int, len(members))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return cmp.Compare(firstBit(members[i]), firstBit(members[j])) })
	last := -1 // the member that reaches farthest so far
	for _, i := range order {
		if last >= 0 && firstBit(members[i]) < endBit(members[last]) {
			shared[i], shared[last] = true, true
		}
		if last < 0 || endBit(members[i]) > endBit(members[last]) {
			last = i
		}
	}
	return shared
}

func firstBit(m ctype.Member) int64 { return 8*int64(m.Offset) + int64(m.BitOffset) }

func endBit(m ctype.Member) int64 {
	if m.Bits > 0 {
		return firstBit(m) + int64(m.Bits)
	}
	return firstBit(m) + 8*int64(m.Type.Size)
}

func (b *builder) declareEnum(d *decl) *gofile.Type {
	t := &gofile.Type{Kind: gofile.EnumType, Name: d.name, CName: cmp.Or(d.cName, d.name), Underlying: intName(d.shape)}
	t.Doc = []string{fmt.Sprintf("%s is %s.", d.name, d.inC())}
	seen := make(map[uint64]bool)
	for _, v := range d.shape.Values {
		value := gofile.Value{CName: v.Name, Literal: strconv.FormatUint(v.Value, 10), First: !seen[v.Value]}
		if d.shape.Signed {
			value.Literal = strconv.FormatInt(int64(v.Value), 10)
		}
		value.Name = b.scope.claim(inFull(t, v.Name), d.describe()+"."+v.Name)
		seen[v.Value] = true
		t.Values = append(t.Values, value)
	}
	if t.Flags = valuesOf(t, d.shape, d.shape.Flags()); t.Flags == nil {
		t.Tags = valuesOf(t, d.shape, d.shape.TopFlags())
	}
	return t
}

// valuesOf returns the enumerators of a type that flags are.
func valuesOf(t *gofile.Type, enum *ctype.Shape, flags []ctype.Flag) (values []gofile.Value) {
	for _, flag := range flags {
		i := slices.IndexFunc(enum.Values, func(v ctype.EnumValue) bool { return v.Value == flag.Bit })
		values = append(values, t.Values[i])
	}
	return values
}

func (b *builder) declareSection(s *gofile.Section, from sectionShape) {
	s.Ref = b.writer.Add(from.shape)
	s.Doc = []string{
		fmt.Sprintf("%s holds the %s of %s.", s.TypeName, plural(len(from.shape.Members), "variable"), from.Name),
	}
	if from.texts > 0 {
		s.Doc = append(s.Doc, fmt.Sprintf("Left out: the %s that only the program itself reads.", plural(from.texts, "text")))
	}
	same := from.sameNamed()
	var claims []claimed
	last, resizable := from.shape.Resizable()
	for i, v := range from.shape.Members {
		path, goName, others := from.Name+"."+v.Name, exported(v.Name), []string(nil)
		one, shared := same[v.Name]
		if shared {
			v.Name, goName = one.plain, one.name
			others = []string{from.Name + "." + one.plain, one.unit + ":" + from.Name + "." + one.plain}
		}
		f := b.variable(v, resizable && i == last)
		if shared {
			f.Comment += fmt.Sprintf("; %s%s", strings.TrimPrefix(path, from.Name+"."), ofUnit(one.unit))
		}
		claims = append(claims, claimed{v.Name, goName, path, others})
		s.Vars = append(s.Vars, f)
	}
	for i, name := range b.newScope().claimEach(claims) {
		s.Vars[i].Name = name
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// variable returns a variable as a Go field. One that is resizable has as many
// elements as there are.
func (b *builder) variable(v ctype.Member, resizable bool) gofile.Field {
	var f gofile.Field
	if elem := lazyElem(v.Type); elem != nil {
		f = b.lazyVariable(v, elem)
	} else {
		f = b.field(v, false)
		f.Load.Tail = v.Type.OpenEnded()
		if resizable {
			f.Type, f.Load = b.elements(v.Type.Underlying().Elem)
			f.Comment += " (as many as the guest has)"
		}
	}
	if v.Size > 0 {
		f.Comment += fmt.Sprintf(" (%d bytes)", v.Size)
	}
	if v.Static {
		f.Comment += " (static)"
	}
	f.Offset = 0 // each variable is decoded from its own bytes
	return f
}

// lazyElem returns the element of a variable that is read element by element,
// nil for others.
func lazyElem(s *ctype.Shape) *ctype.Shape {
	u := s.Underlying()
	if u.Kind != ctype.KindArray || u.Size <= maxEager || u.Elem.Underlying().Kind == ctype.KindChar {
		return nil
	}
	return u.Elem
}

func (b *builder) lazyVariable(v ctype.Member, elem *ctype.Shape) gofile.Field {
	t, _ := b.value(elem, false)
	return gofile.Field{
		Type:    gofile.GoType{Kind: gofile.Runtime, Name: string(gofile.AccessArray), Elem: &t},
		Comment: ctype.Declare(v.Type, v.Name) + " (read by element)",
		Load:    gofile.LoadStep{Op: gofile.LoadLazy, Codec: b.codec(elem).Name, ID: b.valueID(elem)},
	}
}

func (b *builder) declareMap(name string, m mapShapes) *gofile.Map {
	out := &gofile.Map{Name: name, CName: m.Name, ID: "map" + b.prefix + name, Type: m.Type, Room: int(m.MaxEntries)}
	access, why := access(m)
	if why != "" && !isInherent(m) {
		b.warnf("map %s is read as bytes: %s", m.Name, why)
	}
	out.Access = access
	if out.Access.HasValue() {
		out.Value, out.Ref = b.codec(m.value), b.refOf(m.value)
	}
	if out.Access.HasKey() {
		out.KeyRef = b.writer.Add(m.key)
	}
	if out.Access == gofile.AccessHash || out.Access == gofile.AccessPerCPUHash || out.Access == gofile.AccessHashOfMaps {
		out.Key = b.codec(m.key)
	}
	out.Doc = mapDoc(out, m, why)
	return out
}

// innerDoc says what the maps in a map of maps are.
func innerDoc(inner *gofile.Map, m mapShapes) []string {
	if m.Type == 0 {
		return []string{"", "The maps in it are read as bytes."}
	}
	doc := []string{"", "The maps in it:", ""}
	for _, line := range inner.Doc {
		if strings.HasPrefix(line, "\t") {
			doc = append(doc, line)
		}
	}
	return doc
}

// refOf numbers a type and returns the reference to it.
func (b *builder) refOf(s *ctype.Shape) string {
	b.valueID(s)
	return b.writer.Add(s.Underlying())
}

func mapDoc(out *gofile.Map, m mapShapes, why string) []string {
	if out.Access == gofile.AccessStructOps {
		return []string{
			fmt.Sprintf("%s returns the operations of the struct_ops map %s, as the", out.Name, m.Name),
			"kernel has them registered: functions have the addresses of trampolines, and",
			"members that the guest's kernel lacks are zero.",
		}
	}
	doc := []string{
		fmt.Sprintf("%s is the map %s:", out.Name, m.Name),
		"",
		"\tBPF_MAP_TYPE_" + ktsnap.MapType(m.Type).String(),
	}
	if m.KeySize > 0 && m.key == nil {
		doc = append(doc, fmt.Sprintf("\tkey: %s without a type", bytesText(int(m.KeySize))))
	} else if m.key != nil {
		doc = append(doc, "\tkey: "+ctype.Spell(m.key))
	}
	if out.Access == gofile.AccessRingBufOf {
		doc = append(doc, "\trecords: "+ctype.Spell(m.value))
	} else if m.ValueSize > 0 && m.value == nil && out.Access != gofile.AccessArrayOfMaps && out.Access != gofile.AccessHashOfMaps {
		doc = append(doc, fmt.Sprintf("\tvalue: %s without a type", bytesText(int(m.ValueSize))))
	} else if m.value != nil {
		doc = append(doc, "\tvalue: "+ctype.Spell(m.value))
	}
	if m.MaxEntries > 0 {
		doc = append(doc, fmt.Sprintf("\tmax_entries: %d", m.MaxEntries))
	}
	for _, tag := range m.Tags {
		doc = append(doc, "\ttag: "+tag)
	}
	if why != "" {
		doc = append(doc, "", "It is read as bytes: "+why+".")
	}
	return doc
}

// access returns how a map is read. Maps that have no typed accessor are read
// as bytes; why says so.
func access(m mapShapes) (a gofile.Access, why string) {
	a, why = typedAccess(m)
	if a == gofile.AccessOpaque && ktsnap.MapType(m.Type).IsPerCPU() {
		return gofile.AccessPerCPUOpaque, why
	}
	return a, why
}

// isInherent tells whether a map is read as bytes because of what it is, which no
// definition changes: its comment says it, and nobody is warned.
func isInherent(m mapShapes) bool {
	t := ktsnap.MapType(m.Type)
	typed := t.Accessor() != ""
	isUnknown := m.isInner && m.Type == 0
	return m.unread == "" && !isUnknown && (!typed || t == ktsnap.MapTypeStackTrace)
}

// typedAccess is access, which does not tell apart what is read as bytes.
func typedAccess(m mapShapes) (a gofile.Access, why string) {
	if why = bytesOnly(m); why != "" {
		return gofile.AccessOpaque, why
	}
	a = gofile.Access(ktsnap.MapType(m.Type).Accessor())
	switch {
	case a == gofile.AccessSlots && m.value != nil && m.value.Underlying().Kind == ctype.KindStruct:
		return gofile.AccessArray, "" // of such as a bpf_devmap_val
	case a == gofile.AccessRingBuf && m.value != nil:
		return gofile.AccessRingBufOf, ""
	case a.HasKey() && m.key == nil:
		return gofile.AccessOpaque, "it is defined without the type of its keys (use __type(key, ...))"
	case !a.HasValue():
		return a, ""
	case m.value == nil:
		return gofile.AccessOpaque, "it is defined without the type of its values (use __type(value, ...))"
	case a == gofile.AccessTrie && !isAddressPrefix(m.key):
		return gofile.AccessHash, ""
	}
	return a, ""
}

// bytesOnly says why a map's type has no accessor with types; "" if it has.
func bytesOnly(m mapShapes) string {
	t := ktsnap.MapType(m.Type)
	switch {
	case m.unread != "":
		return m.unread
	case m.isInner && m.Type == 0:
		return "the object does not say what is in the map that it is in (use __array(values, ...))"
	case t.Unreadable() != "":
		return t.Unreadable()
	case t.Accessor() == "":
		return fmt.Sprintf("maps of type %s have no typed accessor yet", t)
	case t == ktsnap.MapTypeStackTrace && m.Flags&stackBuildID != 0:
		return "its frames are build ids (BPF_F_STACK_BUILD_ID)"
	}
	return ""
}

// isAddressPrefix tells whether the key of a trie is a prefix length and one
// member with the size of an IPv4 or IPv6 address.
func isAddressPrefix(key *ctype.Shape) bool {
	const lengthSize = 4
	fields := key.Underlying().Fields()
	if len(fields) == 0 || fields[0].Type.Size != lengthSize {
		return false
	}
	fields = slices.DeleteFunc(fields[1:], func(m ctype.Member) bool { return m.Type.Size == 0 })
	if len(fields) != 1 || fields[0].Offset != lengthSize {
		return false
	}
	size := fields[0].Type.Size
	return (size == 4 || size == 16) && key.Size == lengthSize+size
}

// stackBuildID is BPF_F_STACK_BUILD_ID (include/uapi/linux/bpf.h).
const stackBuildID = 1 << 5
