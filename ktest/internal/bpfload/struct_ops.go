package bpfload

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	ktbtf "github.com/ktgen/ktgen/btf"
)

// structOps is a struct_ops map: the kernel's own type for its value, and where
// in it the operations are.
//
// For struct sched_ext_ops the value is struct bpf_struct_ops_sched_ext_ops
// { struct bpf_struct_ops_common common; struct sched_ext_ops data; }.
type structOps struct {
	value   *btf.Struct
	valueID btf.TypeID
	data    *btf.Struct
	offset  uint32 // bytes from value to data
}

const structOpsPrefix = "bpf_struct_ops_"

func (l *loader) newStructOps(spec *ebpf.MapSpec) (*structOps, error) {
	own, ok := btf.As[*btf.Struct](spec.Value)
	if !ok {
		return nil, fmt.Errorf("its value is a %v, and has to be a struct, such as sched_ext_ops: define it as one", spec.Value)
	}

	ops, name := &structOps{}, essentialName(own.Name)
	err := l.kernel.TypeByName(structOpsPrefix+name, &ops.value)
	if errors.Is(err, btf.ErrNotFound) {
		return nil, absentOps(name)
	}
	if err != nil {
		return nil, fmt.Errorf("struct_ops type %s: %w", name, err)
	}
	if ops.valueID, err = l.kernel.TypeID(ops.value); err != nil {
		return nil, err
	}
	for _, m := range ops.value.Members {
		if s, ok := btf.As[*btf.Struct](m.Type); ok && s.Name == name {
			ops.data, ops.offset = s, m.Offset.Bytes()
			return ops, nil
		}
	}
	return nil, fmt.Errorf("the kernel's %s has no member of type struct %s: boot another kernel", ops.value.Name, name)
}

// absentOps says what a kernel without a struct_ops type lacks.
func absentOps(name string) error {
	why := "it is older than that type, or lacks the module that has it: boot another kernel (Config.Kernel), or name the module (Config.Modules)"
	if name == "sched_ext_ops" {
		why = "sched_ext needs CONFIG_SCHED_CLASS_EXT=y"
	}
	return fmt.Errorf("the kernel has no struct_ops type %q (%s)", name, why)
}

// attachMember says which member of which struct a struct_ops program
// implements.
func (l *loader) attachMember(spec *ebpf.ProgramSpec, attr *progLoadAttr) error {
	name, member, _ := strings.Cut(spec.AttachTo, ":")
	if name == "" || member == "" {
		return errors.New("no struct_ops map refers to it")
	}
	var s *btf.Struct
	if err := l.kernel.TypeByName(name, &s); err != nil {
		return fmt.Errorf("the kernel's struct %s: %w", name, err)
	}
	id, err := l.kernel.TypeID(s)
	if err != nil {
		return err
	}
	index := slices.IndexFunc(s.Members, func(m btf.Member) bool { return m.Name == member })
	if index < 0 {
		return absentMember(name, member)
	}
	attr.attachBTFID = uint32(id)
	attr.expectedAttachType = uint32(index)
	return nil
}

// absentMember says that the object sets what the kernel does not know.
func absentMember(of, name string) error {
	return fmt.Errorf("this kernel's struct %s has no member %s, and the object sets it: boot a kernel that has it, or leave it out", of, name)
}

func (l *loader) fillStructOps() error {
	for _, def := range l.maps {
		if def.ops == nil {
			continue
		}
		value, err := l.structOpsValue(def)
		if err != nil {
			return fmt.Errorf("struct_ops map %s: %w", def.spec.Name, err)
		}
		if def.spec.Flags&unix.BPF_F_LINK == 0 {
			l.coll.unlinked[def.spec.Name] = value // which attaches it
			continue
		}
		if err := l.coll.Maps[def.spec.Name].Put(uint32(0), value); err != nil {
			return fmt.Errorf("filling struct_ops map %s: %w", def.spec.Name, l.refusedOps(def, value, err))
		}
	}
	return nil
}

// structOpsValue lays the object's operations out as the kernel's struct has
// them: members are matched by name, programs become file descriptors.
func (l *loader) structOpsValue(def *mapDef) ([]byte, error) {
	own, _ := btf.As[*btf.Struct](def.spec.Value)
	if len(def.spec.Contents) != 1 {
		return nil, fmt.Errorf("it has %d values, and has to have one: define one struct in its section", len(def.spec.Contents))
	}
	data, ok := def.spec.Contents[0].Value.([]byte)
	if !ok || len(data) < int(own.Size) {
		return nil, errors.New("its value is shorter than its type")
	}

	value := make([]byte, def.ops.value.Size)
	for _, m := range own.Members {
		if err := l.copyMember(value, data, def, m); err != nil {
			return nil, fmt.Errorf("member %s: %w", m.Name, err)
		}
	}
	return value, nil
}

func (l *loader) copyMember(value, data []byte, def *mapDef, m btf.Member) error {
	ops := def.ops
	src, err := memberBytes(data, m)
	if err != nil {
		return err
	}
	program := l.spec.members[def.spec.Name][m.Name]
	prog := l.coll.Programs[program]

	i := slices.IndexFunc(ops.data.Members, func(k btf.Member) bool { return k.Name == m.Name })
	if i < 0 {
		if prog != nil || slices.ContainsFunc(src, func(b byte) bool { return b != 0 }) {
			return absentMember(ops.data.Name, m.Name)
		}
		return nil
	}
	if own, kernel := memberKind(m.Type), memberKind(ops.data.Members[i].Type); own != kernel {
		return fmt.Errorf("it is %s in the object, and %s in the kernel: compile the object with this kernel's types (vmlinux.h)", own, kernel)
	}
	dst, err := memberBytes(value[ops.offset:], ops.data.Members[i])
	if err != nil {
		return err
	}
	if len(dst) != len(src) {
		return fmt.Errorf("it has %d bytes in the object, and %d in the kernel: compile the object with this kernel's types (vmlinux.h)", len(src), len(dst))
	}
	if prog != nil {
		if _, of, _ := strings.Cut(l.spec.Programs[program].AttachTo, ":"); of != m.Name {
			return &SharedProgramError{Program: program, Member: of}
		}
		native.PutUint64(dst, uint64(prog.FD()))
		return nil
	}
	copy(dst, src)
	return nil
}

// memberKind says what a member is; libbpf takes it for the kernel's if both are the same
// and have the same size (bpf_map__init_kern_struct_ops in tools/lib/bpf/libbpf.c).
func memberKind(t btf.Type) string {
	switch btf.UnderlyingType(t).(type) {
	case *btf.Pointer:
		return "a pointer or an operation"
	case *btf.Int:
		return "an integer"
	case *btf.Enum:
		return "an enum"
	case *btf.Array:
		return "an array"
	case *btf.Struct:
		return "a struct"
	case *btf.Union:
		return "a union"
	}
	return "a " + ktbtf.Spell(t)
}

// SharedProgramError is a program that is to be a second operation. The kernel verifies it
// as the first (bpf_struct_ops_map_update_elem, kernel/bpf/bpf_struct_ops.c).
type SharedProgramError struct {
	Program string
	Member  string // the first operation
}

func (e *SharedProgramError) Error() string {
	return fmt.Sprintf("program %s is operation %s, and the kernel takes a program for one operation: use another program, or make that one none", e.Program, e.Member)
}

func memberBytes(data []byte, m btf.Member) ([]byte, error) {
	size, err := btf.Sizeof(m.Type)
	if err != nil {
		return nil, err
	}
	start, end := int64(m.Offset.Bytes()), int64(m.Offset.Bytes())+int64(size)
	if m.BitfieldSize != 0 || end > int64(len(data)) {
		return nil, fmt.Errorf("not a plain member of %d bytes", len(data))
	}
	return data[start:end], nil
}
