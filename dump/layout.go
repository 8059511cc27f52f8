package dump

import (
	"encoding/hex"

	"github.com/ktgen/ktgen/runtime"
)

// This file writes what a document has so that it can be read back: layouts and
// addresses.

// layouts are the types of a snapshot as text.
type layouts struct {
	writer   runtime.ShapeWriter
	programs map[*runtime.Program]int // from 1
}

// newLayouts collects the types of a snapshot. It is nil if they contradict one
// another, as those of a damaged one may.
func newLayouts(s *runtime.Snapshot) *layouts {
	l := &layouts{programs: make(map[*runtime.Program]int)}
	for i, p := range s.Programs {
		l.programs[p] = i + 1
		for _, shape := range p.Shapes {
			l.ref(shape)
		}
	}
	for _, m := range s.Maps {
		l.ref(m.Key)
		l.ref(m.Value)
	}
	for i := range s.Kernel {
		l.ref(s.Kernel[i].Type)
	}
	if !l.consistent() {
		return nil
	}
	return l
}

// consistent tells whether the types can be read back.
func (l *layouts) consistent() bool {
	_, err := runtime.ParseShapes(l.writer.String())
	return err == nil
}

// ref returns the text that refers to a type, which it adds if it is new.
func (l *layouts) ref(s *runtime.Shape) string {
	if s == nil {
		return ""
	}
	return l.writer.Add(s)
}

// layoutMembers writes the members of a document.
func (e *encoder) layoutMembers() {
	s := e.snap
	e.member("layouts")
	e.text(e.layouts.writer.String())
	e.list("programs", len(s.Programs), func(i int) {
		p := s.Programs[i]
		e.raw("{")
		e.intMember("btf_id", int64(p.BTFID))
		e.stringMember("name", p.Name)
		e.list("types", len(p.Shapes), func(i int) { e.text(e.layouts.ref(p.Shapes[i])) })
		e.raw("}")
	})
	e.list("kernel", len(s.Kernel), func(i int) { e.kernelObject(&s.Kernel[i]) })
	e.list("symbols", len(s.Symbols), func(i int) {
		e.raw("{")
		e.hexMember("addr", s.Symbols[i].Addr)
		e.hexMember("size", s.Symbols[i].Size)
		e.stringMember("name", s.Symbols[i].Name)
		e.raw("}")
	})
}

func (e *encoder) list(name string, n int, element func(i int)) {
	e.member(name)
	e.raw("[")
	for i := range n {
		if i > 0 {
			e.raw(",")
		}
		element(i)
	}
	e.raw("]")
}

// kernelObject writes what is known of an object that pointers lead to. Its
// members are where the pointers are, but for those that lists and trees link.
func (e *encoder) kernelObject(o *runtime.KernelObject) {
	e.raw("{")
	e.hexMember("addr", o.Addr)
	e.stringMember("name", o.Name)
	e.stringMember("layout", e.layouts.ref(o.Type))
	e.intMember("fault", int64(o.Fault))
	e.stringMember("reason", o.Reason)
	if o.Allocated {
		e.stringMember("bytes", hex.EncodeToString(o.Data))
	}
	e.raw("}")
}

func (e *encoder) mapLayout(m *runtime.Map) {
	e.intMember("program", int64(e.layouts.programs[m.Program]))
	e.stringMember("key_layout", e.layouts.ref(m.Key))
	e.stringMember("value_layout", e.layouts.ref(m.Value))
	e.intMember("stride", int64(m.Stride))
	e.hexMember("base", m.Base)
	e.hexMember("extra", m.Extra)
}

// entryAddr writes where the values of an entry are, if not one behind another.
func (e *encoder) entryAddr(entry runtime.Entry, m *runtime.Map, perCPU bool) {
	if m.Addrs == nil && len(m.Extents) == 0 {
		return
	}
	if !perCPU {
		v := entry.Get("")
		e.hexMember("addr", v.Addr())
		return
	}
	e.list("addrs", max(m.Slots, 1), func(cpu int) {
		v := entry.CPU(cpu).Get("")
		e.hex(v.Addr())
	})
}

// heads writes the bytes of the heads of lists and trees that a struct has,
// whose values are what is in them.
func (e *encoder) heads(v *runtime.Value, fields []field) {
	first := true
	for i := range fields {
		m := &fields[i].Member
		if _, _, ok := m.Contains(); !ok {
			continue
		}
		if first {
			e.member("$heads")
			e.raw("{")
			first = false
		}
		raw, _ := v.Bytes() // of a value that was found: cannot fail
		e.stringMember(m.Name, hex.EncodeToString(raw[m.Offset:m.Offset+m.Type.Size]))
	}
	if !first {
		e.raw("}")
	}
}

// targetLayout writes of which type the value is that a pointer leads to, and
// where, if the pointer does not say so.
func (e *encoder) targetLayout(pointer *runtime.Value, addr uint64, to *runtime.Value) {
	if to.Addr() != addr {
		e.hexMember("$addr", to.Addr())
	}
	if to.Shape() != pointer.Shape().Underlying().Elem {
		e.stringMember("$layout", e.layouts.ref(to.Shape()))
	}
}
