package object

// This file reads maps defined the way of before BTF: initialised structs in
// section "maps", whose fields are the definition. libbpf's bpf_map_def and
// iproute2's bpf_elf_map differ in names and order, so BTF says which is which.

import (
	"debug/elf"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
)

const legacyMapsSection = "maps"

func (o *Object) readLegacyMaps(f *file) error {
	sec := f.section(legacyMapsSection)
	if sec == nil || sec.Type != elf.SHT_PROGBITS {
		return nil
	}
	legacy := func(err error) error {
		return &Error{File: f.name, Section: sec.Name, Offset: -1, Err: fmt.Errorf("%w: %w", ErrLegacyMaps, err),
			Advice: `define maps as BTF structs in SEC(".maps"), as libbpf 1.0 and later require`}
	}
	s, err := o.definitions(f, legacyMapsSection)
	if err != nil {
		return legacy(errors.New("BTF does not describe them"))
	}
	raw, err := f.contents(sec, maxBTF)
	if err != nil {
		return err
	}
	for _, v := range s.Vars {
		m, err := o.readLegacyMap(v, raw)
		if err != nil {
			return legacy(fmt.Errorf("%s: %w", v.Name, err))
		}
		o.Maps = append(o.Maps, *m)
	}
	return nil
}

func (o *Object) readLegacyMap(v Var, section []byte) (*Map, error) {
	def, ok := btf.As[*btf.Struct](v.Type)
	if !ok {
		return nil, fmt.Errorf("its definition is a %s, want a struct", ktbtf.Spell(v.Type))
	}
	raw := section[v.Offset:]
	m := &Map{Name: v.Name, Tags: v.Tags, Section: legacyMapsSection, Offset: v.Offset, Weak: v.Weak, Static: v.Static}
	fields := map[string]*uint32{
		"type":     &m.Type,
		"key_size": &m.KeySize, "size_key": &m.KeySize,
		"value_size": &m.ValueSize, "size_value": &m.ValueSize,
		"max_entries": &m.MaxEntries, "max_elem": &m.MaxEntries,
		"map_flags": &m.Flags, "flags": &m.Flags,
		"numa_node": &m.NUMANode,
		"pinning":   &m.Pinning,
	}
	for _, member := range def.Members {
		field, at := fields[member.Name], uint64(member.Offset/8)
		if field == nil {
			continue // iproute2's id, inner_id and inner_idx
		}
		if at+4 > uint64(len(raw)) || member.BitfieldSize != 0 {
			return nil, fmt.Errorf("%s is not 4 bytes inside the section", member.Name)
		}
		*field = o.ByteOrder.Uint32(raw[at:])
	}
	if m.Type == 0 {
		return nil, errors.New("it has no type")
	}
	return m, nil
}
