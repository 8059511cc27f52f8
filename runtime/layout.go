package runtime

import (
	"fmt"
	"sync"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/within"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Layout has the maps and sections of one object, and their types. A generated package
// has one for each object, and binds it to snapshots.
type Layout struct {
	Object   string   // file name of the object, without directories
	Package  string   // of the generated code
	Shapes   string   // definitions, as [ctype.Writer] writes them
	Types    []string // what maps hold and pointers lead to; referred to by index; empty for those of other objects
	Kernel   []string // those of Types that belong to the kernel, whose layouts are those of the kernel that runs
	Fields   []string // which of their members were asked for: what ktgen's -fields said
	Maps     []MapLayout
	Sections []string // .bss, .data, ...: references to their shapes

	// Values and Globals have a nil pointer of the Go type of each of Types and
	// Sections, nil for those of the kernel and of other objects.
	Values, Globals []any

	embed sync.Once
	lies  *within.Types
	isIn  []bool // by number of a type: it lies in another

	parse  sync.Once
	parsed *shapes
	err    error
}

// MapLayout is a map as generated code expects it.
type MapLayout struct {
	Name  string // in the source, which can be longer than in the kernel
	Type  string // the kernel's name without BPF_MAP_TYPE_, such as "PERCPU_ARRAY"; empty for maps inside others whose type the object does not say
	Key   string // reference to its shape; empty without BTF
	Value string // one of Layout.Types; empty without BTF
	Room  int    // max_entries, if the object says it: of a ring buffer bytes, of an arena pages
	Inner bool   // this is no map: it describes those inside the map of maps before it, which user space can make without BTF
}

// shapes are the shapes that a Layout refers to.
type shapes struct {
	types    []*ctype.Shape
	refs     []string
	index    map[string]int       // of a reference in types
	numbers  map[*ctype.Shape]int // of one of types, without typedefs
	mapTypes []ktsnap.MapType     // of maps; 0 where the object does not say it
	keys     []*ctype.Shape       // of maps; nil without BTF
	sections []*ctype.Shape
}

// load parses the layout once.
func (l *Layout) load() (*shapes, error) {
	l.parse.Do(func() {
		l.parsed, l.err = l.parseShapes()
		if l.err != nil {
			l.err = fmt.Errorf("the generated code of package %s is damaged: %w", l.Package, l.err)
		}
	})
	return l.parsed, l.err
}

// checkRefs checks that what refers to types refers to some of the layout's.
func (l *Layout) checkRefs(types map[string]int) error {
	for _, ref := range l.Kernel {
		if _, known := types[ref]; !known {
			return fmt.Errorf("the kernel's %q is none of its types", ref)
		}
	}
	for _, m := range l.Maps {
		if _, known := types[m.Value]; m.Value != "" && !known {
			return fmt.Errorf("the value of map %s, %q, is none of its types", m.Name, m.Value)
		}
	}
	return nil
}

func (l *Layout) parseShapes() (*shapes, error) {
	table, err := ctype.Parse(l.Shapes)
	if err != nil {
		return nil, err
	}
	p := &shapes{refs: l.Types, index: make(map[string]int)}
	if p.mapTypes, err = l.mapTypes(); err != nil {
		return nil, err
	}
	for i, ref := range l.Types {
		p.index[ref] = i
	}
	if p.types, err = table.Resolve(l.Types); err != nil {
		return nil, err
	}
	p.numbers = make(map[*ctype.Shape]int, len(p.types))
	for i, s := range p.types {
		p.numbers[s.Stripped()] = i
	}
	if p.sections, err = table.Resolve(l.Sections); err != nil {
		return nil, err
	}
	if err := l.checkRefs(p.index); err != nil {
		return nil, err
	}
	for _, m := range l.Maps {
		if m.Key == "" {
			p.keys = append(p.keys, nil)
			continue
		}
		key, err := table.Shape(m.Key)
		if err != nil {
			return nil, err
		}
		p.keys = append(p.keys, key)
	}
	return p, nil
}

// number returns which of the layout's types a shape is.
func (p *shapes) number(s *ctype.Shape) (typ int, ok bool) {
	typ, ok = p.numbers[s.Stripped()]
	return typ, ok
}

// mapTypes are the types of the maps.
func (l *Layout) mapTypes() ([]ktsnap.MapType, error) {
	types := make([]ktsnap.MapType, len(l.Maps))
	for i, m := range l.Maps {
		if m.Type == "" {
			continue
		}
		t, err := ktsnap.ParseMapType(m.Type)
		if err != nil {
			return nil, fmt.Errorf("map %s: %w", m.Name, err)
		}
		types[i] = t
	}
	return types, nil
}

// Casts lists the pointers of the layout that the program declares as something else.
func (l *Layout) Casts() ([]ktsnap.Cast, error) {
	table, err := ctype.Parse(l.Shapes)
	if err != nil {
		return nil, fmt.Errorf("the generated code of package %s is damaged: %w", l.Package, err)
	}
	values := make(map[string]*ctype.Shape)
	for _, m := range l.Maps {
		if value, err := table.Optional(m.Value); err == nil && value != nil {
			values[m.Name] = value
		}
	}
	return ktsnap.CastsOf(table.All(), values), nil
}
