package gen

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// Drift lists what differs between the layout that a file was generated from
// and that of an object, field by field: what is missing, new, moved, or of
// another type. Both are layouts of generated files; see [ReadLayouts].
//
// It is stricter than binding to a guest, which puts up with fields that
// moved: it is for telling whether a file is up to date.
func Drift(file, object *runtime.Layout) ([]ctype.Difference, error) {
	fileShapes, err := ctype.Parse(file.Shapes)
	if err != nil {
		return nil, fmt.Errorf("the layout that was generated: %w", err)
	}
	objectShapes, err := ctype.Parse(object.Shapes)
	if err != nil {
		return nil, fmt.Errorf("the layout of the object: %w", err)
	}
	d := drift{want: fileShapes, have: objectShapes, seen: make(map[shapePair]bool)}
	if err := d.maps(file.Maps, object.Maps); err != nil {
		return nil, err
	}
	if err := d.sections(file.Sections, object.Sections); err != nil {
		return nil, err
	}
	if err := d.kernel(file.Kernel, object.Kernel); err != nil {
		return nil, err
	}
	for len(d.queue) > 0 {
		next := d.queue[0]
		d.queue = d.queue[1:]
		d.visit(next.path, next.want, next.have)
	}
	return d.differences, nil
}

// absent is what there is on the side that lacks something.
const absent = "nothing of that name"

// drift is one call of Drift.
type drift struct {
	want, have  *ctype.Table
	differences []ctype.Difference
	seen        map[shapePair]bool
	queue       []shapeUse
}

type shapePair struct{ want, have *ctype.Shape }

type shapeUse struct {
	path string
	shapePair
}

func (d *drift) differ(path, want, have string) {
	difference := ctype.Difference{Path: path, Want: want, Have: have}
	if want != have && !slices.Contains(d.differences, difference) {
		d.differences = append(d.differences, difference)
	}
}

func (d *drift) maps(want, have []runtime.MapLayout) error {
	for _, w := range want {
		i := slices.IndexFunc(have, func(h runtime.MapLayout) bool { return h.Name == w.Name })
		path := "map " + w.Name
		if i < 0 {
			d.differ(path, w.Type, absent)
			continue
		}
		h := have[i]
		d.differ(path, w.Type, h.Type)
		if err := d.refs("key of "+path, w.Key, h.Key); err != nil {
			return err
		}
		if err := d.refs("value of "+path, w.Value, h.Value); err != nil {
			return err
		}
	}
	for _, h := range have {
		if !slices.ContainsFunc(want, func(w runtime.MapLayout) bool { return h.Name == w.Name }) {
			d.differ("map "+h.Name, absent, h.Type)
		}
	}
	return nil
}

// refs compares the shapes that two references refer to; empty ones refer to
// nothing.
func (d *drift) refs(path, want, have string) error {
	if want == "" || have == "" {
		d.differ(path, cmp.Or(want, "bytes"), cmp.Or(have, "bytes"))
		return nil
	}
	w, err := d.want.Shape(want)
	if err != nil {
		return err
	}
	h, err := d.have.Shape(have)
	if err != nil {
		return err
	}
	d.types(path, w, h)
	return nil
}

func (d *drift) sections(want, have []string) error {
	names := make(map[string]*ctype.Shape)
	for _, ref := range have {
		s, err := d.have.Shape(ref)
		if err != nil {
			return err
		}
		names[s.Name] = s
	}
	for _, ref := range want {
		w, err := d.want.Shape(ref)
		if err != nil {
			return err
		}
		if h := names[w.Name]; h != nil {
			d.members(w.Name, w, h)
		} else {
			d.differ("section "+w.Name, variables(w), absent)
		}
		delete(names, w.Name)
	}
	for _, ref := range have {
		if s, _ := d.have.Shape(ref); names[s.Name] != nil {
			d.differ("section "+s.Name, absent, variables(s))
		}
	}
	return nil
}

// kernel compares the types of the kernel.
func (d *drift) kernel(want, have []string) error {
	for _, ref := range want {
		if !slices.Contains(have, ref) {
			d.differ(ref+" of the kernel", "its members", "an address only")
			continue
		}
		if err := d.refs(ref, ref, ref); err != nil {
			return err
		}
	}
	for _, ref := range have {
		if !slices.Contains(want, ref) {
			d.differ(ref+" of the kernel", "an address only", "its members")
		}
	}
	return nil
}

func variables(section *ctype.Shape) string {
	if len(section.Members) == 1 {
		return "1 variable"
	}
	return fmt.Sprintf("%d variables", len(section.Members))
}

// types compares two types here and what they consist of later.
func (d *drift) types(path string, want, have *ctype.Shape) {
	if isSpelledAlike(want, have) {
		d.compareLater(path, want, have)
		return
	}
	d.differ(path, ctype.Spell(want), ctype.Spell(have))
}

// isSpelledAlike tells whether two types are written the same in C.
func isSpelledAlike(want, have *ctype.Shape) bool {
	return want.Kind == have.Kind && want.Signed == have.Signed && ctype.Spell(want) == ctype.Spell(have)
}

func (d *drift) compareLater(path string, want, have *ctype.Shape) {
	pair := shapePair{want, have}
	if !d.seen[pair] {
		d.seen[pair] = true
		d.queue = append(d.queue, shapeUse{path, pair})
	}
}

// visit compares what two types consist of, which are spelled alike.
func (d *drift) visit(path string, want, have *ctype.Shape) {
	switch want.Kind {
	case ctype.KindTypedef, ctype.KindPointer, ctype.KindArray:
		d.types(path, want.Elem, have.Elem)
		return
	case ctype.KindStruct, ctype.KindUnion:
		if want.Name != "" {
			path = ctype.Spell(want)
		}
		d.members(path, want, have)
	case ctype.KindEnum:
		d.enumerators(ctype.Spell(want), want, have)
	}
	d.differ(path, bytesText(want.Size), bytesText(have.Size))
}

func (d *drift) members(path string, want, have *ctype.Shape) {
	byName := make(map[string]ctype.Member)
	for _, h := range have.Fields() {
		byName[h.Name] = h
	}
	for _, w := range want.Fields() {
		h, exists := byName[w.Name]
		delete(byName, w.Name)
		memberPath := path + "." + w.Name
		if !exists {
			d.differ(memberPath, memberText(w), absent)
			continue
		}
		d.differ(memberPath, memberText(w), memberText(h))
		if isSpelledAlike(w.Type, h.Type) {
			d.compareLater(memberPath, w.Type, h.Type)
		}
	}
	for _, h := range have.Fields() {
		if _, isNew := byName[h.Name]; isNew {
			d.differ(path+"."+h.Name, absent, memberText(h))
		}
	}
}

// memberText says where a member is and of what type.
func memberText(m ctype.Member) string {
	if m.Bits > 0 {
		return fmt.Sprintf("+%d:%d %s : %d", m.Offset, m.BitOffset, ctype.Spell(m.Type), m.Bits)
	}
	return fmt.Sprintf("+%d %s", m.Offset, ctype.Spell(m.Type))
}

func (d *drift) enumerators(path string, want, have *ctype.Shape) {
	values := make(map[string]string)
	for _, v := range have.Values {
		values[v.Name] = enumeratorText(have, v)
	}
	for _, w := range want.Values {
		d.differ(path+"."+w.Name, enumeratorText(want, w), cmp.Or(values[w.Name], absent))
		delete(values, w.Name)
	}
	for _, h := range have.Values {
		if values[h.Name] != "" {
			d.differ(path+"."+h.Name, absent, values[h.Name])
		}
	}
}

func enumeratorText(enum *ctype.Shape, v ctype.EnumValue) string {
	if enum.Signed {
		return fmt.Sprint(int64(v.Value))
	}
	return fmt.Sprint(v.Value)
}
