package ktsnap

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
)

// This file stores snapshots; FORMAT.md describes the format. A file is a
// header, a table of blocks, and the blocks: the first is a JSON document that
// describes the snapshot, the others are the columns and tables that it refers
// to by number. Columns are used in place, so that a file opens in the time
// that it takes to read and to check its bytes.

// fileVersion is the version of the format. Readers take this and older ones.
//
// Version 2 has casts in the shapes and objects of the kernel.
const fileVersion = 2

// fileMagic begins every file. Its bytes show transfers that change line ends
// or cut bit 7, as PNG's do.
const fileMagic = "\x89KTS\r\n\x1a\n"

const (
	fileHeaderSize = 16 // magic, version, number of blocks
	blockEntrySize = 24 // offset, length, CRC-32C, reserved
	blockAlign     = 8  // bytes
	maxBlocks      = 1 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// FormatError says where a snapshot file is damaged.
type FormatError struct {
	Offset int64 // bytes into the file; -1 if it does not apply
	Err    error
}

func (e *FormatError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("the snapshot file is damaged: %v", e.Err)
	}
	return fmt.Sprintf("the snapshot file is damaged at byte %d: %v", e.Offset, e.Err)
}

// Unwrap returns Err.
func (e *FormatError) Unwrap() error { return e.Err }

// NewerVersionError says that a snapshot file was written by a ktgen that is newer
// than this one.
type NewerVersionError struct {
	Version uint32 // of the file
	Known   uint32 // the newest that can be read
}

func (e *NewerVersionError) Error() string {
	return fmt.Sprintf("the snapshot file has version %d of the format, and this ktgen reads versions up to %d: update ktgen", e.Version, e.Known)
}

// WriteFile stores the snapshot in a file, as a whole or not at all.
func (s *Snapshot) WriteFile(path string) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp.Name())
		}
	}()
	_, err = s.WriteTo(tmp)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// ReadFile reads a snapshot from a file that [Snapshot.WriteTo] wrote. It
// returns a [*NewerVersionError] or a [*FormatError] if it cannot be read.
func ReadFile(path string) (*Snapshot, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s, err := parseFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// Read reads a snapshot that [Snapshot.WriteTo] wrote, from all of r. It
// returns a [*NewerVersionError] or a [*FormatError] if it cannot be read.
func Read(r io.Reader) (*Snapshot, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return parseFile(data)
}

// WriteTo writes the snapshot to w.
func (s *Snapshot) WriteTo(w io.Writer) (n int64, err error) {
	e := fileEncoder{blocks: [][]byte{nil}, programs: make(map[*Program]int)}
	document, err := json.Marshal(e.snapshot(s))
	if err != nil {
		return 0, err
	}
	e.blocks[0] = document
	out := &countingWriter{w: w}
	out.write(e.header())
	for _, block := range e.blocks {
		out.write(make([]byte, padding(out.n)))
		out.write(block)
	}
	return out.n, out.err
}

// countingWriter keeps the first error.
type countingWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *countingWriter) write(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.n += int64(n)
	c.err = err
}

// padding is how many bytes are missing to the next block.
func padding(offset int64) int { return int(-offset & (blockAlign - 1)) }

// fileEncoder collects the blocks of a file.
type fileEncoder struct {
	blocks   [][]byte
	programs map[*Program]int
	writers  []*ctype.Writer // of the programs
	orphans  ctype.Writer    // shapes of maps without a program, and of the kernel's objects
}

func (e *fileEncoder) add(block []byte) int {
	e.blocks = append(e.blocks, block)
	return len(e.blocks) - 1
}

func (e *fileEncoder) header() []byte {
	b := append([]byte(fileMagic), make([]byte, 8)...)
	binary.LittleEndian.PutUint32(b[8:], fileVersion)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(e.blocks)))
	offset := int64(fileHeaderSize + len(e.blocks)*blockEntrySize)
	for _, block := range e.blocks {
		offset += int64(padding(offset))
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))
		b = binary.LittleEndian.AppendUint64(b, uint64(len(block)))
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(block, castagnoli))
		b = binary.LittleEndian.AppendUint32(b, 0)
		offset += int64(len(block))
	}
	return b
}

// The document. Blocks are referred to by number; 0, the document itself,
// stands for none.
type (
	fileSnapshot struct {
		Name      string         `json:"name"`
		Taken     string         `json:"taken,omitempty"` // RFC 3339
		Timing    Timing         `json:"timing"`
		Guest     fileGuest      `json:"guest"`
		Scheduler *fileScheduler `json:"scheduler,omitempty"`
		Programs  []fileProgram  `json:"programs"`
		Orphans   int            `json:"orphans,omitempty"` // block: shapes of maps without a program
		Maps      []fileMap      `json:"maps"`
		Kernel    []fileObject   `json:"kernel,omitempty"`
		Status    Status         `json:"kernel_status,omitempty"`
		KernelWhy string         `json:"kernel_reason,omitempty"`
		Objects   int            `json:"objects,omitempty"` // block: the bytes of Kernel
		Tables    []fileTable    `json:"tables,omitempty"`
		Symbols   []fileSymbol   `json:"symbols,omitempty"`
	}
	fileGuest struct {
		Guest
		BigEndian bool `json:",omitempty"` // of snapshots that others made
	}
	fileScheduler struct { // any bytes
		State   []byte `json:"state"`
		Name    []byte `json:"name,omitempty"`
		Reason  []byte `json:"reason,omitempty"`
		Message []byte `json:"message,omitempty"`

		Instance int `json:"instance,omitempty"`
	}
	fileObject struct {
		Addr   uint64 `json:"addr"`
		Name   string `json:"name"`
		Own    bool   `json:"own,omitempty"`  // KernelObject.Allocated
		Type   string `json:"type,omitempty"` // in Orphans
		Fault  Fault  `json:"fault,omitempty"`
		Reason string `json:"reason,omitempty"`
		Size   int    `json:"size,omitempty"` // bytes
	}
	fileProgram struct {
		BTFID uint32   `json:"btf_id"`
		Name  string   `json:"name"`
		Table int      `json:"table"` // block: shapes
		Refs  []string `json:"refs"`  // Program.Shapes
	}
	fileMap struct {
		ID         uint32      `json:"id"`
		Name       string      `json:"name"`
		Type       MapType     `json:"type"`
		KeySize    int         `json:"key_size"`
		ValueSize  int         `json:"value_size"`
		MaxEntries int         `json:"max_entries"`
		Flags      uint32      `json:"flags"`
		Extra      uint64      `json:"extra"`
		Addr       uint64      `json:"addr"`
		Program    int         `json:"program"` // from 1; 0 for none
		Key        string      `json:"key,omitempty"`
		Value      string      `json:"value,omitempty"`
		Status     Status      `json:"status"`
		Reason     string      `json:"reason,omitempty"`
		Total      int         `json:"total"`
		N          int         `json:"n"`
		Slots      int         `json:"slots"`
		Stride     int         `json:"stride"`
		Base       uint64      `json:"base,omitempty"`
		Owners     []fileOwner `json:"owners,omitempty"`
		Keys       int         `json:"keys,omitempty"`        // block
		Values     int         `json:"values,omitempty"`      // block
		Addrs      int         `json:"addrs,omitempty"`       // block: 8 bytes each
		Extents    int         `json:"extents,omitempty"`     // block: address and length, 8 bytes each
		ExtentData int         `json:"extent_data,omitempty"` // block
	}
	fileSymbol struct {
		Addr uint64 `json:"addr"`
		Size uint64 `json:"size"`
		Name []byte `json:"name"` // any bytes
	}
	fileOwner struct {
		Addr uint64 `json:"addr"`
		PID  int32  `json:"pid"`
		TGID int32  `json:"tgid"`
		Comm []byte `json:"comm"` // any bytes
	}
)

func (e *fileEncoder) snapshot(s *Snapshot) *fileSnapshot {
	f := &fileSnapshot{Name: s.Name, Timing: s.Timing, Guest: fileGuest{Guest: s.Guest}, Status: s.KernelStatus, KernelWhy: s.KernelReason}
	if !s.Taken.IsZero() {
		f.Taken = s.Taken.Format(time.RFC3339Nano)
	}
	if c := s.Scheduler; c != (Scheduler{}) {
		f.Scheduler = &fileScheduler{[]byte(c.State), []byte(c.Name), []byte(c.Reason), []byte(c.Message), c.Instance}
	}
	for i, p := range s.Programs {
		e.programs[p] = i + 1
		w := new(ctype.Writer)
		e.writers = append(e.writers, w)
		out := fileProgram{BTFID: p.BTFID, Name: p.Name, Refs: make([]string, len(p.Shapes))}
		for i, shape := range p.Shapes {
			out.Refs[i] = w.Add(shape)
		}
		f.Programs = append(f.Programs, out)
	}
	for _, m := range s.Maps {
		f.Maps = append(f.Maps, e.mapDocument(m))
	}
	e.addKernel(f, s)
	// Maps can refer to shapes that their program does not list.
	for i, w := range e.writers {
		f.Programs[i].Table = e.add([]byte(w.String()))
	}
	f.Orphans = e.add([]byte(e.orphans.String()))
	return f
}

// addKernel adds what is known of the kernel: symbols, objects and tables.
func (e *fileEncoder) addKernel(f *fileSnapshot, s *Snapshot) {
	for _, symbol := range s.Symbols {
		f.Symbols = append(f.Symbols, fileSymbol{symbol.Addr, symbol.Size, []byte(symbol.Name)})
	}
	var objects [][]byte
	for i := range s.Kernel {
		o := s.Kernel[i].whole()
		f.Kernel = append(f.Kernel, fileObject{
			Addr: o.Addr, Name: o.Name, Own: o.Allocated, Type: ref(&e.orphans, o.Type),
			Fault: o.Fault, Reason: o.Reason, Size: len(o.Data),
		})
		objects = append(objects, o.Data)
	}
	if len(objects) > 0 {
		f.Objects = e.add(bytes.Join(objects, nil))
	}
	f.Tables = e.tables(s.Tables)
}

// whole returns a map as a file may hold it: one whose columns are not as long as
// its header says is one that could not be captured, with the reason, since Read
// refuses a file with such columns.
func (m *Map) whole() *Map {
	err := m.Check()
	if m.N == 0 || err == nil {
		return m
	}
	damaged := *m
	damaged.Status, damaged.Reason = Failed, err.Error()
	damaged.N, damaged.Keys, damaged.Values, damaged.Addrs, damaged.Owners = 0, nil, nil, nil, nil
	return &damaged
}

// whole returns an object as a file may hold it: with as many bytes as its type
// has, or with the reason why there are none.
func (o *KernelObject) whole() KernelObject {
	if o.Fault != FaultNone || o.fits() {
		return *o
	}
	return KernelObject{
		Addr: o.Addr, Name: o.Name, Allocated: o.Allocated, Fault: FaultUnreadable,
		Reason: fmt.Sprintf("the snapshot is damaged: the object has %d bytes, and its type does not", len(o.Data)),
	}
}

func (e *fileEncoder) mapDocument(m *Map) fileMap {
	m = m.whole()
	f := fileMap{
		ID: m.ID, Name: m.Name, Type: m.Type, KeySize: m.KeySize, ValueSize: m.ValueSize,
		MaxEntries: m.MaxEntries, Flags: m.Flags, Extra: m.Extra, Addr: m.Addr,
		Program: e.programs[m.Program], Status: m.Status, Reason: m.Reason, Total: m.Total,
		N: m.N, Slots: m.Slots, Stride: m.Stride, Base: m.Base,
	}
	for _, o := range m.Owners {
		f.Owners = append(f.Owners, fileOwner{o.Addr, o.PID, o.TGID, []byte(o.Comm)})
	}
	w := &e.orphans
	if f.Program > 0 {
		w = e.writers[f.Program-1]
	}
	f.Key, f.Value = ref(w, m.Key), ref(w, m.Value)
	f.Keys, f.Values = e.column(m.Keys), e.column(m.Values)
	if m.Addrs != nil {
		f.Addrs = e.add(convert.Words(m.Addrs...))
	}
	if len(m.Extents) > 0 {
		f.Extents, f.ExtentData = e.extents(m.Extents)
	}
	return f
}

func ref(w *ctype.Writer, s *ctype.Shape) string {
	if s == nil {
		return ""
	}
	return w.Add(s)
}

func (e *fileEncoder) column(b []byte) int {
	if b == nil {
		return 0
	}
	return e.add(b)
}

func (e *fileEncoder) extents(extents []Extent) (index, data int) {
	var places []byte
	parts := make([][]byte, len(extents))
	for i, x := range extents {
		places = append(places, convert.Words(x.Addr, uint64(len(x.Data)))...)
		parts[i] = x.Data
	}
	return e.add(places), e.add(bytes.Join(parts, nil))
}
