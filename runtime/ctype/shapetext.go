package ctype

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// This file writes shapes as text and reads them back. The text is what
// generated code carries of the types it was made for, and what snapshot files
// store. One definition per type, its members below it, indented; columns are
// separated by tabs:
//
//	struct  task_ctx  64
//		0       ctx     struct ctx
//		8       comm    [16]char
//		40      stats   *struct task_stats
//		48:0+1  kthread u32
//	section .data     24
//		0 size 10  first  struct flex
//	section .rodata   40 cut
//		8       slices  [2]u64
//	enum    policy    4
//		0  POLICY_NORMAL
//	typedef u32       unsigned int
//	int     unsigned int  4
//
// Where a member is and how large a struct is can be left out if that is what C's
// rules say; see natural.go. Of a bitfield only its width is there then:
//
//	struct  task_ctx
//		        ctx     struct ctx
//		:12     last_cpu  u32
//	struct  event     packed
//		        cpu     u16
//
// A type is referred to as void, "*" and the pointee, "[n]" and the element,
// or by its key: keyword and name for structs, unions, enums, sections,
// functions and declarations, the bare name for the rest. Types that have no
// name, or no unique one, are numbered: "#3 struct ...".
//
// Behind a "*" there are, in parentheses and if there is anything to say, the
// size of the pointer if it is not 8, how the program declares what really is
// a pointer, as in (kernel cast "u64"), and BTF's type tags.

// shapeKeywords begin a definition. Kinds without a definition have none.
var shapeKeywords = [...]string{
	KindInt: "int", KindBool: "bool", KindChar: "char", KindFloat: "float",
	KindEnum: "enum", KindStruct: "struct", KindUnion: "union",
	KindSection: "section", KindTypedef: "typedef", KindFunc: "func", KindFwd: "fwd",
}

// tagged tells whether a kind's names live apart from ordinary identifiers.
func tagged(k Kind) bool {
	switch k {
	case KindEnum, KindStruct, KindUnion, KindSection, KindFunc, KindFwd:
		return true
	}
	return false
}

// defined tells whether a kind has a definition of its own.
func defined(k Kind) bool { return k != KindVoid && k != KindPointer && k != KindArray }

// Writer collects shapes and writes them, with all they refer to, as
// text.
type Writer struct {
	// Natural leaves out the offsets and sizes that follow from the types of
	// members, so that text says of a struct what its program says. Snapshot files
	// have all of them.
	Natural bool

	shapes []*Shape // in order of discovery
	keys   map[*Shape]string
	taken  map[string]bool
	next   int // number of the next numbered shape
	aligns alignments
}

// Add adds a shape and everything it refers to, and returns the text that
// refers to it.
func (w *Writer) Add(s *Shape) string {
	if w.keys == nil {
		w.keys, w.taken = make(map[*Shape]string), make(map[string]bool)
	}
	next := len(w.shapes)
	w.add(s)
	for ; next < len(w.shapes); next++ {
		shape := w.shapes[next]
		w.add(shape.Elem)
		for _, m := range shape.Members {
			w.add(m.Type)
		}
	}
	return w.ref(s)
}

// add queues the definition that s ends in, if it is new.
func (w *Writer) add(s *Shape) {
	s = stripRefs(s)
	if s == nil || !defined(s.Kind) || w.keys[s] != "" {
		return
	}
	w.shapes = append(w.shapes, s)
	w.keys[s] = w.key(s)
}

// stripRefs removes the pointers and arrays around a type.
func stripRefs(s *Shape) *Shape {
	for range maxRefDepth {
		if s == nil || s.Kind != KindPointer && s.Kind != KindArray {
			return s
		}
		s = s.Elem
	}
	return nil
}

// maxRefDepth bounds the pointers and arrays in front of a type.
const maxRefDepth = 64

func (w *Writer) key(s *Shape) string {
	key := s.Name
	if tagged(s.Kind) {
		key = shapeKeywords[s.Kind] + " " + s.Name
	}
	if !isPlainName(s.Name) || !tagged(s.Kind) && isReserved(s.Name) || w.taken[key] {
		w.next++
		key = "#" + strconv.Itoa(w.next)
	}
	w.taken[key] = true
	return key
}

// isPlainName tells whether a name can stand in a reference as it is.
func isPlainName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '.'
		if !letter && (i == 0 || !(c >= '0' && c <= '9' || c == ' ')) {
			return false
		}
	}
	return name != "" && name[len(name)-1] != ' '
}

// isReserved tells whether an ordinary name reads like another reference.
func isReserved(name string) bool {
	first, _, found := strings.Cut(name, " ")
	return name == "void" || found && slices.Contains(shapeKeywords[:], first) && tagged(Kind(slices.Index(shapeKeywords[:], first)))
}

func (w *Writer) ref(s *Shape) string {
	var b strings.Builder
	for range maxRefDepth {
		switch {
		case s == nil || s.Kind == KindVoid:
			b.WriteString("void")
			return b.String()
		case s.Kind == KindPointer:
			b.WriteString("*")
			if s.Size != PointerSize || len(s.Tags) > 0 || s.Declared != "" {
				b.WriteString(pointerAttributes(s))
			}
		case s.Kind == KindArray:
			fmt.Fprintf(&b, "[%d]", s.Len)
		default:
			b.WriteString(w.keys[s])
			return b.String()
		}
		s = s.Elem
	}
	return b.String() + "void"
}

// PointerSize is the size of pointers unless a shape says otherwise, in bytes.
const PointerSize = 8

func pointerAttributes(s *Shape) string {
	attributes := make([]string, 0, len(s.Tags)+1)
	if s.Size != PointerSize {
		attributes = append(attributes, strconv.Itoa(s.Size))
	}
	if s.Declared != "" {
		attributes = append(attributes, s.Space.String(), "cast", strconv.Quote(s.Declared))
	}
	for _, tag := range s.Tags {
		attributes = append(attributes, strconv.Quote(tag))
	}
	return "(" + strings.Join(attributes, " ") + ")"
}

// String returns the definitions of all shapes that were added.
func (w *Writer) String() string {
	var b strings.Builder
	for _, s := range w.shapes {
		w.define(&b, s)
	}
	return b.String()
}

func (w *Writer) define(b *strings.Builder, s *Shape) {
	if key := w.keys[s]; key[0] == '#' {
		b.WriteString(key + " ")
	}
	b.WriteString(shapeKeywords[s.Kind] + "\t" + columnText(s.Name))
	switch s.Kind {
	case KindTypedef:
		b.WriteString("\t" + w.ref(s.Elem))
	case KindFunc, KindFwd:
	case KindStruct, KindUnion, KindSection:
		w.defineMembers(b, s)
		return
	default:
		fmt.Fprintf(b, "\t%d", s.Size)
		if s.Signed {
			b.WriteString("\tsigned")
		}
	}
	b.WriteString("\n")
	for _, v := range s.Values {
		value := strconv.FormatUint(v.Value, 10)
		if s.Signed {
			value = strconv.FormatInt(int64(v.Value), 10)
		}
		b.WriteString("\t" + value + "\t" + columnText(v.Name) + "\n")
	}
}

// staticSuffix marks the place of a variable with internal linkage, and
// sizeInfix is in front of its size if that is not its type's.
const (
	staticSuffix = " static"
	sizeInfix    = " size "
)

// defineMembers writes the rest of a struct, union or section, from its size on.
func (w *Writer) defineMembers(b *strings.Builder, s *Shape) {
	natural, size, packed := w.natural(s)
	switch {
	case packed:
		b.WriteString("\t" + packedSize)
	case !size:
		fmt.Fprintf(b, "\t%d", s.Size)
	case s.Cut:
		b.WriteString("\t")
	}
	if s.Cut {
		b.WriteString("\tcut")
	}
	b.WriteString("\n")
	for i := range s.Members {
		w.defineMember(b, &s.Members[i], natural[i])
	}
}

// packedSize is in the place of the size of a struct that has no padding.
const packedSize = "packed"

// natural tells of which members the place is left out, and whether the size is.
func (w *Writer) natural(s *Shape) (members []bool, size, packed bool) {
	members = make([]bool, len(s.Members))
	if !w.Natural {
		return members, false, false
	}
	if w.aligns == nil {
		w.aligns = make(alignments)
	}
	l := layout{alignments: w.aligns, kind: s.Kind, packed: w.aligns.isPacked(s)}
	for i := range s.Members {
		members[i] = l.fits(&s.Members[i])
		l.add(&s.Members[i])
	}
	return members, l.size(s) == int64(s.Size), l.packed
}

func (w *Writer) defineMember(b *strings.Builder, m *Member, isNatural bool) {
	b.WriteString("\t")
	switch {
	case !isNatural && m.Bits == 0:
		fmt.Fprintf(b, "%d", m.Offset)
	case !isNatural:
		fmt.Fprintf(b, "%d:%d+%d", m.Offset, m.BitOffset, m.Bits)
	case m.Bits > 0:
		fmt.Fprintf(b, ":%d", m.Bits)
	}
	if m.Size > 0 {
		fmt.Fprintf(b, "%s%d", sizeInfix, m.Size)
	}
	if m.Static {
		b.WriteString(staticSuffix)
	}
	b.WriteString("\t" + columnText(m.Name) + "\t" + w.ref(m.Type))
	for _, tag := range m.Tags {
		b.WriteString("\t" + strconv.Quote(tag))
	}
	b.WriteString("\n")
}

// columnText is a name as it stands in a column: quoted if it would not be
// read back as it is.
func columnText(name string) string {
	if name == "" || isPlainName(name) {
		return name
	}
	return strings.ReplaceAll(strconv.QuoteToASCII(name), "`", `\x60`)
}

// Table holds shapes that were read from text.
type Table struct {
	byKey  map[string]*Shape
	shapes []*Shape          // in the order of the text
	chains map[string]*Shape // pointers and arrays, by reference
	Settler
}

// Parse reads what [Writer] wrote. What it returns is consistent:
// members lie within their structs, nothing contains itself, sizes are those
// of what shapes are made of. It returns a [*ShapeError] otherwise.
func Parse(text string) (*Table, error) {
	p := shapeParser{table: &Table{byKey: make(map[string]*Shape), chains: make(map[string]*Shape), Settler: Settler{fill: true}}}
	if err := p.parse(text); err != nil {
		return nil, &ShapeError{Line: p.line, Err: err}
	}
	for i, s := range p.table.shapes {
		s.TellApart()
		if err := p.table.Settle(s); err != nil {
			return nil, &ShapeError{Line: p.starts[i], Err: err}
		}
	}
	for _, s := range p.table.chains {
		if err := p.table.Settle(s); err != nil {
			return nil, &ShapeError{Err: err}
		}
	}
	return p.table, nil
}

// ShapeError says which line of a table of shapes is wrong.
type ShapeError struct {
	Line int // from 1; 0 if it is not known
	Err  error
}

func (e *ShapeError) Error() string { return fmt.Sprintf("shapes, line %d: %v", e.Line, e.Err) }

// Unwrap returns Err.
func (e *ShapeError) Unwrap() error { return e.Err }

// All returns the defined shapes in the order of the text.
func (t *Table) All() []*Shape { return t.shapes }

// Shape returns the shape that ref refers to.
func (t *Table) Shape(ref string) (*Shape, error) {
	s, err := t.resolve(ref)
	if err != nil {
		return nil, err
	}
	for at := s; at.Kind == KindPointer || at.Kind == KindArray; at = at.Elem {
		if err := t.Settle(at); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// shapeParser reads definitions first and references after all of them: a
// member may refer to a type that is defined further down.
type shapeParser struct {
	table  *Table
	line   int
	starts []int // lines of the definitions
	later  []reference
}

type reference struct {
	line int
	text string
	set  func(*Shape)
}

func (p *shapeParser) parse(text string) error {
	for line := range strings.Lines(text) {
		p.line++
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		if err := p.parseLine(line); err != nil {
			return err
		}
	}
	for _, r := range p.later {
		p.line = r.line
		s, err := p.table.resolve(r.text)
		if err != nil {
			return err
		}
		r.set(s)
	}
	return nil
}

func (p *shapeParser) parseLine(line string) error {
	columns, err := splitColumns(line)
	if err != nil {
		return err
	}
	if line[0] != '\t' {
		return p.parseDefinition(columns)
	}
	if len(p.table.shapes) == 0 {
		return errors.New("a member before any definition")
	}
	s := p.table.shapes[len(p.table.shapes)-1]
	switch s.Kind {
	case KindEnum:
		return parseValue(s, columns[1:])
	case KindStruct, KindUnion, KindSection:
		return p.parseMember(s, columns[1:])
	}
	return fmt.Errorf("%s %s has no members", shapeKeywords[s.Kind], s.Name)
}

// splitColumns splits a line at tabs and unquotes names.
func splitColumns(line string) ([]string, error) {
	columns := strings.Split(line, "\t")
	for i, c := range columns {
		if !strings.HasPrefix(c, `"`) {
			continue
		}
		name, err := strconv.Unquote(c)
		if err != nil {
			return nil, fmt.Errorf("the quoted name %s: %w", c, err)
		}
		columns[i] = name
	}
	return columns, nil
}

func (p *shapeParser) parseDefinition(columns []string) error {
	keyword, key := columns[0], ""
	if strings.HasPrefix(keyword, "#") {
		key, keyword, _ = strings.Cut(keyword, " ")
	}
	kind := slices.Index(shapeKeywords[:], keyword)
	if kind < 0 || keyword == "" || len(columns) < 2 {
		return fmt.Errorf("%q does not begin a definition", strings.Join(columns, " "))
	}
	s := &Shape{Kind: Kind(kind), Name: columns[1]}
	if key == "" {
		key = s.Name
		if tagged(s.Kind) {
			key = keyword + " " + s.Name
		}
	}
	if p.table.byKey[key] != nil {
		return fmt.Errorf("%s is defined twice", key)
	}
	p.table.byKey[key] = s
	p.table.shapes = append(p.table.shapes, s)
	p.starts = append(p.starts, p.line)
	return p.parseBody(s, columns[2:])
}

func (p *shapeParser) parseBody(s *Shape, columns []string) error {
	switch {
	case s.Kind == KindFunc || s.Kind == KindFwd:
		return nil
	case s.Kind == KindStruct && len(columns) > 0 && columns[0] == packedSize:
		s.Size = unsettled
		p.table.pack(s)
		return nil
	case len(columns) == 0 || columns[0] == "":
		if s.Kind != KindStruct && s.Kind != KindUnion && s.Kind != KindSection {
			return fmt.Errorf("%s has neither size nor type", s.Name)
		}
		s.Size = unsettled
		s.Cut = s.isCut(columns)
		return nil
	case s.Kind == KindTypedef:
		p.refer(columns[0], func(elem *Shape) { s.Elem = elem })
		return nil
	}
	size, err := parseSize(columns[0])
	if err != nil {
		return err
	}
	s.Size = size
	s.Signed = len(columns) > 1 && columns[1] == "signed"
	s.Cut = s.isCut(columns)
	return checkScalar(s)
}

func (s *Shape) isCut(columns []string) bool {
	return len(columns) > 1 && columns[1] == "cut" && s.Kind == KindSection
}

// checkScalar checks what can be checked of a shape without its members.
func checkScalar(s *Shape) error {
	valid := true
	switch s.Kind {
	case KindBool, KindEnum:
		valid = s.Size == 1 || s.Size == 2 || s.Size == 4 || s.Size == 8
	case KindChar:
		valid = s.Size == 1
	case KindInt, KindFloat:
		valid = s.Size >= 1 && s.Size <= 16
	}
	if !valid {
		return fmt.Errorf("%s %s cannot have %d bytes", shapeKeywords[s.Kind], s.Name, s.Size)
	}
	return nil
}

func (p *shapeParser) refer(text string, set func(*Shape)) {
	p.later = append(p.later, reference{line: p.line, text: text, set: set})
}

// maxShapeSize bounds sizes and offsets, in bytes, as the kernel does
// (U32_MAX, btf_array_resolve in kernel/bpf/btf.c); on 32-bit hosts to what an
// int holds.
const maxShapeSize = min(1<<32-1, int64(^uint(0)>>1))

func parseSize(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) > maxShapeSize {
		return 0, fmt.Errorf("%q is not a size", text)
	}
	return int(n), nil
}

func parseValue(s *Shape, columns []string) error {
	if len(columns) < 2 {
		return errors.New("an enumerator needs a value and a name")
	}
	value, err := strconv.ParseUint(columns[0], 10, 64)
	if s.Signed {
		var signed int64
		signed, err = strconv.ParseInt(columns[0], 10, 64)
		value = uint64(signed)
	}
	if err != nil {
		return fmt.Errorf("%q is not the value of an enumerator", columns[0])
	}
	s.Values = append(s.Values, EnumValue{Name: columns[1], Value: value})
	return nil
}

func (p *shapeParser) parseMember(s *Shape, columns []string) error {
	if len(columns) < 3 {
		return errors.New("a member needs an offset, a name and a type")
	}
	m := Member{Name: columns[1]}
	if err := m.parsePlace(columns[0]); err != nil {
		return err
	}
	if len(columns) > 3 {
		m.Tags = columns[3:]
	}
	s.Members = append(s.Members, m)
	i := len(s.Members) - 1
	p.refer(columns[2], func(t *Shape) { s.Members[i].Type = t })
	return nil
}

// parsePlace reads "48", for bitfields "48:0+1", for variables that are larger than
// their type "48 size 10", for static variables "48 static". Without an offset the
// place follows from the members before, and of bitfields there is the width, ":12".
func (m *Member) parsePlace(text string) error {
	text, m.Static = strings.CutSuffix(text, staticSuffix)
	text, size, sized := strings.Cut(text, sizeInfix)
	var err error
	if sized {
		if m.Size, err = parseSize(size); err != nil {
			return err
		}
	}
	offset, bits, isBitfield := strings.Cut(text, ":")
	m.Offset = unsettled
	if offset != "" {
		if m.Offset, err = parseSize(offset); err != nil {
			return err
		}
	}
	if !isBitfield {
		return nil
	}
	from, width, _ := strings.Cut(bits, "+")
	if offset == "" {
		from, width = "0", bits
	}
	first, err1 := strconv.ParseUint(from, 10, 3)
	n, err2 := strconv.ParseUint(width, 10, 7)
	if err1 != nil || err2 != nil || n == 0 {
		return fmt.Errorf("%q does not place a bitfield", text)
	}
	m.BitOffset, m.Bits = uint8(first), uint8(n)
	return nil
}

// resolve returns the shape that a reference names, whose size may not be
// known yet.
func (t *Table) resolve(ref string) (*Shape, error) {
	var prefixes []prefix
	for rest := ref; len(prefixes) < maxRefDepth; {
		if known := t.known(rest); known != nil {
			return t.chain(prefixes, known), nil
		}
		s, after, err := parsePrefix(rest)
		if err != nil {
			return nil, err
		}
		prefixes, rest = append(prefixes, prefix{rest, s}), after
	}
	return nil, fmt.Errorf("more than %d pointers and arrays in front of a type", maxRefDepth)
}

// prefix is a pointer or array and the reference that begins with it.
type prefix struct {
	ref   string
	shape *Shape
}

// chain puts prefixes in front of s and returns the first.
func (t *Table) chain(prefixes []prefix, s *Shape) *Shape {
	for _, p := range slices.Backward(prefixes) {
		p.shape.Elem, s = s, p.shape
		t.chains[p.ref] = p.shape
	}
	return s
}

// Void is the one shape of void.
var Void = &Shape{Kind: KindVoid, Name: "void"}

func (t *Table) known(ref string) *Shape {
	if ref == "void" {
		return Void
	}
	if s := t.byKey[ref]; s != nil {
		return s
	}
	return t.chains[ref]
}

// parsePrefix reads the pointer or array that a reference begins with.
func parsePrefix(ref string) (s *Shape, rest string, err error) {
	switch {
	case strings.HasPrefix(ref, "*("):
		return parseAttributes(ref[2:])
	case strings.HasPrefix(ref, "*"):
		return &Shape{Kind: KindPointer, Size: PointerSize}, ref[1:], nil
	case strings.HasPrefix(ref, "["):
		length, rest, _ := strings.Cut(ref[1:], "]")
		n, err := parseSize(length)
		return &Shape{Kind: KindArray, Len: n, Size: unsettled}, rest, err
	}
	return nil, "", fmt.Errorf("%q is not defined", ref)
}

func parseAttributes(text string) (s *Shape, rest string, err error) {
	s = &Shape{Kind: KindPointer, Size: PointerSize}
	for !strings.HasPrefix(text, ")") {
		text = strings.TrimPrefix(text, " ")
		if space, rest, ok := castAttribute(text); ok {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil || quoted == `""` {
				return nil, "", fmt.Errorf("the type that a cast is declared with, %s, is no quoted name", rest)
			}
			s.Space = space
			s.Declared, _ = strconv.Unquote(quoted)
			text = rest[len(quoted):]
			continue
		}
		if !strings.HasPrefix(text, `"`) {
			digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
			if s.Size, err = parseSize(digits); err != nil || s.Size > PointerSize {
				return nil, "", fmt.Errorf("%q is no attribute of a pointer", text)
			}
			text = text[len(digits):]
			continue
		}
		quoted, err := strconv.QuotedPrefix(text)
		if err != nil {
			return nil, "", fmt.Errorf("the pointer's tag %s: %w", text, err)
		}
		tag, _ := strconv.Unquote(quoted)
		s.Tags = append(s.Tags, tag)
		text = text[len(quoted):]
	}
	return s, text[1:], nil
}

// castAttribute reads the space of a cast, and returns what follows it.
func castAttribute(text string) (space Space, rest string, ok bool) {
	for i, name := range spaceNames {
		if rest, ok := strings.CutPrefix(text, name+" cast "); ok {
			return Space(i), rest, true
		}
	}
	return 0, text, false
}

// unsettled is the size of arrays, and what the text leaves out of structs, before it
// has been computed.
const unsettled = -1

// Optional returns the shape of a reference, nil for none.
func (t *Table) Optional(ref string) (*Shape, error) {
	if ref == "" {
		return nil, nil
	}
	return t.Shape(ref)
}

// Resolve returns the shapes that refs refer to.
func (t *Table) Resolve(refs []string) ([]*Shape, error) {
	shapes := make([]*Shape, len(refs))
	for i, ref := range refs {
		if ref == "" {
			shapes[i] = &Shape{Kind: KindVoid} // of another object in the package
			continue
		}
		s, err := t.Shape(ref)
		if err != nil {
			return nil, err
		}
		shapes[i] = s
	}
	return shapes, nil
}
