package bpfload

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// This file fills the maps whose definitions name maps or programs:
//
//	.values = { [0] = (void *)&queue0, [1] = (void *)&queue1 }

func (l *loader) fillMapsOfMaps() error {
	for _, def := range l.maps {
		if err := l.fillNameless(def); err != nil {
			return fmt.Errorf("filling map %s (%v): %w", def.spec.Name, def.spec.Type, err)
		}
	}
	return l.fillNamed(func(t ebpf.MapType, name string) (fd int, ok bool) {
		m := l.coll.Maps[name]
		if t != ebpf.ArrayOfMaps && t != ebpf.HashOfMaps || m == nil {
			return 0, t == ebpf.ProgramArray
		}
		return m.FD(), true
	})
}

// fillNameless makes maps for a map of maps, as programs do after the load.
func (l *loader) fillNameless(def *mapDef) error {
	for key := range l.spec.filled[def.spec.Name] {
		inner, err := l.createMap(def.inner)
		if err != nil {
			return fmt.Errorf("entry %d: %w", key, err)
		}
		err = l.coll.Maps[def.spec.Name].Put(key, uint32(inner.FD()))
		inner.Close() // the outer map has it
		if err != nil {
			return fmt.Errorf("entry %d: %w", key, err)
		}
	}
	return nil
}

func (l *loader) fillProgramArrays() error {
	return l.fillNamed(func(t ebpf.MapType, name string) (fd int, ok bool) {
		p := l.coll.Programs[name]
		if t != ebpf.ProgramArray || p == nil {
			return 0, t != ebpf.ProgramArray
		}
		return p.FD(), true
	})
}

// fillNamed puts the descriptors of what definitions name into maps. find
// returns 0 for what is not its to fill in.
func (l *loader) fillNamed(find func(t ebpf.MapType, name string) (fd int, ok bool)) error {
	for _, def := range l.maps {
		if def.ops != nil {
			continue
		}
		for _, kv := range def.spec.Contents {
			name, named := kv.Value.(string)
			if !named {
				continue
			}
			fd, ok := find(def.spec.Type, name)
			if !ok {
				return fmt.Errorf("filling map %s (%v): its entry %v names %s, which is not loaded: load it (Scheduler.Load), or leave the entry out", def.spec.Name, def.spec.Type, kv.Key, name)
			}
			if fd == 0 {
				continue
			}
			if err := l.coll.Maps[def.spec.Name].Put(kv.Key, uint32(fd)); err != nil {
				return fmt.Errorf("filling map %s (%v): entry %v, %s: %w", def.spec.Name, def.spec.Type, kv.Key, name, notFilled(def.spec, l.spec.Maps[name], err))
			}
		}
	}
	return nil
}

// notFilled explains why a map does not take an entry, which is a map or, if inner is nil,
// a program.
func notFilled(outer, inner *ebpf.MapSpec, err error) error {
	why := ""
	switch {
	case errors.Is(err, unix.E2BIG):
		why = fmt.Sprintf("the map has room for %d: raise its max_entries", outer.MaxEntries)
	case errors.Is(err, unix.EINVAL) && inner == nil:
		why = "the program is not like the first one in the map: have a map for each kind of program"
	case errors.Is(err, unix.EINVAL) && outer.InnerMap != nil:
		why = fmt.Sprintf("it is %s, and the map holds those that are %s: define both alike", shape(inner), shape(outer.InnerMap))
	default:
		return err
	}
	return &MapError{Reason: why, Err: errnoOf(err)}
}

// shape is what the maps in a map have in common.
func shape(m *ebpf.MapSpec) string {
	return fmt.Sprintf("%v with key_size %d, value_size %d, max_entries %d and map_flags %#x", m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
}
