package ctype

import (
	"fmt"
	"sync"
)

// Index checks shapes and finds the members of structs, each once.
type Index struct {
	checked sync.Map // *Shape to verdict
	indexed sync.Map // *Shape to *fieldIndex

	mu      sync.Mutex // guards what follows
	settler Settler
	cached  int // members in indexed
}

// verdict is what checking a shape found.
type verdict struct{ err error }

// Check checks that values of s can be read, whatever bytes they have.
func (l *Index) Check(s *Shape) error {
	if known, ok := l.checked.Load(s); ok {
		return known.(verdict).err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.settler.Settle(s)
	l.checked.Store(s, verdict{err})
	return err
}

// fieldIndex finds the members of a struct, union or section, and those of
// anonymous members in it, by name.
type fieldIndex struct {
	Fields []Member         // see Shape.Fields
	ByName map[string]int32 // index in fields
}

// Names are the members' names in the order of declaration.
func (x *fieldIndex) Names() []string {
	names := make([]string, len(x.Fields))
	for i := range x.Fields {
		names[i] = x.Fields[i].Name
	}
	return names
}

// MaxIndexed bounds the members of one type; BTF has at most 65,535 in one
// struct. maxCached bounds those that are kept.
const (
	MaxIndexed = 1 << 16
	maxCached  = 1 << 20
)

// Fields returns the index of a struct, union or section that was checked.
func (l *Index) Fields(s *Shape) (*fieldIndex, error) {
	if known, ok := l.indexed.Load(s); ok {
		return known.(*fieldIndex), nil
	}
	fields, ok := s.FieldsUpTo(MaxIndexed)
	if !ok {
		return nil, fmt.Errorf("the snapshot is damaged: %s has more than %d members", Spell(s), MaxIndexed)
	}
	x := &fieldIndex{Fields: fields, ByName: make(map[string]int32, len(fields))}
	for i := range fields {
		x.ByName[fields[i].Name] = int32(i)
	}
	l.keep(s, x)
	return x, nil
}

func (l *Index) keep(s *Shape, x *fieldIndex) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cached += len(x.Fields); l.cached <= maxCached {
		l.indexed.Store(s, x)
	}
}
