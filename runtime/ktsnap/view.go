package ktsnap

import (
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime/internal/errtext"
)

// View is a choice of a snapshot's maps, for reading without generated code:
// all of them, those of the active scheduler, or some by id.
type View struct {
	r   *reader
	ids []uint32 // nil: all maps
	err error
}

// Map returns the map of that name, for reading it without generated code. The
// name can be the kernel's, which has at most 15 bytes, or the longer one in
// the program's source; sections are called by the section's name, too, such
// as ".bss", and the variables of an arena by theirs, ".addr_space.1". It has a [*MapNotFoundError] or an [*AmbiguousMapError] otherwise.
func (s *Snapshot) Map(name string) MapView { return s.view().Map(name) }

// MapByID returns the map with that id, for reading it without generated code.
func (s *Snapshot) MapByID(id uint32) MapView { return s.view().MapByID(id) }

// Var returns the global variable of that name, from any of the .bss, .data,
// .rodata and .kconfig sections and those whose names begin so, or from an
// arena. The name is one name: it is not split at dots. It has a [*VarNotFoundError]
// or an [*AmbiguousVarError] otherwise.
func (s *Snapshot) Var(name string) Value { return s.view().Var(name) }

// Select returns a view of the maps with these ids only.
func (s *Snapshot) Select(ids ...uint32) View {
	v := s.view()
	v.ids = slices.Clone(ids)
	if v.ids == nil {
		v.ids = []uint32{}
	}
	return v
}

func (s *Snapshot) view() View {
	if s == nil {
		return View{err: &NoCaptureError{}}
	}
	return View{r: s.reader()}
}

// Err returns why there are no maps to read, or nil.
func (v View) Err() error {
	if v.r == nil && v.err == nil {
		return &NoCaptureError{}
	}
	return v.err
}

// maps are the maps of the view, and the sections of variables in its arena.
func (v View) maps() []*mapReader {
	if v.ids == nil && len(v.r.sections) == 0 {
		return v.r.maps
	}
	var chosen []*mapReader
	for _, m := range v.r.all() {
		if v.has(m) {
			chosen = append(chosen, m)
		}
	}
	return chosen
}

// Map returns the map of that name; see [Snapshot.Map].
func (v View) Map(name string) MapView {
	if err := v.Err(); err != nil {
		return MapView{err: &Error{Op: "Map", Path: errtext.Clip(name), Err: err}}
	}
	found := v.called(name)
	if len(found) == 1 {
		return found[0].view()
	}
	return MapView{err: &Error{Op: "Map", Path: errtext.Clip(name), Err: v.notOne(name, found)}}
}

// called returns the maps that answer to a name. Maps with exactly that name hide maps
// whose names the kernel has cut, and could have been that one.
func (v View) called(name string) []*mapReader {
	var exact, likely []*mapReader
	for _, m := range v.maps() {
		switch {
		case m.Name == name, m.m.Name == name:
			exact = append(exact, m)
		case len(name) > maxMapName && m.m.Name == KernelName(name),
			len(name) == maxMapName && KernelName(m.m.Name) == name,
			len(name) > 1 && name[0] == '.' && m.m.IsSection(name):
			likely = append(likely, m)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return likely
}

func (v View) notOne(name string, found []*mapReader) error {
	if len(found) == 0 {
		e := &MapNotFoundError{Requested: errtext.Clip(name), Available: v.names()}
		v.r.globals.load(v.r)
		for _, variable := range v.vars(name) {
			e.Sections = append(e.Sections, variable.section.Name)
		}
		return e
	}
	maps := make([]*Map, len(found))
	for i, m := range found {
		maps[i] = m.m
	}
	return Ambiguous(name, maps)
}

func (v View) names() []string {
	var names []string
	for _, m := range v.maps() {
		names = append(names, m.Name)
	}
	return names
}

// MapByID returns the map with that id; see [Snapshot.MapByID].
func (v View) MapByID(id uint32) MapView {
	path := fmt.Sprintf("id %d", id)
	if err := v.Err(); err != nil {
		return MapView{err: &Error{Op: "MapByID", Path: path, Err: err}}
	}
	for _, m := range v.maps() {
		if m.m.ID == id {
			return m.view()
		}
	}
	return MapView{err: &Error{Op: "MapByID", Path: path, Err: &MapNotFoundError{Requested: path, Available: v.names()}}}
}

// maxMapName is the length of the names that the kernel keeps
// (BPF_OBJ_NAME_LEN less the NUL).
const maxMapName = 15

// KernelName is a map's name as the kernel keeps it.
func KernelName(name string) string { return name[:min(len(name), maxMapName)] }
