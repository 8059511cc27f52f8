package gen

import (
	"github.com/ktgen/ktgen/gen/internal/gofile"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// declareFixture names the fields of the fixture. They are those of the
// accessors, as far as the fixture has no method of that name.
func (b *builder) declareFixture() {
	fields := b.newScope("CPUs", "Bind", "Open", "Snapshot", "MaxEntries", "Programs", "sections", "maps", "initially")
	sizes, programs := b.newScope(), b.newScope()
	for _, s := range b.model.Sections {
		s.Given = fields.number(s.Name, "section "+s.CName)
	}
	for _, m := range b.model.Maps {
		if !m.IsInner && m.InFixture() != nil {
			m.Given = fields.number(m.Name, "map "+m.CName)
		}
		if !m.IsInner && ktsnap.MapType(m.Type).HasSize() {
			m.Size = sizes.number(m.Name, "map "+m.CName)
		}
	}
	for i := range b.obj.Functions {
		if f := &b.obj.Functions[i]; f.Program() {
			name := programs.number(exported(f.Name), "program "+f.Name)
			b.model.Programs = append(b.model.Programs, &gofile.Program{Name: name, CName: f.Name, Section: f.Section})
		}
	}
}
