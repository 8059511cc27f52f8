package ktsnap

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// This file reads what file.go writes. A file can come from anywhere: every
// number in it is checked before it is used.

func parseFile(data []byte) (*Snapshot, error) {
	d := &fileDecoder{}
	if err := d.parseBlocks(data); err != nil {
		return nil, err
	}
	var f fileSnapshot
	if err := json.Unmarshal(d.blocks[0], &f); err != nil {
		return nil, &FormatError{Offset: -1, Err: err}
	}
	s, err := d.snapshot(&f)
	if err != nil {
		return nil, &FormatError{Offset: -1, Err: err}
	}
	return s, nil
}

type fileDecoder struct {
	blocks  [][]byte
	tables  []*ctype.Table // of the programs
	orphans *ctype.Table
}

// parseBlocks checks the header and the blocks. They lie behind each other in
// the order of the table.
func (d *fileDecoder) parseBlocks(data []byte) error {
	count, err := parseHeader(data)
	if err != nil {
		return err
	}
	at := int64(fileHeaderSize + count*blockEntrySize)
	for i := range count {
		entry := data[fileHeaderSize+i*blockEntrySize:]
		offset, length := binary.LittleEndian.Uint64(entry), binary.LittleEndian.Uint64(entry[8:])
		at += int64(padding(at))
		if offset != uint64(at) || length > uint64(int64(len(data))-at) || at > int64(len(data)) {
			return &FormatError{Offset: fileHeaderSize + int64(i)*blockEntrySize, Err: fmt.Errorf("block %d has %d bytes from byte %d on, and the file %d in all", i, length, offset, len(data))}
		}
		block := data[offset : offset+length : offset+length]
		if crc32.Checksum(block, castagnoli) != binary.LittleEndian.Uint32(entry[16:]) {
			return &FormatError{Offset: at, Err: fmt.Errorf("the checksum of block %d is wrong", i)}
		}
		d.blocks = append(d.blocks, block)
		at += int64(length)
	}
	if at != int64(len(data)) {
		return &FormatError{Offset: at, Err: errors.New("more follows than the table of blocks has")}
	}
	return nil
}

// parseHeader returns the number of blocks.
func parseHeader(data []byte) (count int, err error) {
	if len(data) < fileHeaderSize || string(data[:len(fileMagic)]) != fileMagic {
		return 0, &FormatError{Err: errors.New("it does not begin like a snapshot")}
	}
	if version := binary.LittleEndian.Uint32(data[8:]); version > fileVersion {
		return 0, &NewerVersionError{Version: version, Known: fileVersion}
	}
	n := binary.LittleEndian.Uint32(data[12:])
	if n == 0 || n > maxBlocks || int(n) > (len(data)-fileHeaderSize)/blockEntrySize {
		return 0, &FormatError{Offset: 12, Err: fmt.Errorf("a table of %d blocks does not fit a file of %d bytes", n, len(data))}
	}
	return int(n), nil
}

// block returns a block by its number, nil for 0.
func (d *fileDecoder) block(n int) ([]byte, error) {
	if n < 0 || n >= len(d.blocks) {
		return nil, fmt.Errorf("there is no block %d", n)
	}
	if n == 0 {
		return nil, nil
	}
	return d.blocks[n], nil
}

func (d *fileDecoder) snapshot(f *fileSnapshot) (*Snapshot, error) {
	s, err := f.header()
	if err != nil {
		return nil, err
	}
	for i := range f.Programs {
		p, err := d.program(&f.Programs[i])
		if err != nil {
			return nil, fmt.Errorf("program %d: %w", i, err)
		}
		s.Programs = append(s.Programs, p)
	}
	if d.orphans, err = d.table(f.Orphans); err != nil {
		return nil, err
	}
	for i := range f.Maps {
		m, err := d.mapOf(s, &f.Maps[i])
		if err != nil {
			return nil, fmt.Errorf("map %q: %w", f.Maps[i].Name, err)
		}
		s.Maps = append(s.Maps, m)
	}
	for _, symbol := range f.Symbols {
		s.Symbols = append(s.Symbols, Symbol{symbol.Addr, symbol.Size, string(symbol.Name)})
	}
	slices.SortStableFunc(s.Symbols, func(a, b Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	if s.Tables, err = d.kernelTables(f.Tables); err != nil {
		return nil, err
	}
	s.Kernel, err = d.kernel(f)
	return s, err
}

// header returns a snapshot with what it says of itself.
func (f *fileSnapshot) header() (*Snapshot, error) {
	if f.Guest.BigEndian {
		return nil, errors.New("it is of a big-endian guest, which this ktgen does not read")
	}
	s := &Snapshot{Name: f.Name, Timing: f.Timing, Guest: f.Guest.Guest, KernelStatus: f.Status, KernelReason: f.KernelWhy}
	if c := f.Scheduler; c != nil {
		s.Scheduler = Scheduler{State: string(c.State), Name: string(c.Name), Reason: string(c.Reason), Message: string(c.Message), Instance: c.Instance}
	}
	if f.Taken != "" {
		taken, err := time.Parse(time.RFC3339Nano, f.Taken)
		if err != nil {
			return nil, err
		}
		s.Taken = taken
	}
	return s, nil
}

// kernelAddr returns the objects of the kernel, whose bytes follow one another.
func (d *fileDecoder) kernel(f *fileSnapshot) ([]KernelObject, error) {
	data, err := d.block(f.Objects)
	if err != nil {
		return nil, err
	}
	var objects []KernelObject
	for i := range f.Kernel {
		o := &f.Kernel[i]
		shape, err := d.orphans.Optional(o.Type)
		switch {
		case err != nil:
			return nil, fmt.Errorf("object %q of the kernel: %w", o.Name, err)
		case o.Size < 0 || o.Size > len(data):
			return nil, fmt.Errorf("an object of the kernel of %d bytes, of which the file has %d", o.Size, len(data))
		}
		object := KernelObject{Addr: o.Addr, Name: o.Name, Allocated: o.Own, Type: shape, Fault: o.Fault, Reason: o.Reason}
		if o.Size > 0 {
			object.Data = data[:o.Size:o.Size]
		}
		if o.Fault == FaultNone && !object.fits() {
			return nil, fmt.Errorf("object %q of the kernel has %d bytes, and its type does not", o.Name, o.Size)
		}
		data = data[o.Size:]
		objects = append(objects, object)
	}
	return objects, nil
}

func (d *fileDecoder) table(block int) (*ctype.Table, error) {
	text, err := d.block(block)
	if err != nil {
		return nil, err
	}
	return ctype.Parse(string(text))
}

func (d *fileDecoder) program(f *fileProgram) (*Program, error) {
	table, err := d.table(f.Table)
	if err != nil {
		return nil, err
	}
	d.tables = append(d.tables, table)
	p := &Program{BTFID: f.BTFID, Name: f.Name}
	p.Shapes, err = table.Resolve(f.Refs)
	return p, err
}

func (d *fileDecoder) mapOf(s *Snapshot, f *fileMap) (*Map, error) {
	m := &Map{
		ID: f.ID, Name: f.Name, Type: f.Type, KeySize: f.KeySize, ValueSize: f.ValueSize,
		MaxEntries: f.MaxEntries, Flags: f.Flags, Extra: f.Extra, Addr: f.Addr,
		Status: f.Status, Reason: f.Reason, Total: f.Total,
		N: f.N, Slots: f.Slots, Stride: f.Stride, Base: f.Base,
	}
	for _, o := range f.Owners {
		m.Owners = append(m.Owners, Owner{o.Addr, o.PID, o.TGID, string(o.Comm)})
	}
	table := d.orphans
	switch {
	case f.Program < 0 || f.Program > len(s.Programs):
		return nil, fmt.Errorf("there is no program %d", f.Program)
	case f.Program > 0:
		m.Program, table = s.Programs[f.Program-1], d.tables[f.Program-1]
	}
	if err := d.columns(m, f, table); err != nil {
		return nil, err
	}
	if m.N == 0 {
		return m, nil
	}
	return m, m.Check()
}

func (d *fileDecoder) columns(m *Map, f *fileMap, table *ctype.Table) (err error) {
	if m.Key, err = table.Optional(f.Key); err != nil {
		return err
	}
	if m.Value, err = table.Optional(f.Value); err != nil {
		return err
	}
	if m.Keys, err = d.block(f.Keys); err != nil {
		return err
	}
	if m.Values, err = d.block(f.Values); err != nil {
		return err
	}
	addrs, err := d.block(f.Addrs)
	if err != nil {
		return err
	}
	if addrs != nil {
		m.Addrs = make([]uint64, len(addrs)/8)
		for i := range m.Addrs {
			m.Addrs[i] = binary.LittleEndian.Uint64(addrs[8*i:])
		}
	}
	m.Extents, err = d.extents(f)
	return err
}

func (d *fileDecoder) extents(f *fileMap) ([]Extent, error) {
	places, err := d.block(f.Extents)
	if err != nil {
		return nil, err
	}
	data, err := d.block(f.ExtentData)
	if err != nil {
		return nil, err
	}
	var extents []Extent
	for ; len(places) >= 16; places = places[16:] {
		addr, length := binary.LittleEndian.Uint64(places), binary.LittleEndian.Uint64(places[8:])
		if length > uint64(len(data)) {
			return nil, fmt.Errorf("an extent of %d bytes, of which the file has %d", length, len(data))
		}
		extents = append(extents, Extent{Addr: addr, Data: data[:length:length]})
		data = data[length:]
	}
	return extents, nil
}
