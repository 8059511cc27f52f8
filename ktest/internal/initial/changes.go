package initial

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file finds out in what an object is to start otherwise than its file says.

// Changes returns what a loader has to do so that an object starts with what changes
// make of its file. It is nil if there are none.
func Changes(obj *object.Object, cpus int, changes ...ktsnap.Initial) (*bpfload.Config, error) {
	if len(changes) == 0 {
		return nil, nil
	}
	before, err := Of(obj, cpus)
	if err != nil {
		return nil, err
	}
	after, err := Of(obj, cpus)
	if err != nil {
		return nil, err
	}
	if err := after.Apply(changes...); err != nil {
		return nil, err
	}
	d := &differ{config: &bpfload.Config{}, state: after, obj: obj, off: make(map[string]bool), operation: make(map[string]string)}
	d.programs(before.Programs)
	for i, m := range after.Snapshot.Maps {
		if err := d.compare(before.Snapshot.Maps[i], m); err != nil {
			return nil, err
		}
	}
	return d.config, nil
}

// differ notes differences.
type differ struct {
	config *bpfload.Config
	state  *ktsnap.InitialState
	obj    *object.Object
	off    map[string]bool

	operation map[string]string // which one programs are
}

func (d *differ) programs(before []*ktsnap.InitialProgram) {
	for i, p := range d.state.Programs {
		switch {
		case p.Load && !before[i].Load:
			d.config.On = append(d.config.On, p.Name)
		case !p.Load && before[i].Load:
			d.config.Off = append(d.config.Off, p.Name)
			d.off[p.Name] = true
		}
	}
}

// compare notes in what a map differs.
func (d *differ) compare(before, after *ktsnap.Map) error {
	switch {
	case after.Type == ktsnap.MapTypeStructOps:
		return d.operations(before, after)
	case after.Value != nil && after.Value.Kind == ctype.KindSection:
		return d.section(before, after)
	}
	if after.MaxEntries != before.MaxEntries {
		if d.config.MaxEntries == nil {
			d.config.MaxEntries = make(map[string]uint32)
		}
		d.config.MaxEntries[after.Name] = uint32(after.MaxEntries)
	}
	if n := d.state.Filled(after); n > 0 {
		if d.config.Filled == nil {
			d.config.Filled = make(map[string]uint32)
		}
		d.config.Filled[after.Name] = uint32(n)
	}
	size := max(after.Slots, 1) * after.Stride
	for n := range after.N {
		i := n
		if after.Type == ktsnap.MapTypeStack {
			i = after.N - 1 - n // entry 0 is the one that was pushed last
		}
		value := after.Values[i*size:][:size]
		if !after.Type.IsPerCPU() {
			value = value[:after.ValueSize]
		}
		d.config.Entries = append(d.config.Entries, bpfload.Entry{Map: after.Name, Key: keyOf(after, i), Value: value})
	}
	return nil
}

// keyOf returns the bytes of an entry's key, nil where there are no keys.
func keyOf(m *ktsnap.Map, i int) []byte {
	switch {
	case m.KeySize == 0:
		return nil
	case m.Keys != nil:
		return m.Keys[i*m.KeySize:][:m.KeySize]
	}
	key := make([]byte, 4)
	ctype.IntPlace{Bits: 32}.Store(key, uint64(i))
	return key
}

// section notes what is other bytes in a section.
func (d *differ) section(before, after *ktsnap.Map) error {
	if after.ValueSize != before.ValueSize {
		last := after.Value.Members[len(after.Value.Members)-1]
		if d.config.Resized == nil {
			d.config.Resized = make(map[string]uint32)
		}
		d.config.Resized[after.Name] = uint32(last.Type.Underlying().Len)
	}
	was := append(bytes.Clone(before.Values), make([]byte, max(0, len(after.Values)-len(before.Values)))...)
	patches := differences(was[:after.ValueSize], after.Values[:after.ValueSize])
	if len(patches) > 0 && after.Name == ".kconfig" {
		return &ktsnap.InitialError{Path: after.Name, Err: errors.New("its variables have the values of the guest's kernel, which its configuration says: boot a kernel that is configured so (ktest.Config.Kernel)")}
	}
	for _, p := range patches {
		p.Of = after.Name
		d.config.Patches = append(d.config.Patches, p)
	}
	return nil
}

// differences returns the runs of bytes in which a value differs from what it was.
// Bytes between them are not theirs: the loader sets variables, too.
func differences(was, is []byte) (patches []bpfload.Patch) {
	for i := 0; i < len(is); i++ {
		start := i
		for i < len(is) && was[i] != is[i] {
			i++
		}
		if i > start {
			patches = append(patches, bpfload.Patch{Offset: uint32(start), Bytes: is[start:i]})
		}
	}
	return patches
}

// operations notes what differs in a struct_ops map. A program that is switched off is
// no operation.
func (d *differ) operations(before, after *ktsnap.Map) error {
	if m := d.obj.Map(after.Name); m != nil && strings.HasPrefix(m.Section, "?") {
		if !bytes.Equal(before.Values, after.Values) {
			return &ktsnap.InitialError{Path: after.Name, Err: errors.New("it is not loaded, as its section begins with ?: take that away, or set another")}
		}
		return nil
	}
	ops := after.Value.Members[0].Type.Underlying()
	was, is := bytes.Clone(before.Values[opsHeader:][:ops.Size]), bytes.Clone(after.Values[opsHeader:][:ops.Size])
	word := ctype.IntPlace{Bits: 64}
	for _, m := range ops.Fields() {
		if u := m.Type.Underlying(); u == nil || u.Kind != ctype.KindPointer {
			continue
		}
		old, chosen := word.Load(m.Bytes(was)), word.Load(m.Bytes(is))
		word.Store(m.Bytes(was), 0)
		word.Store(m.Bytes(is), 0)
		if err := d.setOperation(bpfload.OpsMember{Map: after.Name, Member: m.Name}, old, chosen); err != nil {
			return &ktsnap.InitialError{Path: after.Name + "." + m.Name, Err: err}
		}
	}
	for _, p := range differences(was, is) {
		p.Of = after.Name
		d.config.Patches = append(d.config.Patches, p)
	}
	return nil
}

// setOperation notes which program an operation has, by the programs' addresses.
func (d *differ) setOperation(member bpfload.OpsMember, old, chosen uint64) error {
	p := d.state.ProgramAt(chosen)
	if err := d.serve(p, member.Member); err != nil {
		return err
	}
	switch {
	case old == chosen && (p == nil || !d.off[p.Name]):
		return nil
	case p == nil && chosen != 0:
		return fmt.Errorf("%#x is no program of the object: take one of the fixture's Programs, or nil for none", chosen)
	case old != chosen && p != nil && d.off[p.Name]:
		return fmt.Errorf("program %s is switched off: switch it on, or choose another", p.Name)
	}
	if old != chosen && p != nil {
		if err := d.canServe(p.Name); err != nil {
			return err
		}
		member.Program = p.Name
	}
	d.config.Members = append(d.config.Members, member)
	return nil
}

// serve notes which operation a program is.
func (d *differ) serve(p *ktsnap.InitialProgram, member string) error {
	if p == nil || d.off[p.Name] {
		return nil
	}
	if first, ok := d.operation[p.Name]; ok && first != member {
		return &bpfload.SharedProgramError{Program: p.Name, Member: first}
	}
	d.operation[p.Name] = member
	return nil
}

// canServe says why a program cannot be an operation: it is of another kind, or the loader
// leaves it out with the maps that refer to it (bpf_object_adjust_struct_ops_autoload in
// tools/lib/bpf/libbpf.c).
func (d *differ) canServe(program string) error {
	i := slices.IndexFunc(d.obj.Functions, func(f object.Function) bool { return f.Name == program && f.Program() })
	if i >= 0 && !bpfload.IsOperation(d.obj.Functions[i].Section) {
		return fmt.Errorf("program %s is in section %q, and operations are programs of sections struct_ops: choose one of those", program, d.obj.Functions[i].Section)
	}
	var left string
	for _, m := range d.obj.Maps {
		for _, f := range m.Programs {
			switch {
			case f.Name != program:
			case !strings.HasPrefix(m.Section, "?"):
				return nil
			default:
				left = m.Name
			}
		}
	}
	if left != "" {
		return fmt.Errorf("program %s is not loaded, as only %s refers to it, which is in a section that begins with ?: choose another, or take away the ?", program, left)
	}
	return nil
}
