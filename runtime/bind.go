package runtime

import (
	"errors"
	"fmt"
	goruntime "runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/internal/errtext"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Binding is a snapshot that is read through generated code: the maps of one object found in
// it, and how their bytes become what the code expects. The Snap of a generated package holds
// one. Any number of goroutines may read through it.
type Binding struct {
	snapshot  *ktsnap.Snapshot
	layout    *Layout
	shapes    *shapes
	options   options
	tb        TB     // nil: failures panic
	generated string // source file of the generated code; empty if unknown

	maps     []*boundMap
	sections []*boundSection
	types    []boundType
	inner    innerMaps

	mu          sync.RWMutex // guards what follows
	memo        map[objectKey]*object
	kernelTypes map[convert.Pair]*kernelLayout
	objects     []*object // in order of decoding
	wholes      wholes
	interrupted *object // the element of an iteration that did not end
	limited     bool    // a read has reached options.maxObjects
	unheld      bool    // a pointer leads into an arena that is not here as a whole
}

// boundType is how the guest holds one of Layout.Types.
type boundType struct {
	shape *ctype.Shape  // the guest's; nil if it is not described, see reason
	plan  *convert.Plan // from shape; nil if the bytes can stay as they are
	why   string        // why shape is nil

	target atomic.Value // *target of pointers to it, for types of the kernel
}

// Option changes how a snapshot is bound.
type Option func(*options)

type options struct {
	maxObjects int
	mapIDs     []uint32
	stale      bool
}

// defaultMaxObjects is how many objects one read follows pointers to before it fails.
const defaultMaxObjects = 1 << 18

// MaxObjects sets how many objects one read may follow pointers to; pointers to the rest
// are nil. Otherwise a read fails that leads to more than 262,144 ([*ktsnap.NotFollowedError]).
func MaxObjects(n int) Option { return func(o *options) { o.maxObjects = n } }

// StalePointers makes pointers into arenas nil where the snapshot has no page, for programs
// that keep such on purpose. Otherwise each read that meets one fails.
func StalePointers() Option { return func(o *options) { o.stale = true } }

// MapIDs reads the maps with these ids only. It chooses one of several programs, if an
// object is loaded more than once.
func MapIDs(ids ...uint32) Option { return func(o *options) { o.mapIDs = ids } }

// Bind binds the layout to a snapshot on behalf of a test. If they do not fit, or if a later
// read fails, the test ends with a message that names the line that read.
func (l *Layout) Bind(tb TB, s *ktsnap.Snapshot, opts ...Option) *Binding {
	b, err := l.bind(s, opts)
	b.tb = tb
	b.generated = generatedFile(2)
	if err != nil {
		b.fail(err)
	}
	tb.Cleanup(b.explainCleanup)
	return b
}

// generatedFile returns the source file of a caller, that many calls up; it is
// empty if that is not known.
func generatedFile(skip int) string {
	_, file, _, _ := goruntime.Caller(skip)
	return file
}

// Open binds the layout to a snapshot outside of tests. It returns an [*ktsnap.Error] if they
// do not fit; later reads that fail panic with one, see [Try].
func (l *Layout) Open(s *ktsnap.Snapshot, opts ...Option) (*Binding, error) {
	if b, err := l.bind(s, opts); err == nil {
		return b, nil
	} else {
		return nil, err
	}
}

func (b *Binding) memory() *ktsnap.Memory { return b.snapshot.Memory() }

// Snapshot returns what is read.
func (b *Binding) Snapshot() *ktsnap.Snapshot { return b.snapshot }

func (l *Layout) bind(s *ktsnap.Snapshot, opts []Option) (*Binding, *ktsnap.Error) {
	b := &Binding{snapshot: s, layout: l, memo: make(map[objectKey]*object), kernelTypes: make(map[convert.Pair]*kernelLayout)}
	b.options.maxObjects = defaultMaxObjects
	for _, o := range opts {
		o(&b.options)
	}
	if err := b.bind(); err != nil {
		return b, &ktsnap.Error{Op: "Bind", Path: l.Package, Err: err}
	}
	return b, nil
}

func (b *Binding) bind() (err error) {
	if b.snapshot == nil {
		return errors.New("there is no snapshot: it is nil")
	}
	if b.shapes, err = b.layout.load(); err != nil {
		return err
	}
	c := convert.New()
	b.types = make([]boundType, len(b.layout.Types))
	for _, ref := range b.layout.Kernel {
		b.types[b.shapes.index[ref]].why = kernelsOwn
	}
	for i := range b.layout.Maps {
		b.maps = append(b.maps, b.bindMap(c, i))
	}
	for i, section := range b.shapes.sections {
		b.sections = append(b.sections, b.bindSection(c, i, section))
	}
	b.bindTypes(c)
	if len(c.Differences) > 0 {
		return &LayoutError{Object: b.layout.Object, Package: b.layout.Package, Differences: c.Differences}
	}
	return b.checkFound()
}

// checkFound fails if nothing of the object is in the snapshot.
func (b *Binding) checkFound() error {
	if len(b.maps) == 0 && len(b.sections) == 0 {
		return nil // types only, of whichever program
	}
	var ambiguous *ktsnap.AmbiguousMapError
	for _, m := range b.maps {
		if m.m != nil {
			return nil
		}
		errors.As(m.err, &ambiguous)
	}
	for _, s := range b.sections {
		if s.m != nil {
			return nil
		}
		errors.As(s.err, &ambiguous)
	}
	if ambiguous != nil {
		return ambiguous
	}
	var names []string
	for _, m := range b.snapshot.Maps {
		names = append(names, m.Name)
	}
	if len(names) == 0 {
		return fmt.Errorf("the snapshot holds no maps: was %s loaded when it was taken?", b.layout.Object)
	}
	return fmt.Errorf("none of the maps of %s is in the snapshot, which holds %s: was another object loaded when it was taken?", b.layout.Object, errtext.List(names))
}

// kernelsOwn is why types of the kernel are not bound to shapes of programs.
const kernelsOwn = "its layout is the kernel's"

// bindTypes binds what pointers lead to, and what that leads to.
func (b *Binding) bindTypes(c *convert.Comparison) {
	done := make(map[convert.Pair]bool)
	b.bindPointees(c, done)
	for t := range b.types {
		if b.types[t].shape == nil && b.types[t].why == "" {
			b.bindByName(c, t)
			b.bindPointees(c, done)
		}
	}
}

// bindPointees works off what comparing has found pointers to lead to. The
// queue grows meanwhile.
func (b *Binding) bindPointees(c *convert.Comparison, done map[convert.Pair]bool) {
	for ; len(c.Pointees) > 0; c.Pointees = c.Pointees[1:] {
		p := c.Pointees[0]
		if payloadOf(p.Want) != payloadOf(p.Have) {
			continue // only one side knows what is behind the header, or was told something else
		}
		t, wanted := b.shapes.number(p.Want)
		if wanted && !done[p] {
			done[p] = true
			b.bindType(c, t, p.Have)
		}
	}
}

// bindType binds type t to a shape of the guest.
func (b *Binding) bindType(c *convert.Comparison, t int, have *ctype.Shape) {
	bound, want := &b.types[t], b.shapes.types[t]
	if bound.shape != nil && bound.shape.Stripped() == have.Stripped() {
		return
	}
	if u := have.Underlying(); u == nil || u.Kind == ctype.KindFwd || u.Kind == ctype.KindVoid {
		return // declared, not described; see bindByName
	}
	plan, ok := c.Plan(ctype.Spell(want), want, have)
	switch {
	case !ok:
		bound.why = "its layout differs"
	case bound.shape == nil:
		bound.shape, bound.plan = have, plan
	case !bound.sameLayout(have, plan):
		c.Differ(ctype.Spell(want), "one type", "two different types of that name")
	}
}

// sameLayout tells whether the guest describes a type in the same way twice.
func (t *boundType) sameLayout(have *ctype.Shape, plan *convert.Plan) bool {
	return t.shape.Size == have.Size && (t.plan == nil) == (plan == nil)
}

// bindByName binds a type that no pointer of the guest's BTF leads to: it is
// declared there, and another loaded object may describe it.
func (b *Binding) bindByName(c *convert.Comparison, t int) {
	want := b.shapes.types[t].Underlying()
	if want.Kind == ctype.KindStruct || want.Kind == ctype.KindUnion {
		b.bindDefinition(c, t, want)
		return
	}
	for _, program := range b.snapshot.Programs {
		for _, s := range program.Shapes {
			if s.Name == want.Name && s.Kind == want.Kind && s.Name != "" {
				b.bindType(c, t, s)
				return
			}
		}
	}
	if isScalar(want) {
		b.bindType(c, t, want)
		return
	}
	b.types[t].why = ktsnap.NotDefined
}

// bindDefinition binds a struct or union to what the guest's programs define by
// its name, if they agree.
func (b *Binding) bindDefinition(c *convert.Comparison, t int, want *ctype.Shape) {
	if payload, ok := want.Payload(); ok {
		b.bindType(c, t, b.allocation(want, payload))
		return
	}
	have, err := b.snapshot.Definition(want)
	var notBound *ktsnap.NotBoundError
	switch {
	case errors.As(err, &notBound):
		b.types[t].why = notBound.Reason
	case have.Kind != want.Kind:
		b.types[t].why = ktsnap.NotDefined
	default:
		b.bindType(c, t, have)
	}
}

// payloadOf is what is behind the header that s is, empty if it is none.
func payloadOf(s *ctype.Shape) string {
	payload, ok := s.Stripped().Payload()
	if !ok {
		return ""
	}
	return ctype.Spell(payload.Type)
}

// allocation is a header with its payload, of which the guest's BTF says no more
// than what the payload's type is, if that.
func (b *Binding) allocation(want *ctype.Shape, payload ctype.Member) *ctype.Shape {
	name := payload.Type.Stripped().Name
	have, err := b.snapshot.Definition(&ctype.Shape{Kind: ctype.KindFwd, Name: name})
	if err != nil {
		return want
	}
	s := *want
	s.Members = slices.Clone(want.Members)
	s.Members[len(s.Members)-1].Type = have
	s.Size = payload.Offset + have.Size
	return &s
}

// isScalar tells whether a shape's name alone says its layout.
func isScalar(s *ctype.Shape) bool {
	switch s.Kind {
	case ctype.KindInt, ctype.KindBool, ctype.KindChar, ctype.KindFloat:
		return true
	}
	return false
}

// find returns the captured map that fits, and an error if there is none or
// more than one. Names that the kernel has cut short can be those of several maps
// of one object; likely decides between those.
func (b *Binding) find(name string, fits, likely func(*ktsnap.Map) bool) (*ktsnap.Map, error) {
	var candidates []*ktsnap.Map
	var names []string
	for _, m := range b.snapshot.Maps {
		if len(b.options.mapIDs) > 0 && !slices.Contains(b.options.mapIDs, m.ID) {
			continue
		}
		names = append(names, m.Name)
		if fits(m) {
			candidates = append(candidates, m)
		}
	}
	if len(candidates) == 0 {
		return nil, &ktsnap.MapNotFoundError{Requested: name, Available: names}
	}
	candidates = preferred(candidates, func(m *ktsnap.Map) bool { return m.Name == name })
	candidates = preferred(candidates, likely)
	if len(candidates) == 1 {
		return candidates[0], nil
	}
	return nil, ktsnap.Ambiguous(name, candidates)
}

// preferred returns the likely ones of maps, or all of them if none is.
func preferred(maps []*ktsnap.Map, likely func(*ktsnap.Map) bool) []*ktsnap.Map {
	var chosen []*ktsnap.Map
	for _, m := range maps {
		if likely(m) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) == 0 {
		return maps
	}
	return chosen
}
