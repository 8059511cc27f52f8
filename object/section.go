package object

// This file lays out data sections. Where BTF and the symbol table disagree,
// the symbol table is right: unlinked objects have section sizes and the
// offsets of global variables at 0 in BTF, and bpftool's linker can leave the
// offset of an overridden weak variable behind.

import (
	"cmp"
	"debug/elf"
	"math"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// sectionKind returns what a loader makes of a section by its name.
func sectionKind(name string) (kind SectionKind, ok bool) {
	base, _, _ := strings.Cut(strings.TrimPrefix(name, "."), ".")
	switch {
	case !strings.HasPrefix(name, "."):
		return 0, false
	case base == "data":
		return Data, true
	case base == "rodata":
		return ReadOnly, true
	case base == "bss":
		return BSS, true
	case base == "percpu":
		return PerCPU, true
	case strings.HasPrefix(name, ".addr_space.") || base == "arena":
		return Arena, true
	}
	return 0, false
}

func (o *Object) readSections(f *file) error {
	for i, sec := range f.elf.Sections {
		kind, ok := sectionKind(sec.Name)
		if !ok || sec.Type != elf.SHT_PROGBITS && sec.Type != elf.SHT_NOBITS || sec.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		if sec.Size > math.MaxUint32 {
			return f.failAt(sec, -1, "its size of %d bytes is more than BTF can describe", sec.Size)
		}
		s := Section{Name: sec.Name, Kind: kind, Size: sec.Size, Type: o.datasec(sec.Name), Index: i}
		var err error
		if s.Data, err = f.initial(sec); err != nil {
			return err
		}
		o.layOut(f, &s)
		if kind == PerCPU {
			o.PerCPU = append(o.PerCPU, s)
			continue
		}
		o.Sections = append(o.Sections, s)
	}
	return o.readKconfig()
}

// layOut corrects the section's BTF by the symbol table, and lists its
// variables.
func (o *Object) layOut(f *file, s *Section) {
	if s.Type == nil {
		return
	}
	symbols := f.bySection[elf.SectionIndex(s.Index)]
	linked := s.Type.Size != 0
	vars := s.Type.Vars[:0]
	for _, info := range s.Type.Vars {
		v, ok := info.Type.(*btf.Var)
		if !ok {
			o.warnf("section %s: BTF lists %s, which is not a variable; it is left out", s.Name, info.Type.TypeName())
			continue
		}
		sym := o.place(s, &info, symbols[v.Name], linked)
		if end := uint64(info.Offset) + uint64(info.Size); end > s.Size {
			o.warnf("section %s: variable %s ends at byte %d of %d; it is left out", s.Name, v.Name, end, s.Size)
			continue
		}
		vars = append(vars, info)
		s.Vars = append(s.Vars, variable(v, info, sym))
		s.Vars[len(s.Vars)-1].Unit = f.units[sym]
	}
	s.Type.Vars = vars
	s.Type.Size = uint32(s.Size)
	slices.SortStableFunc(s.Type.Vars, func(a, b btf.VarSecinfo) int { return cmp.Compare(a.Offset, b.Offset) })
	slices.SortStableFunc(s.Vars, func(a, b Var) int { return cmp.Compare(a.Offset, b.Offset) })
}

// place sets the offset of a variable from the symbol of its name, and returns
// that. Several symbols have the same name where static variables do.
func (o *Object) place(s *Section, info *btf.VarSecinfo, symbols []*elf.Symbol, linked bool) *elf.Symbol {
	if len(symbols) == 0 {
		return nil
	}
	for _, sym := range symbols {
		if sym.Value == uint64(info.Offset) {
			return sym
		}
	}
	sym := symbols[0]
	if linked || info.Offset != 0 {
		o.warnf("section %s: variable %s is at byte %d according to BTF and at %d according to the symbol table, which is used",
			s.Name, info.Type.TypeName(), info.Offset, sym.Value)
	}
	info.Offset = uint32(min(sym.Value, math.MaxUint32))
	return sym
}

func variable(v *btf.Var, info btf.VarSecinfo, sym *elf.Symbol) Var {
	out := Var{
		Name:   v.Name,
		Offset: info.Offset,
		Size:   info.Size,
		Type:   v.Type,
		Tags:   v.Tags,
		Static: v.Linkage == btf.StaticVar,
	}
	if sym != nil {
		out.Hidden, out.Weak = isHidden(sym), isWeak(sym)
	}
	return out
}

// readKconfig lays out .kconfig, which no ELF section has, as libbpf does:
// by falling alignment, then by rising size, then by name.
func (o *Object) readKconfig() error {
	ds := o.datasec(".kconfig")
	if ds == nil {
		return nil
	}
	slices.SortStableFunc(ds.Vars, func(a, b btf.VarSecinfo) int {
		return cmp.Or(
			cmp.Compare(alignOf(b.Type), alignOf(a.Type)),
			cmp.Compare(a.Size, b.Size),
			cmp.Compare(a.Type.TypeName(), b.Type.TypeName()),
		)
	})
	s := Section{Name: ds.Name, Kind: Kconfig, Type: ds}
	var end uint64
	for i := range ds.Vars {
		info := &ds.Vars[i]
		v, ok := info.Type.(*btf.Var)
		if !ok {
			o.warnf("section .kconfig: BTF lists %s, which is not a variable", info.Type.TypeName())
			continue
		}
		align := uint64(alignOf(v))
		end = (end + align - 1) / align * align
		info.Offset = uint32(min(end, math.MaxUint32))
		end += uint64(info.Size)
		s.Vars = append(s.Vars, variable(v, *info, nil))
	}
	if end > math.MaxUint32 {
		o.warnf("section .kconfig: its variables need %d bytes; it is left out", end)
		ds.Vars, ds.Size = nil, 0
		return nil
	}
	s.Size, ds.Size = end, uint32(end)
	o.Sections = append(o.Sections, s)
	return nil
}

// maxAlign is the largest alignment of a scalar on the targets BPF has.
const maxAlign = 8

// alignOf returns the alignment in bytes of a type that a Kconfig extern can
// have: an integer, an enum, a pointer, or an array of one. That is 1 for
// anything else.
func alignOf(t btf.Type) int {
	for range maxAlign {
		if v, ok := t.(*btf.Var); ok {
			t = v.Type
		}
		arr, ok := btf.As[*btf.Array](t)
		if !ok {
			break
		}
		t = arr.Type
	}
	n, err := btf.Sizeof(t)
	if err != nil || n < 1 {
		return 1
	}
	return min(n, maxAlign)
}
