package object

import (
	"cmp"
	"debug/elf"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// readExterns lists what .kconfig and .ksyms declare.
func (o *Object) readExterns(f *file) error {
	weak := make(map[string]bool)
	for i := range f.symbols {
		if sym := &f.symbols[i]; sym.Section == elf.SHN_UNDEF && isWeak(sym) {
			weak[sym.Name] = true
		}
	}
	add := func(kind ExternKind, t btf.Type, typ btf.Type) {
		name := t.TypeName()
		o.Externs = append(o.Externs, Extern{Name: name, Kind: kind, Type: typ, Weak: weak[name]})
	}
	for _, section := range []string{".kconfig", ".ksyms"} {
		ds := o.datasec(section)
		if ds == nil {
			continue
		}
		for _, info := range ds.Vars {
			switch t := info.Type.(type) {
			case *btf.Func:
				add(ExternFunc, t, t)
			case *btf.Var:
				kind := ExternVar
				if section == ".kconfig" {
					kind = ExternKconfig
				}
				add(kind, t, t.Type)
			}
		}
	}
	slices.SortStableFunc(o.Externs, func(a, b Extern) int { return cmp.Compare(a.Name, b.Name) })
	o.readUnresolved(f)
	return nil
}

// readUnresolved lists the undefined symbols that neither .kconfig nor .ksyms declares.
func (o *Object) readUnresolved(f *file) {
	for i := range f.symbols {
		sym := &f.symbols[i]
		if sym.Section != elf.SHN_UNDEF || elf.ST_BIND(sym.Info) == elf.STB_LOCAL || elf.ST_TYPE(sym.Info) != elf.STT_NOTYPE {
			continue
		}
		if sym.Name != "" && !slices.ContainsFunc(o.Externs, func(e Extern) bool { return e.Name == sym.Name }) {
			o.Unresolved = append(o.Unresolved, sym.Name)
		}
	}
	slices.Sort(o.Unresolved)
	o.Unresolved = slices.Compact(o.Unresolved)
}

// readFunctions lists the functions of the executable sections.
func (o *Object) readFunctions(f *file) error {
	types, err := o.functionTypes()
	if err != nil {
		return err
	}
	for i := range f.symbols {
		sym := &f.symbols[i]
		if elf.ST_TYPE(sym.Info) != elf.STT_FUNC || sym.Section == elf.SHN_UNDEF || int(sym.Section) >= len(f.elf.Sections) {
			continue
		}
		sec := f.elf.Sections[sym.Section]
		if sec.Flags&elf.SHF_EXECINSTR == 0 {
			continue
		}
		if end := sym.Value + sym.Size; end < sym.Value || end > sec.Size {
			o.warnf("section %s: function %s ends at byte %d of %d; it is left out", sec.Name, sym.Name, end, sec.Size)
			continue
		}
		o.Functions = append(o.Functions, Function{
			Name:    sym.Name,
			Section: sec.Name,
			Offset:  sym.Value,
			Size:    sym.Size,
			Type:    types[sym.Name],
			Static:  elf.ST_BIND(sym.Info) == elf.STB_LOCAL,
			Hidden:  isHidden(sym),
			Weak:    isWeak(sym),
		})
	}
	slices.SortStableFunc(o.Functions, func(a, b Function) int {
		return cmp.Or(cmp.Compare(a.Section, b.Section), cmp.Compare(a.Offset, b.Offset))
	})
	return nil
}

func (o *Object) functionTypes() (map[string]*btf.Func, error) {
	types := make(map[string]*btf.Func)
	for t, err := range o.Types.All() {
		if err != nil {
			return nil, o.file.fail(err, "")
		}
		if fn, ok := t.(*btf.Func); ok && fn.Linkage != btf.ExternFunc {
			types[fn.Name] = fn
		}
	}
	return types, nil
}

// OnRequest tells whether a function is a program that runs when it is asked to
// (BPF_PROG_RUN): one of section "syscall".
func (f *Function) OnRequest() bool {
	return f.Section == "syscall" || f.Section == "?syscall"
}

// Context returns the struct that a program is declared to get a pointer to, nil if it is
// declared to get something else, such as a void *.
func (f *Function) Context() *btf.Struct {
	if f.Type == nil {
		return nil
	}
	proto, ok := f.Type.Type.(*btf.FuncProto)
	if !ok || len(proto.Params) != 1 {
		return nil
	}
	p, ok := btf.As[*btf.Pointer](proto.Params[0].Type)
	if !ok {
		return nil
	}
	s, _ := btf.As[*btf.Struct](p.Target)
	return s
}
