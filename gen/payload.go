package gen

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file takes the user's word for what is behind the headers of allocations.

// payloadChoice is what a -payload says: task_slot.data+8=struct task_ctx.
type payloadChoice struct {
	text   string
	place  string // task_slot.data
	behind int    // bytes of the header; -1 if it is not said
	typ    string // struct task_ctx
}

func parsePayload(text string) (payloadChoice, error) {
	place, typ, ok := strings.Cut(text, "=")
	c := payloadChoice{text: text, place: strings.TrimSpace(place), behind: -1, typ: strings.TrimSpace(typ)}
	if at := strings.LastIndexByte(c.place, '+'); at >= 0 {
		n, err := strconv.ParseUint(c.place[at+1:], 10, 16)
		if err != nil {
			return c, fmt.Errorf("-payload %q: %q is no number of bytes of a header", text, c.place[at+1:])
		}
		c.place, c.behind = c.place[:at], int(n)
	}
	if !ok || c.place == "" || c.typ == "" {
		return c, fmt.Errorf("-payload %q is not FIELD=TYPE, such as \"task_slot.data=struct task_ctx\"", text)
	}
	return c, nil
}

// applyPayloads adds what the user said to the casts of each object, in place of
// what was found. It returns a [*ChoiceError] for what no object has.
func applyPayloads(parts []*part, choices []string) error {
	for _, text := range choices {
		c, err := parsePayload(text)
		if err != nil {
			return err
		}
		var refused []error
		for _, p := range parts {
			own := c
			if len(parts) > 1 {
				own.place = strings.TrimPrefix(own.place, p.word+":")
			}
			if err := p.applyPayload(own, parts); err != nil {
				refused = append(refused, fmt.Errorf("%s: -payload %q: %w", p.obj.Name, text, err))
			}
		}
		if len(refused) == len(parts) {
			return &ChoiceError{"payload", text, refused[0]}
		}
	}
	return nil
}

func (p *part) applyPayload(c payloadChoice, all []*part) error {
	at, err := p.payloadPlace(c.place)
	if err != nil {
		return err
	}
	target, err := p.payloadType(c.typ, all)
	if err != nil {
		return err
	}
	if c.behind < 0 {
		if c.behind, err = p.headerSize(at); err != nil {
			return err
		}
	}
	if err := at.fits(c, target); err != nil {
		return err
	}
	p.casts = slices.DeleteFunc(p.casts, func(old ktsnap.Cast) bool { return old.In == at.in && old.Path == at.path })
	p.casts = append(p.casts, ktsnap.Cast{In: at.in, Path: at.path, To: ktbtf.Spell(target), Behind: c.behind})
	return nil
}

// pointerPlace is a place in the program's data that can hold pointers to headers,
// or to something that nothing declares.
type pointerPlace struct {
	in, path string       // as a [ktsnap.Cast] has them
	shape    *ctype.Shape // underlying
}

// name is how users call a place: task_slot.data, .bss.head, map heads.
func (p pointerPlace) name() string {
	if p.path == "" {
		return p.in
	}
	_, container, _ := strings.Cut(p.in, " ")
	return container + "." + p.path
}

// header is the struct that a place is declared to point to, nil for none.
func (p pointerPlace) header() *ctype.Shape {
	if p.shape.Kind != ctype.KindPointer {
		return nil
	}
	u := p.shape.Elem.Underlying()
	if u == nil || u.Kind != ctype.KindFwd && u.Kind != ctype.KindStruct {
		return nil
	}
	return u
}

// fits checks that the payload has room in a header whose size is known.
func (p pointerPlace) fits(c payloadChoice, target btf.Type) error {
	size, err := btf.Sizeof(target)
	if err != nil || size == 0 {
		return fmt.Errorf("%s has no size", ktbtf.Spell(target))
	}
	header := p.header()
	if header != nil && c.behind == 0 {
		return fmt.Errorf("%s is declared to lead to a header, %s, and so not to %s itself", p.name(), ctype.Spell(header), ktbtf.Spell(target))
	}
	if header == nil || header.Kind == ctype.KindFwd || header.Size <= c.behind {
		return nil
	}
	if room := header.Size - c.behind; size > room {
		return fmt.Errorf("%s has %d bytes, and %s has %d behind its first %d", ktbtf.Spell(target), size, ctype.Spell(header), room, c.behind)
	}
	return nil
}

// payloadPlace returns the place of a name, which is its path alone if no other
// struct has one like that.
func (p *part) payloadPlace(name string) (pointerPlace, error) {
	all := p.pointerPlaces()
	var names []string
	var alike []pointerPlace
	for _, at := range all {
		if at.name() == name || at.in+"."+at.path == name {
			return at, nil
		}
		if at.path == name {
			alike = append(alike, at)
		}
		names = append(names, at.name())
	}
	switch len(alike) {
	case 0:
		return pointerPlace{}, fmt.Errorf("%s is no pointer to a header, no void * and no integer of 8 bytes in the program's maps and variables%s", name, near(name, names))
	case 1:
		return alike[0], nil
	}
	return pointerPlace{}, fmt.Errorf("%s can be %s or %s: say which", name, alike[0].name(), alike[1].name())
}

// pointerPlaces lists the places of the program's data, those that pointers lead to
// included.
func (p *part) pointerPlaces() []pointerPlace {
	w := placeWalk{seen: make(map[*ctype.Shape]bool)}
	shapes := ktbtf.NewShapes(p.obj.Types)
	for _, m := range p.obj.Maps {
		if m.Type != structOps && m.Value != nil {
			w.root("map "+m.Name, shapes, m.Value)
		}
	}
	for _, s := range p.obj.Sections {
		if s.Type != nil && s.Kind != object.Kconfig {
			w.root("section "+s.Name, shapes, s.Type)
		}
	}
	slices.SortStableFunc(w.places, func(a, b pointerPlace) int { return w.rank(a) - w.rank(b) })
	return w.places
}

// placeWalk goes through types, each once.
type placeWalk struct {
	seen   map[*ctype.Shape]bool
	places []pointerPlace
}

// rank puts pointers to headers first, and integers last.
func (w *placeWalk) rank(p pointerPlace) int {
	switch {
	case p.header() != nil:
		return 0
	case p.shape.Kind == ctype.KindPointer:
		return 1
	}
	return 2
}

func (w *placeWalk) root(in string, shapes *ktbtf.Shapes, t btf.Type) {
	if s, err := shapes.Of(t); err == nil {
		w.walk(in, "", s, maxNesting)
	}
}

// walk adds the places of a type, and of those that it leads to. A type with a name is
// gone through once, as the one that its places are in.
func (w *placeWalk) walk(in, path string, s *ctype.Shape, depth int) {
	if depth == 0 {
		return
	}
	s.WalkTypes(func(p *ctype.Part) ctype.Next {
		at := strings.TrimPrefix(path+p.Path(), ".")
		switch u := p.Shape; u.Kind {
		case ctype.KindInt:
			if u.Size == 8 && !p.IsBitfield() {
				w.places = append(w.places, pointerPlace{in, at, u})
			}
		case ctype.KindPointer:
			w.pointer(pointerPlace{in, at, u}, depth)
		case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
			switch {
			case u.Name == "":
			case p.Up != nil:
				w.walk(in, at, u, depth-1)
				return ctype.Skip
			case w.seen[u]:
				return ctype.Skip
			default:
				w.seen[u] = true
				in, path = container(u), ""
			}
		}
		return ctype.Enter
	})
}

// container is how places name the type that they are in.
func container(u *ctype.Shape) string {
	if u.Kind == ctype.KindSection {
		return "section " + u.Name
	}
	return ctype.Spell(u)
}

// pointer adds a pointer that can lead to an allocation, and the places there.
func (w *placeWalk) pointer(p pointerPlace, depth int) {
	target := p.shape.Elem.Underlying()
	if target == nil {
		return
	}
	switch target.Kind {
	case ctype.KindStruct:
		w.places = append(w.places, p)
		w.walk(p.in, p.path, target, depth-1)
	case ctype.KindFwd, ctype.KindVoid:
		w.places = append(w.places, p)
	}
}

// payloadType returns the type of a name: the object's own, or else that of another
// one of the package. What only local variables point to is in no BTF, but in DWARF.
func (p *part) payloadType(name string, all []*part) (btf.Type, error) {
	b := &builder{part: p}
	if t, err := b.typeNamed(name); t != nil || err != nil {
		return t, err
	}
	for _, other := range append([]*part{p}, all...) {
		t, err := other.typeBeside(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", other.obj.Name, err)
		}
		if t != nil {
			if p.beside == nil {
				p.beside = make(map[string]btf.Type)
			}
			p.beside[ktbtf.Spell(t)] = t
			return t, nil
		}
	}
	near := b.nearType(name)
	if !strings.Contains(near, "did you mean") {
		near += adviceOnDebug(all)
	}
	return nil, fmt.Errorf("the object defines no %s%s", name, near)
}

// adviceOnDebug says where more types are to be had, if no object has DWARF.
func adviceOnDebug(all []*part) string {
	if slices.ContainsFunc(all, func(p *part) bool { return p.obj.HasDebug() }) {
		return ""
	}
	return "; what only local variables lead to is in DWARF, which the object has not: give it, or one more -object, as clang -g -c writes it, neither stripped nor linked"
}

// typeBeside returns the type of a name for another object of the package, nil if p
// does not have it.
func (p *part) typeBeside(name string) (btf.Type, error) {
	if t, err := (&builder{part: p}).typeNamed(name); t != nil || err != nil {
		return t, err
	}
	debug := p.obj.DebugTypes()
	for _, keyword := range []string{"", "struct ", "union ", "enum "} {
		if t := debug[keyword+name]; t != nil {
			return t, nil
		}
	}
	return nil, nil
}

// headerSize is how many bytes are in front of the payload where that is not said:
// those before the array that the header ends in; of one that is only declared, as
// many as the program moves pointers by, or the id of tools/sched_ext/scx_sdt.h.
func (p *part) headerSize(at pointerPlace) (int, error) {
	header := at.header()
	if header == nil {
		return 0, nil
	}
	if header.Kind == ctype.KindFwd {
		header = p.debugShape("struct "+header.Name, header)
	}
	if header.Kind == ctype.KindStruct {
		if len(header.Members) > 0 {
			if last := header.Members[len(header.Members)-1]; last.Type.Underlying().Kind == ctype.KindArray {
				return last.Offset, nil
			}
		}
		return 0, fmt.Errorf("%s leads to %s, which ends in no array: say how many bytes of it are in front of the payload, such as %[1]s+8=TYPE", at.name(), ctype.Spell(header))
	}
	for _, c := range p.casts {
		if c.In == at.in && c.Path == at.path && c.Behind > 0 {
			return c.Behind, nil
		}
	}
	var id *btf.Union
	if p.obj.Types.TypeByName("sdt_id", &id) == nil && id.Size == 8 {
		return 8, nil
	}
	return 0, fmt.Errorf("struct %s is only declared: say how many bytes of it are in front of the payload, such as %s+8=TYPE", header.Name, at.name())
}

// debugShape is the shape of a type that DWARF has, declared if it has none.
func (p *part) debugShape(spelled string, declared *ctype.Shape) *ctype.Shape {
	t := p.obj.DebugTypes()[spelled]
	if t == nil {
		return declared
	}
	s, err := ktbtf.NewShapes(p.obj.Types).Of(t)
	if err != nil {
		return declared
	}
	return s
}
