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
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// arenaData is the section of an arena's variables.
type arenaData struct {
	arena  *ebpf.Map
	offset uint32 // bytes from the start of the arena
}

// fillArena copies the initial values of the variables into the arena. Writing
// to its mapping allocates the pages.
func (l *loader) fillArena(def *mapDef) error {
	if err := l.setVariables(def.spec); err != nil {
		return err
	}
	var arena *mapDef
	for _, other := range l.maps {
		if other.spec.Type == ebpf.Arena {
			arena = other
		}
	}
	switch {
	case arena == nil:
		return errors.New("the object has variables of an arena, and no arena")
	case len(def.spec.Contents) != 1:
		return errors.New("the section has no contents")
	}
	data, ok := def.spec.Contents[0].Value.([]byte)
	page := uint64(os.Getpagesize())
	size, room := uint64(arena.spec.MaxEntries)*page, (uint64(len(data))+page-1)/page*page
	if !ok || size > 1<<32 || room > size {
		return fmt.Errorf("its %d bytes are not in the %d of the arena", len(data), size)
	}
	l.arena = &arenaData{arena: l.coll.Maps[arena.spec.Name], offset: uint32(size - room)}
	mapped, err := mapArena(l.arena.arena, uintptr(arena.spec.MapExtra), int(size))
	if err != nil {
		return err
	}
	copy(mapped[l.arena.offset:], data)
	return unmap(mapped)
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

func unmap(mapped []byte) error {
	return unix.MunmapPtr(unsafe.Pointer(unsafe.SliceData(mapped)), uintptr(len(mapped)))
}

// refer makes an instruction that loads the address of an arena's variable load
// that of the arena, and the offset there.
func (a *arenaData) refer(ins *asm.Instruction) error {
	ins.Constant += int64(a.offset) << 32
	return ins.AssociateMap(a.arena)
}
