package bpfload

// This file puts the variables of an arena where libbpf does: into the last
// pages of the arena (bpf_object__create_maps in tools/lib/bpf/libbpf.c, from
// v1.7 on; before, into the first).

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// arenaData is an arena and the section of its variables.
type arenaData struct {
	arena  *ebpf.Map
	mapped []byte // the arena
	offset uint32 // bytes from the start of the arena
}

// mapArenas maps the object's arena into this process until Load is done: programs can
// refer to it once it has an address in user space.
func (l *loader) mapArenas() error {
	for _, def := range l.maps {
		if def.spec.Type != ebpf.Arena {
			continue
		}
		m := l.coll.Maps[def.spec.Name]
		size := uint64(def.spec.MaxEntries) * uint64(os.Getpagesize())
		if size > 1<<32 {
			return fmt.Errorf("arena %s has %d bytes, and an arena at most %d: lower its max_entries, which counts pages", def.spec.Name, size, uint64(1<<32))
		}
		mapped, err := mapArena(m, uintptr(def.spec.MapExtra), int(size))
		if err != nil {
			return fmt.Errorf("arena %s: %w", def.spec.Name, err)
		}
		l.arena = &arenaData{arena: m, mapped: mapped}
	}
	return nil
}

// fillArena copies the initial values of the variables into the arena. Writing
// to its mapping allocates the pages.
func (l *loader) fillArena(def *mapDef) error {
	if err := l.setVariables(def.spec); err != nil {
		return err
	}
	switch {
	case l.arena == nil:
		return errors.New("the object has variables of an arena, and no arena: define a map of type BPF_MAP_TYPE_ARENA")
	case len(def.spec.Contents) != 1:
		return errors.New("the section has no contents")
	}
	data, ok := def.spec.Contents[0].Value.([]byte)
	page, size := uint64(os.Getpagesize()), uint64(len(l.arena.mapped))
	room := (uint64(len(data)) + page - 1) / page * page
	if !ok || room > size {
		return fmt.Errorf("its %d bytes are more than the %d of the arena: raise the arena's max_entries, which counts pages", len(data), size)
	}
	l.arena.offset = uint32(size - room)
	copy(l.arena.mapped[l.arena.offset:], data)
	return nil
}

// mapArena maps an arena where it is to be in user space, or anywhere if its
// definition does not say where.
func mapArena(m *ebpf.Map, at uintptr, size int) ([]byte, error) {
	p, err := unix.MmapPtr(m.FD(), 0, unsafe.Add(nil, at), uintptr(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of the arena: %w", size, err)
	}
	return unsafe.Slice((*byte)(p), size), nil
}

// Close unmaps the arena.
func (a *arenaData) Close() error {
	if a == nil {
		return nil
	}
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(a.mapped)), uintptr(len(a.mapped)))
}
