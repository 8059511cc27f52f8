package bpfload

import (
	"fmt"

	"github.com/cilium/ebpf"
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
				return fmt.Errorf("filling map %s (%v): entry %v, %s: %w", def.spec.Name, def.spec.Type, kv.Key, name, err)
			}
		}
	}
	return nil
}
