// Package initial says what a BPF object starts with, and finds out what a loader has
// to do for it to start with something else.
package initial

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// opsHeader is the room before the operations in the value of a struct_ops map (struct
// bpf_struct_ops_common_value, padded to a cache line); any would do.
const opsHeader = 64

// programAddr is the address that stands for the first program, and programStep the
// distance to the next.
const (
	programAddr = 0xffff_ffff_c000_0000
	programStep = 64
)

// Of returns what an object starts with, on a guest with that many CPUs.
func Of(obj *object.Object, cpus int) (*ktsnap.InitialState, error) {
	if obj.ByteOrder.String() != "LittleEndian" {
		return nil, fmt.Errorf("%s is big-endian, and guests are not: compile it with -target bpfel", obj.Name)
	}
	b := &builder{
		obj: obj, shapes: ktbtf.NewShapes(obj.Types), cpus: max(cpus, 1),
		program: &ktsnap.Program{BTFID: 1, Name: obj.Name},
	}
	b.listPrograms()
	if err := b.addMaps(); err != nil {
		return nil, err
	}
	named, err := b.shapes.Named(obj.Types)
	if err != nil {
		return nil, err
	}
	b.program.Shapes = named
	guest := ktsnap.Guest{Release: "not booted", Arch: "amd64", PageSize: 4096, CPUs: b.cpus}
	for cpu := range b.cpus {
		guest.Online = append(guest.Online, cpu)
	}
	snapshot := &runtime.Snapshot{Name: "initial", Guest: guest, Programs: []*ktsnap.Program{b.program}, Maps: b.maps}
	return ktsnap.NewInitialState(snapshot, b.programs), nil
}

type builder struct {
	obj      *object.Object
	shapes   *ktbtf.Shapes
	cpus     int
	program  *ktsnap.Program
	maps     []*ktsnap.Map
	programs []*ktsnap.InitialProgram
}

// listPrograms lists the programs, and which of them are loaded.
func (b *builder) listPrograms() {
	asked := make(map[string]bool)
	for i := range b.obj.Maps {
		for _, f := range b.obj.Maps[i].Programs {
			asked[f.Name] = true
		}
	}
	for i := range b.obj.Functions {
		f := &b.obj.Functions[i]
		if !f.Program() {
			continue
		}
		b.programs = append(b.programs, &ktsnap.InitialProgram{
			Name: f.Name, Load: f.Section[0] != '?' || asked[f.Name],
			Addr: programAddr + uint64(len(b.programs))*programStep,
		})
	}
}

func (b *builder) addMaps() error {
	for i := range b.obj.Maps {
		if err := b.addMap(&b.obj.Maps[i]); err != nil {
			return fmt.Errorf("map %s: %w", b.obj.Maps[i].Name, err)
		}
	}
	for i := range b.obj.Sections {
		if err := b.addSection(&b.obj.Sections[i]); err != nil {
			return fmt.Errorf("section %s: %w", b.obj.Sections[i].Name, err)
		}
	}
	return nil
}

func (b *builder) addMap(m *object.Map) error {
	added := &ktsnap.Map{
		Name: m.Name, Type: ktsnap.MapType(m.Type), KeySize: int(m.KeySize), ValueSize: int(m.ValueSize),
		MaxEntries: int(m.MaxEntries), Flags: m.Flags, Extra: m.Extra, Program: b.program, Slots: 1,
	}
	var err error
	if added.Key, err = b.shape(m.Key); err != nil {
		return err
	}
	if added.Value, err = b.shape(m.Value); err != nil {
		return err
	}
	if added.Type.IsPerCPU() {
		added.Slots = b.cpus
	}
	if added.Type == ktsnap.MapTypeStructOps {
		if err := b.addOperations(added, m); err != nil {
			return err
		}
	}
	added.Stride = (added.ValueSize + 7) &^ 7
	b.maps = append(b.maps, added)
	return nil
}

func (b *builder) shape(t btf.Type) (*ctype.Shape, error) {
	if t == nil {
		return nil, nil
	}
	return b.shapes.Of(t)
}

// addOperations gives a struct_ops map the value that it has in the file, behind a
// header as the kernel has it. Functions are what stands for programs.
func (b *builder) addOperations(added *ktsnap.Map, m *object.Map) error {
	ops := added.Value.Underlying()
	if ops.Size > len(m.Initial) {
		return errors.New("the file does not have all of its value")
	}
	added.ValueSize = opsHeader + ops.Size
	added.Value = &ctype.Shape{
		Kind: ctype.KindStruct, Name: "bpf_struct_ops_" + ops.Name, Size: added.ValueSize,
		Members: []ctype.Member{{Name: "data", Offset: opsHeader, Type: added.Value}},
	}
	added.N, added.Total = 1, 1
	added.Values = make([]byte, (added.ValueSize+7)&^7)
	copy(added.Values[opsHeader:], m.Initial)
	for _, member := range ops.Fields() {
		f := m.Programs[member.Name]
		if f == nil {
			continue
		}
		// What is no program of its own stays what it is.
		if i := slices.IndexFunc(b.programs, func(p *ktsnap.InitialProgram) bool { return p.Name == f.Name }); i >= 0 {
			ctype.IntPlace{Bits: 64}.Store(added.Values[opsHeader+member.Offset:], b.programs[i].Addr)
		}
	}
	return nil
}

// maxSection bounds a section, in bytes: .bss claims what it likes.
const maxSection = 1 << 28

func (b *builder) addSection(s *object.Section) error {
	if s.Type == nil || s.Size == 0 {
		return nil // nobody can name what is in it
	}
	if s.Size > maxSection {
		return fmt.Errorf("it has %d bytes, and can have %d: make its arrays smaller", s.Size, maxSection)
	}
	shape, err := b.shapes.Of(s.Type)
	if err != nil {
		return err
	}
	values := make([]byte, (max(int(s.Size), shape.Size)+7)&^7)
	copy(values, s.Data)
	b.maps = append(b.maps, &ktsnap.Map{
		Name: s.Name, Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: max(int(s.Size), shape.Size), MaxEntries: 1,
		Program: b.program, Value: shape, N: 1, Total: 1, Slots: 1, Stride: len(values), Values: values,
	})
	return nil
}
