package bpfload

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// mapDef is a MapSpec made ready for the kernel.
type mapDef struct {
	spec       *ebpf.MapSpec
	key, value btf.TypeID // in the object's BTF; 0 if untyped
	inner      *mapDef    // the template of the maps in a map of maps
	ops        *structOps // of a struct_ops map
}

func (l *loader) prepareMap(spec *ebpf.MapSpec, b *btf.Builder) (*mapDef, error) {
	def := &mapDef{spec: spec}
	var err error
	if spec.Type == ebpf.StructOpsMap {
		if def.ops, err = l.newStructOps(spec); err != nil {
			return nil, err
		}
	}
	if spec.InnerMap != nil {
		if def.inner, err = l.prepareMap(spec.InnerMap, b); err != nil {
			return nil, fmt.Errorf("its inner map: %w", err)
		}
	}
	if spec.Value == nil {
		return def, nil
	}
	value := spec.Value
	if section, ok := value.(*btf.Datasec); ok {
		value = sectionType(section)
	}
	if def.value, err = b.Add(value); err != nil {
		return nil, fmt.Errorf("encoding its value type: %w", err)
	}
	// A data section has a value and no key: void, whose id is 0.
	if spec.Key == nil {
		return def, nil
	}
	if def.key, err = b.Add(spec.Key); err != nil {
		return nil, fmt.Errorf("encoding its key type: %w", err)
	}
	return def, nil
}

func (l *loader) createMaps() error {
	for _, def := range l.maps {
		if def.spec.Name == arenaSection {
			continue // it has no map of its own
		}
		m, err := l.createMap(def)
		if err != nil {
			return fmt.Errorf("creating map %s (%v): %w", def.spec.Name, def.spec.Type, err)
		}
		l.coll.Maps[def.spec.Name] = m
		if def.ops != nil {
			continue // its value names programs, which are not loaded yet
		}
		if err := l.setVariables(def.spec); err != nil {
			return fmt.Errorf("map %s (%v): %w", def.spec.Name, def.spec.Type, err)
		}
		if err := fillMap(m, def.spec); err != nil {
			return fmt.Errorf("filling map %s (%v): %w", def.spec.Name, def.spec.Type, err)
		}
		if err := mappable(m, def.spec); err != nil {
			return fmt.Errorf("section %s: %w", def.spec.Name, err)
		}
	}
	if err := l.mapArenas(); err != nil {
		return err
	}
	for _, def := range l.maps {
		if def.spec.Name == arenaSection {
			if err := l.fillArena(def); err != nil {
				return fmt.Errorf("filling section %s: %w", arenaSection, err)
			}
		}
	}
	return nil
}

// errNotSupported is ENOTSUPP, which the kernel returns to user space although it
// is not part of the ABI (include/linux/errno.h).
const errNotSupported = unix.Errno(524)

func (l *loader) createMap(def *mapDef) (*ebpf.Map, error) {
	attr := l.mapAttributes(def)
	if def.inner != nil {
		inner, err := l.createMap(def.inner)
		if err != nil {
			return nil, fmt.Errorf("its inner map: %w", err)
		}
		defer inner.Close()
		attr.innerMapFD = uint32(inner.FD())
	}
	if err := setMaxEntries(&attr); err != nil {
		return nil, err
	}

	fd, err := bpf(cmdMapCreate, &attr)
	if err != nil && (attr.btfKeyTypeID != 0 || attr.btfValueTypeID != 0) {
		plain := attr
		plain.btfFD, plain.btfKeyTypeID, plain.btfValueTypeID = 0, 0, 0
		if again, errAgain := bpf(cmdMapCreate, &plain); errAgain == nil {
			fd, err = again, nil
		}
	}
	if err != nil {
		return nil, refused(attr, err, makeAndDrop)
	}
	return ebpf.NewMapFromFD(fd)
}

// mapAttributes returns how the object defines a map, with its types if the kernel takes any.
func (l *loader) mapAttributes(def *mapDef) mapCreateAttr {
	spec := def.spec
	attr := mapCreateAttr{
		mapType:    uint32(spec.Type),
		keySize:    spec.KeySize,
		valueSize:  spec.ValueSize,
		maxEntries: spec.MaxEntries,
		flags:      spec.Flags,
		numaNode:   spec.NumaNode,
		name:       kernelName(l.mapName(spec.Name)),
		extra:      spec.MapExtra,
	}
	switch {
	case def.ops != nil:
		attr.valueSize = def.ops.value.Size
		attr.btfFD = uint32(l.btf.FD())
		attr.btfVmlinuxValueTypeID = uint32(def.ops.valueID)
	case def.value != 0 && l.btf != nil && !untyped[spec.Type]:
		attr.btfFD = uint32(l.btf.FD())
		attr.btfKeyTypeID, attr.btfValueTypeID = uint32(def.key), uint32(def.value)
	}
	return attr
}

// untyped are the types of maps that take no BTF for their contents, or of which libbpf
// gives them none (bpf_object__create_map in tools/lib/bpf/libbpf.c).
var untyped = map[ebpf.MapType]bool{
	ebpf.PerfEventArray: true, ebpf.CGroupArray: true, ebpf.StackTrace: true, ebpf.ArrayOfMaps: true, ebpf.HashOfMaps: true,
	ebpf.DevMap: true, ebpf.DevMapHash: true, ebpf.CPUMap: true, ebpf.XSKMap: true, ebpf.SockMap: true, ebpf.SockHash: true,
	ebpf.Queue: true, ebpf.Stack: true, ebpf.Arena: true,
}

// setMaxEntries fills in what a definition may leave to the loader, and makes whole
// pages, a power of two of them, of the bytes of a ring buffer.
func setMaxEntries(attr *mapCreateAttr) error {
	if t := ebpf.MapType(attr.mapType); attr.maxEntries != 0 && (t == ebpf.RingBuf || t == ebpf.UserRingbuf) {
		attr.maxEntries = pagesOf(attr.maxEntries)
	}
	if ebpf.MapType(attr.mapType) != ebpf.PerfEventArray {
		return nil
	}
	if attr.maxEntries != 0 {
		return nil
	}
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return fmt.Errorf("counting possible CPUs: %w", err)
	}
	attr.maxEntries = uint32(cpus)
	return nil
}

// isDataSection reports whether a map holds a section of globals: a C identifier
// has no dot.
func isDataSection(name string) bool { return strings.HasPrefix(name, ".") }

// mapName is the name of a map in the kernel: that of a data section follows
// libbpf, "sched.bss" for the .bss of sched.bpf.o, and the name alone for one
// with two dots or for each CPU (internal_map_name in tools/lib/bpf/libbpf.c).
func (l *loader) mapName(name string) string {
	if !isDataSection(name) || isPerCPU(name) || strings.Contains(name[1:], ".") {
		return name
	}
	object, _, _ := strings.Cut(filepath.Base(l.object), ".")
	return object[:min(len(object), len(objName{})-1-max(7, len(name)))] + name
}

// setVariables writes the values of variables, which may have been set since the
// object was read, into the initial contents of the section that they are in.
func (l *loader) setVariables(spec *ebpf.MapSpec) error {
	if !strings.HasPrefix(spec.Name, ".") || len(spec.Contents) != 1 {
		return nil
	}
	old, ok := spec.Contents[0].Value.([]byte)
	if !ok {
		return nil
	}
	data, err := l.spec.withVariables(spec.Name, old)
	if err != nil {
		return err
	}
	spec.Contents = []ebpf.MapKV{{Key: spec.Contents[0].Key, Value: data}}
	return nil
}

// mappable refuses a data section that programs on libbpf cannot map as they load it,
// which they do if it has a variable that other units see (map_is_mmapable in
// tools/lib/bpf/libbpf.c).
func mappable(m *ebpf.Map, spec *ebpf.MapSpec) error {
	if !isDataSection(spec.Name) || spec.Flags&unix.BPF_F_MMAPABLE == 0 {
		return nil
	}
	data, err := unix.Mmap(m.FD(), 0, int(spec.ValueSize), unix.PROT_READ, unix.MAP_SHARED)
	if err == errNotSupported {
		return errors.New("it has a lock, a list, a tree or a kptr in it, so the kernel does not map it, and libbpf maps sections that have variables which are neither static nor __hidden: declare all of its variables so")
	}
	if err != nil {
		return fmt.Errorf("map it: %w", err)
	}
	return unix.Munmap(data)
}

// fillMap writes the initial contents, and freezes what is constant.
func fillMap(m *ebpf.Map, spec *ebpf.MapSpec) error {
	for _, kv := range spec.Contents {
		if _, named := kv.Value.(string); named {
			continue // a map or a program; see fill.go
		}
		value, err := forEachCPU(spec, kv.Value)
		if err != nil {
			return err
		}
		if err := m.Put(kv.Key, value); err != nil {
			return err
		}
	}
	if strings.HasPrefix(spec.Name, ".rodata") || spec.Name == kconfigSection {
		return m.Freeze()
	}
	return nil
}
