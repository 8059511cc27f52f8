package dump

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/runtime"
)

// This file reads the maps of a document.

func (d *documentReader) readMaps() error {
	arenas := d.arenaIDs()
	for i := range d.Maps {
		from := &d.Maps[i]
		if arenas[from.Arena] {
			d.sections = append(d.sections, from)
			continue
		}
		m, err := d.readMap(from)
		if err != nil {
			return ofMap(from, err)
		}
		d.s.Maps = append(d.s.Maps, m)
		from.Entries = nil
	}
	return d.readSections()
}

// ofMap says of which map an error is.
func ofMap(from *documentMap, err error) error {
	if known := (*DocumentError)(nil); errors.As(err, &known) {
		return err
	}
	return &DocumentError{Path: from.Name, Err: err}
}

// arenaIDs are the ids of the document's arenas. A section of variables whose
// arena is not in it is read as a map.
func (d *documentReader) arenaIDs() map[uint32]bool {
	ids := make(map[uint32]bool)
	for i := range d.Maps {
		if m := &d.Maps[i]; m.ID != 0 && m.Type == runtime.MapTypeArena.String() {
			ids[m.ID] = true
		}
	}
	return ids
}

// readSections reads sections of variables into the pages of their arenas.
func (d *documentReader) readSections() error {
	for _, from := range d.sections {
		m, err := d.readMap(from)
		if err != nil {
			return ofMap(from, err)
		}
		arena := d.arenaOf(m.Base)
		if arena == nil && m.N > 0 {
			return ofMap(from, fmt.Errorf("it is at %#x, in no arena", m.Base))
		}
		if m.N > 0 {
			arena.pieces = append(arena.pieces, runtime.Extent{Addr: m.Base, Data: m.Values})
		}
	}
	return nil
}

func (d *documentReader) readMap(from *documentMap) (m *runtime.Map, err error) {
	m = &runtime.Map{
		ID: from.ID, Name: from.Name, KeySize: from.KeySize, ValueSize: from.ValueSize, MaxEntries: from.MaxEntries,
		Flags: from.Flags, Extra: uint64(from.Extra), Addr: uint64(from.Addr), Reason: from.Reason, Total: from.Total,
		Slots: max(from.CPUs, 1), Stride: from.Stride, Base: uint64(from.Base),
	}
	if m.Type, err = runtime.ParseMapType(from.Type); err != nil {
		return nil, err
	}
	status := slices.Index(statusNames[:], from.Status)
	if status < 0 {
		return nil, fmt.Errorf("there is no status %q", clip(from.Status))
	}
	m.Status = runtime.Status(status)
	switch {
	case from.Program < 0 || from.Program > len(d.s.Programs):
		return nil, fmt.Errorf("there is no program %d", from.Program)
	case from.Program > 0:
		m.Program = d.s.Programs[from.Program-1]
	}
	if m.Key, err = d.optional(from.KeyLayout); err != nil {
		return nil, err
	}
	if m.Value, err = d.optional(from.ValueLayout); err != nil {
		return nil, err
	}
	switch {
	case m.Type == runtime.MapTypeArena:
		return m, d.readArena(m, from)
	case m.Type == runtime.MapTypeRingBuf || m.Type == runtime.MapTypeUserRingBuf:
		return m, d.readRecords(m, from)
	}
	return m, d.readEntries(m, from)
}

func (d *documentReader) readArena(m *runtime.Map, from *documentMap) error {
	if len(from.Extents) == 0 {
		return nil
	}
	first := uint64(from.Extents[0].Addr)
	d.arenas = append(d.arenas, arenaPages{m: m, first: first, high: first &^ (arenaWindow - 1)})
	return nil
}

// recordHeader is the size of a ring buffer's record without its data; see
// runtime.Map.
const recordHeader = 8

// readRecords reads the records of a ring buffer, which are bytes.
func (d *documentReader) readRecords(m *runtime.Map, from *documentMap) error {
	length := runtime.Member{Type: &runtime.Shape{Kind: runtime.KindInt, Size: 4}}
	for i := range from.Entries {
		raw, err := hexMember(from.Entries[i].Value, "$bytes")
		if err != nil {
			return err
		}
		data := make([]byte, recordHeader+len(raw))
		length.Store(data, uint64(len(raw)), d.s.Guest.BigEndian)
		copy(data[recordHeader:], raw)
		m.Extents = append(m.Extents, runtime.Extent{Addr: uint64(from.Entries[i].Addr) - recordHeader, Data: data})
	}
	return nil
}

// readEntries reads the entries of all other maps into their columns.
func (d *documentReader) readEntries(m *runtime.Map, from *documentMap) error {
	n := len(from.Entries)
	if n > 0 && from.Entries[n-1].Omitted {
		return errors.New("the document leaves out entries: the snapshot that it is of is damaged")
	}
	if n == 0 {
		return nil
	}
	m.N = n
	if m.Slots > maxCPUs || m.Stride < m.ValueSize || m.ValueSize < 0 || m.KeySize < 0 {
		return fmt.Errorf("%d values of %d bytes for an entry, %d bytes apart, and keys of %d bytes", m.Slots, m.ValueSize, m.Stride, m.KeySize)
	}
	if m.Stride > maxValues || m.KeySize > maxValues {
		return fmt.Errorf("values of %d bytes, and keys of %d", m.Stride, m.KeySize)
	}
	var err error
	if from.Entries[0].Key != nil {
		if m.Keys, err = d.take(m.Name, n*m.KeySize); err != nil {
			return err
		}
	}
	if m.Values, err = d.take(m.Name, n*m.Slots*m.Stride); err != nil {
		return err
	}
	if from.Entries[0].Addr != 0 || from.Entries[0].Addrs != nil {
		if _, err = d.take(m.Name, 8*n*m.Slots); err != nil {
			return err
		}
		m.Addrs = make([]uint64, 0, n*m.Slots)
	}
	for i := range from.Entries {
		if err := d.readEntry(m, i, &from.Entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// maxCPUs is more than the kernel has.
const maxCPUs = 1 << 16

func (d *documentReader) readEntry(m *runtime.Map, i int, e *documentEntry) error {
	path := fmt.Sprintf("%s[#%d]", m.Name, i)
	if e.Owner != nil {
		m.Owners = append(m.Owners, runtime.Owner{Addr: uint64(e.Owner.Addr), PID: e.Owner.PID, TGID: e.Owner.TGID, Comm: e.Owner.Comm})
	}
	if m.Keys != nil {
		if err := d.top("the key of "+path, m.Key, m.Keys[i*m.KeySize:][:m.KeySize], e.Key); err != nil {
			return err
		}
	}
	values, addrs := e.CPUs, e.Addrs
	if m.Slots == 1 && values == nil {
		values, addrs = []any{e.Value}, []address{e.Addr}
	}
	if len(values) != m.Slots || m.Addrs != nil && len(addrs) != m.Slots {
		return &DocumentError{Path: path, Err: fmt.Errorf("it has %d values with %d addresses, and the map %d CPUs", len(values), len(addrs), m.Slots)}
	}
	for slot, value := range values {
		if m.Addrs != nil {
			m.Addrs = append(m.Addrs, uint64(addrs[slot]))
		}
		if value == nil { // a CPU without memory
			continue
		}
		if err := d.top(path, m.Value, m.Values[(i*m.Slots+slot)*m.Stride:][:m.ValueSize], value); err != nil {
			return err
		}
	}
	return nil
}

// top reads a value that is in no other, into all bytes that there are for it.
func (d *documentReader) top(path string, s *runtime.Shape, b []byte, v any) error {
	if s == nil {
		raw, err := hexMember(v, "$bytes")
		if err != nil || len(raw) > len(b) {
			return &DocumentError{Path: path, Err: fmt.Errorf("it has %d bytes, and its document %d: %w", len(b), len(raw), err)}
		}
		copy(b, raw)
		return nil
	}
	if s.Size > len(b) {
		return &DocumentError{Path: path, Err: fmt.Errorf("it has %d bytes, and its type %d", len(b), s.Size)}
	}
	return d.fill(path, s, b, v)
}

// hexMember returns the bytes that an object has as a member.
func hexMember(v any, name string) ([]byte, error) {
	object, _ := v.(map[string]any)
	text, ok := object[name].(string)
	if !ok {
		return nil, fmt.Errorf("there is no %s", name)
	}
	return hex.DecodeString(text)
}
