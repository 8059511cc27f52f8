package cast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
)

// slotKind says what a slot is a part of.
type slotKind uint8

const (
	field          slotKind = iota // byte off of a struct, union or data section
	mapSlot                        // byte off of the value of a map without a struct
	result                         // what a call returns that no type describes
	argument                       // what a function is given that no type describes
	kernelArgument                 // what the kernel gives a program, of a kind that the object does not describe
	kernelMember                   // what the kernel stores in an object of its own that a program looks at
	headerSlot                     // a place, as field and mapSlot, that is declared to hold pointers to headers
	payloadSlot                    // what is behind such a header
	declaredSlot                   // a place, as field and mapSlot, that is declared to hold pointers to something
	wordSlot                       // any word of an object without a type, which is a row of them
	hiddenSlot                     // byte off of a struct that is only declared, by the member's name
)

// slot is a place that holds an integer, or an untyped pointer, of which the
// analysis wants to know what it points to. Places in memory are those of a
// type, not of an object: every task_ctx has the same slots. Arrays have the
// slots of one element. It is comparable.
type slot struct {
	kind   slotKind
	typ    btf.Type         // field: the innermost named struct or union, or the section; kernelMember: the object; hiddenSlot: the declaration
	m      *object.Map      // mapSlot
	fn     *object.Function // result, argument, kernelArgument, kernelMember
	behind uint32           // payloadSlot: bytes from the start of the header
	off    uint32           // field, mapSlot, kernelMember: bytes; result: the instruction; argument: from 1; kernelArgument: from 0
	view   string           // field: the path, if other members lie there; hiddenSlot: the name
	object int32            // field, mapSlot, hiddenSlot: the only object that it is in, of a place that is told apart by that
}

// layouts answers questions about BTF types. It remembers the answers.
type layouts struct {
	spec    *btf.Spec
	canon   map[btf.Type]btf.Type
	answers map[question]answer

	overlaps map[question][]view
}

type question struct {
	t   btf.Type
	off offset
	len int
}

type answer struct {
	place place
	ok    bool
}

// place is what lies at an offset of a type.
type place struct {
	container btf.Type // the innermost named struct or union, or the section
	off       uint32   // bytes from the start of the container, of the first element in arrays
	typ       btf.Type // what is there
	view      string   // the path in the container, if it is one of several members there
}

func newLayouts(spec *btf.Spec) *layouts {
	return &layouts{spec: spec, canon: make(map[btf.Type]btf.Type), answers: make(map[question]answer), overlaps: make(map[question][]view)}
}

// maxNesting bounds how deeply types hold others by value.
const maxNesting = 64

// canonical returns the type that stands for t: without qualifiers and
// typedefs, the definition for a declaration, and the plain type for a CO-RE
// flavour of it (task_struct___old). It is nil for void.
func (l *layouts) canonical(t btf.Type) btf.Type {
	if c, ok := l.canon[t]; ok {
		return c
	}
	c := btf.UnderlyingType(t)
	if _, void := c.(*btf.Void); void {
		c = nil
	}
	if name := aggregateName(c); name != "" {
		c = l.definition(c, name)
	}
	l.canon[t] = c
	return c
}

// element returns what the elements of an array, or an array of arrays, are, and
// the canonical type of anything else.
func (l *layouts) element(t btf.Type) btf.Type {
	t = l.canonical(t)
	for range maxNesting {
		arr, ok := t.(*btf.Array)
		if !ok {
			break
		}
		t = l.canonical(arr.Type)
	}
	return t
}

// aggregateName returns the name of a struct, union or declaration of one.
func aggregateName(t btf.Type) string {
	switch t := t.(type) {
	case *btf.Struct, *btf.Union, *btf.Fwd:
		return t.TypeName()
	}
	return ""
}

// definition returns the first struct or union with the essential name of t.
func (l *layouts) definition(t btf.Type, name string) btf.Type {
	essential, flavour, _ := strings.Cut(name, "___")
	_, declared := t.(*btf.Fwd)
	if flavour == "" && !declared {
		return t
	}
	types, err := l.spec.AnyTypesByName(essential)
	if err != nil {
		return t
	}
	for _, candidate := range types {
		if candidate.TypeName() != essential {
			continue
		}
		switch candidate.(type) {
		case *btf.Struct, *btf.Union:
			return candidate
		}
	}
	return t
}

// pointee returns what a pointer type points to, canonically; ok is false if
// t is no pointer.
func (l *layouts) pointee(t btf.Type) (target btf.Type, tags []string, ok bool) {
	ptr, ok := btf.As[*btf.Pointer](t)
	if !ok {
		return nil, nil, false
	}
	next := ptr.Target
	for range maxNesting {
		switch q := next.(type) {
		case *btf.TypeTag:
			tags, next = append(tags, q.Value), q.Type
		case *btf.Const:
			next = q.Type
		case *btf.Volatile:
			next = q.Type
		default:
			return l.canonical(next), tags, true
		}
	}
	return nil, tags, true
}

// views are structs that no memory is laid out as: the verifier turns accesses
// to their members into accesses to something else, the struct that a pointer
// to them really leads to.
var views = map[string]string{
	"__sk_buff":           "sk_buff",
	"bpf_cgroup_dev_ctx":  "",
	"bpf_nf_ctx":          "",
	"bpf_perf_event_data": "bpf_perf_event_data_kern",
	"bpf_sk_lookup":       "bpf_sk_lookup_kern",
	"bpf_sock":            "sock",
	"bpf_sock_addr":       "bpf_sock_addr_kern",
	"bpf_sock_ops":        "bpf_sock_ops_kern",
	"bpf_sockopt":         "bpf_sockopt_kern",
	"bpf_sysctl":          "bpf_sysctl_kern",
	"bpf_tcp_sock":        "tcp_sock",
	"sk_msg_md":           "sk_msg",
	"sk_reuseport_md":     "sk_reuseport_kern",
	"xdp_md":              "xdp_buff",
}

func isView(t btf.Type) bool {
	_, ok := views[aggregateName(t)]
	return ok
}

// meant is a pointer as it counts once it is stored: one to a view leads to
// what is viewed, and is none if the object does not describe that.
func (e *engine) meant(p pointer) pointer {
	if !p.known() || p.region != typed || !isView(p.typ) {
		return p
	}
	if p.typ = e.layouts.named(views[aggregateName(p.typ)]); p.typ == nil || p.off != (offset{}) {
		return pointer{}
	}
	return p
}

// at returns what of `size` bytes lies at an offset of an object of type t, or
// of an array of them. A size of 0 asks for the outermost thing that starts
// there.
func (l *layouts) at(t btf.Type, off offset, size int) (place, bool) {
	q := question{t, off, size}
	if a, ok := l.answers[q]; ok {
		return a.place, a.ok
	}
	p, ok := l.search(t, off, size)
	l.answers[q] = answer{p, ok}
	return p, ok
}

func (l *layouts) search(t btf.Type, off offset, size int) (place, bool) {
	whole, err := btf.Sizeof(t)
	if err != nil || whole == 0 {
		return place{}, false
	}
	if off.stride != 0 && off.stride%uint64(whole) == 0 && !openEnded(t) {
		off = offset{base: mod(off.base, uint64(whole))}
	}
	d := descent{layouts: l, size: size, place: place{container: t, typ: t}}
	return d.into(t, off, 0, maxNesting)
}

// descent is a search, on its way from a type into its members.
type descent struct {
	*layouts
	size  int
	place place
}

// into looks at type t, which starts at byte start of the container, for what
// lies at off in it.
func (d descent) into(t btf.Type, off offset, start uint32, depth int) (place, bool) {
	t = btf.UnderlyingType(t) // a flavour has its own layout
	if depth == 0 {
		return place{}, false
	}
	n, err := btf.Sizeof(t)
	if err != nil || !reaches(t, n, off.base) {
		return place{}, false
	}
	if off == (offset{}) && (d.size == 0 || n == d.size) && !opens(t, d.size) && !isSection(t) {
		d.place.off, d.place.typ = start, t
		return d.place, true
	}
	switch t := t.(type) {
	case *btf.Struct:
		return d.member(t, t.Name, t.Members, off, start, depth)
	case *btf.Union:
		return d.member(t, t.Name, t.Members, off, start, depth)
	case *btf.Datasec:
		return d.variable(t, off, depth)
	case *btf.Array:
		return d.element(t, off, start, depth)
	}
	return place{}, false
}

// reaches tells whether a t, of n bytes, has a byte at an offset. What has no size may be
// of any.
func reaches(t btf.Type, n int, off int64) bool {
	return off >= 0 && (off < int64(n) || n == 0 || openEnded(t))
}

// openEnded tells whether a struct ends in a flexible array.
func openEnded(t btf.Type) bool {
	s, ok := t.(*btf.Struct)
	if !ok || len(s.Members) == 0 {
		return false
	}
	return isFlexible(s.Members[len(s.Members)-1].Type)
}

// isFlexible tells whether t is an array of no told length.
func isFlexible(t btf.Type) bool {
	arr, ok := btf.As[*btf.Array](t)
	return ok && arr.Nelems == 0
}

// opens tells whether an access of size bytes to all of t is one to a part:
// loads and stores reach members, even of a struct that has only one.
func opens(t btf.Type, size int) bool {
	switch t.(type) {
	case *btf.Struct, *btf.Union, *btf.Array, *btf.Datasec:
		return size != 0
	}
	return false
}

func (d descent) member(t btf.Type, name string, members []btf.Member, off offset, start uint32, depth int) (place, bool) {
	if name != "" {
		d.place.container, start = t, 0
	}
	for _, m := range members {
		at := int64(m.Offset / 8)
		n, err := btf.Sizeof(m.Type)
		if err != nil || m.BitfieldSize != 0 || off.base < at || n > 0 && off.base >= at+int64(n) {
			continue
		}
		if p, ok := d.into(m.Type, off.add(constant(-at)), start+uint32(at), depth-1); ok {
			return p, true
		}
	}
	return place{}, false
}

func (d descent) variable(t *btf.Datasec, off offset, depth int) (place, bool) {
	d.place.container = t
	for _, info := range t.Vars {
		v, ok := info.Type.(*btf.Var)
		if !ok || off.base < int64(info.Offset) || off.base >= int64(info.Offset)+int64(info.Size) {
			continue
		}
		return d.into(v.Type, off.add(constant(-int64(info.Offset))), info.Offset, depth-1)
	}
	return place{}, false
}

func (d descent) element(t *btf.Array, off offset, start uint32, depth int) (place, bool) {
	n, err := btf.Sizeof(t.Type)
	if err != nil || n == 0 {
		return place{}, false
	}
	base := mod(off.base, uint64(n))
	if off.stride == 0 || off.stride%uint64(n) == 0 {
		return d.into(t.Type, offset{base: base}, start, depth-1)
	}
	return d.into(t.Type, offset{base, gcd(off.stride, uint64(n))}, start, depth-1)
}

// tagsAt returns the declaration tags of the members and variables that start
// at an offset, from the outermost in.
func (l *layouts) tagsAt(t btf.Type, off offset) []string {
	var tags []string
	at, stride := off.base, off.stride
	for range maxNesting {
		switch u := l.canonical(t).(type) {
		case *btf.Struct:
			m := memberAt(u.Members, at)
			if m == nil {
				return tags
			}
			t, at, tags = m.Type, at-int64(m.Offset/8), append(tags, m.Tags...)
		case *btf.Datasec:
			v, start := variableAt(u, at)
			if v == nil {
				return tags
			}
			t, at, tags = v.Type, at-start, append(tags, v.Tags...)
		case *btf.Array:
			n, err := btf.Sizeof(u.Type)
			if err != nil || n == 0 || stride%uint64(n) != 0 {
				return tags
			}
			t, at, stride = u.Type, mod(at, uint64(n)), 0
		default:
			return tags
		}
	}
	return tags
}

// memberAt returns the member that byte off is in, or nil.
func memberAt(members []btf.Member, off int64) *btf.Member {
	for i := range members {
		m := &members[i]
		n, err := btf.Sizeof(m.Type)
		if at := int64(m.Offset / 8); err == nil && off >= at && off < at+int64(n) {
			return m
		}
	}
	return nil
}

// variableAt returns the variable that byte off is in, and where it starts.
func variableAt(section *btf.Datasec, off int64) (v *btf.Var, start int64) {
	for _, info := range section.Vars {
		if off >= int64(info.Offset) && off < int64(info.Offset)+int64(info.Size) {
			v, _ := info.Type.(*btf.Var)
			return v, int64(info.Offset)
		}
	}
	return nil, 0
}

// hidden returns the slot at a place of a struct of the program's that the object only
// declares: what a line of C accesses there, as members may overlap.
func (w *walk) hidden(p pointer, size int) (slot, bool) {
	off, exact := p.off.exact()
	if _, declared := p.typ.(*btf.Fwd); !declared || !exact || off < 0 || size != slotSize || w.isForeignType(p.typ) || w.without(declarations) {
		return slot{}, false
	}
	names := w.membersNamed(instruction{w.fn.code, w.at})
	if len(names.once) != 1 || len(names.often) != 0 {
		return slot{}, false
	}
	return slot{kind: hiddenSlot, typ: p.typ, off: uint32(off), view: names.once[0]}, true
}

// container returns how C spells what a slot is a part of.
func (s slot) container() string {
	switch s.kind {
	case mapSlot:
		return "map " + s.m.Name
	case field, hiddenSlot:
		return ktbtf.Spell(s.typ)
	case headerSlot, payloadSlot, declaredSlot:
		if s.m != nil {
			return "map " + s.m.Name
		}
		return ktbtf.Spell(s.typ)
	}
	return s.fn.Name
}

// path returns the C path of a slot: "task_ctx.task", "nodes[].next".
func (s slot) path() string {
	if s.m != nil {
		return s.m.Name
	}
	if s.view != "" {
		return s.view
	}
	switch s.kind {
	case wordSlot:
		return fmt.Sprintf("%s: words of the result of call %d", s.fn.Name, s.off)
	case result:
		return fmt.Sprintf("%s: result of call %d", s.fn.Name, s.off)
	case argument:
		return fmt.Sprintf("%s: argument %d", s.fn.Name, s.off)
	case kernelArgument:
		return fmt.Sprintf("%s: argument %d of the kernel's", s.fn.Name, s.off)
	case kernelMember:
		return fmt.Sprintf("%s: the kernel's %s.%s", s.fn.Name, s.typ.TypeName(), pathAt(s.typ, int64(s.off), maxNesting))
	}
	return pathAt(s.typ, int64(s.off), maxNesting)
}

// pathAt names what of t starts at byte off.
func pathAt(t btf.Type, off int64, depth int) string {
	if depth == 0 {
		return "..."
	}
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct, *btf.Union:
		return memberPath(ktbtf.Members(t), off, depth)
	case *btf.Datasec:
		for i, info := range t.Vars {
			if v, ok := info.Type.(*btf.Var); ok && off >= int64(info.Offset) && off < int64(info.Offset)+int64(info.Size) {
				return join(ktbtf.VarNames(t)[i], pathAt(v.Type, off-int64(info.Offset), depth-1))
			}
		}
	case *btf.Array:
		n, err := btf.Sizeof(t.Type)
		if err != nil || n == 0 {
			return "[]"
		}
		return join("[]", pathAt(t.Type, off%int64(n), depth-1))
	}
	return ""
}

// memberPath is the path of the member at byte off. Of several it is the first with 8 bytes
// there, or the first of all; what has no size comes last.
func memberPath(members []btf.Member, off int64, depth int) string {
	var found *btf.Member
	for i, m := range members {
		at := int64(m.Offset / 8)
		n, err := btf.Sizeof(m.Type)
		switch {
		case err != nil || off < at:
		case off < at+int64(n):
			if hasWordAt(m.Type, off-at, depth-1) {
				return join(m.Name, pathAt(m.Type, off-at, depth-1))
			}
			if found == nil || isEmpty(found.Type) {
				found = &members[i]
			}
		case n == 0 && (off == at || isFlexible(m.Type)) && (found == nil || isEmpty(found.Type)):
			found = &members[i]
		}
	}
	if found == nil {
		return ""
	}
	return join(found.Name, pathAt(found.Type, off-int64(found.Offset/8), depth-1))
}

func isEmpty(t btf.Type) bool {
	n, err := btf.Sizeof(t)
	return err == nil && n == 0
}

// hasWordAt tells whether something of 8 bytes that has no parts begins at byte off of t.
func hasWordAt(t btf.Type, off int64, depth int) bool {
	n, err := btf.Sizeof(t)
	if err != nil || depth == 0 || off < 0 || off >= int64(n) {
		return false
	}
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct, *btf.Union:
		return slices.ContainsFunc(ktbtf.Members(t), func(m btf.Member) bool {
			return hasWordAt(m.Type, off-int64(m.Offset/8), depth-1)
		})
	case *btf.Array:
		n, err := btf.Sizeof(t.Type)
		return err == nil && n > 0 && hasWordAt(t.Type, off%int64(n), depth-1)
	}
	return off == 0 && n == slotSize
}

func join(name, rest string) string {
	switch {
	case name == "" || rest == "" || strings.HasPrefix(rest, "["):
		return name + rest
	}
	return name + "." + rest
}
