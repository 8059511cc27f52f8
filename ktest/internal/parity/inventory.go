package parity

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
)

// Map is a map that an object has in the kernel.
type Map struct {
	Name       string
	Type       string
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Flags      uint32
	Extra      uint64
	Frozen     bool
	Typed      bool     // the kernel has BTF of it
	Contents   string   // a hash, of maps that have some without a program
	Names      []string // the names of the maps or programs in a map of these, with their keys
}

// Program is a program that an object has in the kernel.
type Program struct {
	Name         string
	Type         string
	Instructions uint32 // that the verifier has seen (verified_insns)
	Size         int    // bytes of what the verifier has made of it (xlated_prog_len)
}

// Loaded is what a worker has made of an object.
type Loaded struct {
	Object   string
	Verdict  string // "ok", "failed" or "late"
	Reason   string
	Seconds  float64
	Maps     []Map // in the order of their ids
	Programs []Program
	Attached []string // what became of attaching each program, such as "left:count"
}

// take fills in what a process has in the kernel, which are the maps and programs that
// it holds descriptors of: others may be about to go.
func (l *Loaded) take(pid int) error {
	maps, programs, err := descriptors(pid)
	if err != nil {
		return err
	}
	for _, id := range programs {
		p, err := programOf(ebpf.ProgramID(id))
		if err != nil {
			return fmt.Errorf("program %d: %w", id, err)
		}
		l.Programs = append(l.Programs, p)
	}
	for _, id := range maps {
		m, err := mapOf(ebpf.MapID(id))
		if err != nil {
			return fmt.Errorf("map %d: %w", id, err)
		}
		l.Maps = append(l.Maps, m)
	}
	return nil
}

// descriptors lists the ids of the maps and programs that a process has open.
func descriptors(pid int) (maps, programs []uint32, err error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	if err != nil {
		return nil, nil, err
	}
	for _, file := range files {
		info, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("list what the worker has open: %w", err)
		}
		for line := range strings.Lines(string(info)) {
			var id uint32
			if n, _ := fmt.Sscanf(line, "map_id: %d", &id); n == 1 {
				maps = append(maps, id)
			}
			if n, _ := fmt.Sscanf(line, "prog_id: %d", &id); n == 1 {
				programs = append(programs, id)
			}
		}
	}
	slices.Sort(maps)
	slices.Sort(programs)
	return slices.Compact(maps), slices.Compact(programs), nil
}

func programOf(id ebpf.ProgramID) (Program, error) {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return Program{}, err
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return Program{}, err
	}
	verified, _ := info.VerifiedInstructions()
	size, _ := info.TranslatedSize()
	return Program{Name: info.Name, Type: info.Type.String(), Instructions: verified, Size: size}, nil
}

func mapOf(id ebpf.MapID) (Map, error) {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return Map{}, err
	}
	defer m.Close()
	info, err := m.Info()
	if err != nil {
		return Map{}, err
	}
	_, typed := info.BTFID()
	extra, _ := info.MapExtra()
	out := Map{
		Name: info.Name, Type: info.Type.String(), KeySize: info.KeySize, ValueSize: info.ValueSize,
		MaxEntries: info.MaxEntries, Flags: info.Flags, Extra: extra, Frozen: info.Frozen(), Typed: typed,
	}
	switch info.Type {
	case ebpf.Array, ebpf.Hash:
		out.Contents = contents(m, info)
	case ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.ProgramArray:
		out.Names = held(m, info)
	}
	return out, nil
}

// mostHashed bounds what is read of a map, in entries; a map of more is compared
// without its contents.
const mostHashed = 1 << 12

func contents(m *ebpf.Map, info *ebpf.MapInfo) string {
	if info.MaxEntries > mostHashed {
		return ""
	}
	var entries []string // in the order of their keys, which those of a hash are not in
	var key, value []byte
	for all := m.Iterate(); all.Next(&key, &value); {
		entries = append(entries, string(key)+string(withoutAddresses(value)))
	}
	slices.Sort(entries)
	sum := sha256.Sum256([]byte(strings.Join(entries, "")))
	return fmt.Sprintf("%d entries %x", len(entries), sum[:6])
}

// withoutAddresses clears the kernel's addresses in a value, such as of a list's ends.
func withoutAddresses(value []byte) []byte {
	for rest := value; len(rest) >= 8; rest = rest[8:] {
		if binary.NativeEndian.Uint64(rest)>>47 == 1<<17-1 {
			clear(rest[:8])
		}
	}
	return value
}

// held names what is in a map of maps or programs.
func held(m *ebpf.Map, info *ebpf.MapInfo) []string {
	var names []string
	var key []byte
	var id uint32
	all := m.Iterate()
	for len(names) < mostHashed && all.Next(&key, &id) {
		name := "?"
		if info.Type == ebpf.ProgramArray {
			if p, err := programOf(ebpf.ProgramID(id)); err == nil {
				name = p.Name
			}
		} else if inner, err := ebpf.NewMapFromID(ebpf.MapID(id)); err == nil {
			if i, err := inner.Info(); err == nil {
				name = i.Name
			}
			inner.Close()
		}
		names = append(names, fmt.Sprintf("%x=%s", key, name))
	}
	slices.Sort(names)
	return names
}
