package runtime

import (
	"fmt"
	"sync"
)

// layouts checks shapes and finds the members of structs, each once.
type layouts struct {
	checked sync.Map // *Shape to verdict
	indexed sync.Map // *Shape to *fieldIndex

	mu      sync.Mutex // guards what follows
	settler settler
	cached  int // members in indexed
}

// verdict is what checking a shape found.
type verdict struct{ err error }

// check checks that values of s can be read, whatever bytes they have.
func (l *layouts) check(s *Shape) error {
	if known, ok := l.checked.Load(s); ok {
		return known.(verdict).err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.settler.settle(s)
	l.checked.Store(s, verdict{err})
	return err
}

// fieldIndex finds the members of a struct, union or section, and those of
// anonymous members in it, by name.
type fieldIndex struct {
	fields []Member         // see Shape.Fields
	byName map[string]int32 // index in fields
}

// names are the members' names in the order of declaration.
func (x *fieldIndex) names() []string {
	names := make([]string, len(x.fields))
	for i := range x.fields {
		names[i] = x.fields[i].Name
	}
	return names
}

// maxIndexed bounds the members of one type; BTF has at most 65,535 in one
// struct. maxCached bounds those that are kept.
const (
	maxIndexed = 1 << 16
	maxCached  = 1 << 20
)

// fields returns the index of a struct, union or section that was checked.
func (l *layouts) fields(s *Shape) (*fieldIndex, error) {
	if known, ok := l.indexed.Load(s); ok {
		return known.(*fieldIndex), nil
	}
	fields, ok := s.fieldsUpTo(maxIndexed)
	if !ok {
		return nil, fmt.Errorf("the snapshot is damaged: %s has more than %d members", CType(s), maxIndexed)
	}
	x := &fieldIndex{fields: fields, byName: make(map[string]int32, len(fields))}
	for i := range fields {
		x.byName[fields[i].Name] = int32(i)
	}
	l.keep(s, x)
	return x, nil
}

func (l *layouts) keep(s *Shape, x *fieldIndex) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cached += len(x.fields); l.cached <= maxCached {
		l.indexed.Store(s, x)
	}
}
