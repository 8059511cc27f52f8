package dump

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ktgen/ktgen/runtime"
)

// This file reads documents back. They can come from anywhere: every number in
// one is checked before it is used.

// ReadJSON reads a document that [JSON] wrote, from all of r. Reads of the result
// give what reads of the snapshot gave, for every member of every value and
// what pointers lead to; bytes that no member has are zero. What a document does
// not show, such as what was farther away than pointers are followed, is not in
// the result, and reads say so. The error is a [*DocumentError].
func ReadJSON(r io.Reader) (*runtime.Snapshot, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	d := &documentReader{unions: make(map[*runtime.Shape]bool), budget: 1<<20 + min(maxPerByte*len(text), maxValues)}
	if err := decoder.Decode(&d.document); err != nil {
		return nil, &DocumentError{Err: err}
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, &DocumentError{Err: errors.New("more follows the document")}
	}
	s, err := d.snapshot()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// DocumentError says why a JSON document cannot be read.
type DocumentError struct {
	Path string // in the document's snapshot: task_ctxs[3].ctx.weight; may be empty
	Err  error
}

func (e *DocumentError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("read a JSON dump: %v", e.Err)
	}
	return fmt.Sprintf("read a JSON dump: %s: %v", clean(clip(e.Path)), e.Err)
}

// Unwrap returns Err.
func (e *DocumentError) Unwrap() error { return e.Err }

func clip(text string) string {
	if len(text) > 2*maxLine {
		return text[:maxLine] + "..." + text[len(text)-maxLine:]
	}
	return text
}

// Bounds of what values may take: in bytes for each byte of the document, as
// zeroes are short, and in all.
const (
	maxPerByte = 4096
	maxValues  = 1 << 30
)

// address is a number that documents have as "0xffff888000100000".
type address uint64

func (a *address) UnmarshalText(text []byte) error {
	n, err := parseAddress(string(text))
	*a = address(n)
	return err
}

func parseAddress(text string) (uint64, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok {
		return 0, fmt.Errorf("%q is no address: it does not begin with 0x", text)
	}
	return strconv.ParseUint(digits, 16, 64)
}

// document is what SCHEMA.md describes.
type document struct {
	Format    string
	Version   int
	Name      string
	Taken     string
	Scheduler struct{ State, Name, Reason, Message string }
	Timing    struct {
		Stop   time.Duration `json:"stop_ns"`
		Walk   time.Duration `json:"walk_ns"`
		Copy   time.Duration `json:"copy_ns"`
		Chase  time.Duration `json:"chase_ns"`
		Resume time.Duration `json:"resume_ns"`
		Paused time.Duration `json:"paused_ns"`
		Bytes  int
	}
	KernelStatus string `json:"kernel_status"`
	KernelReason string `json:"kernel_reason"`
	Guest        struct {
		Release, Arch string
		BigEndian     bool `json:"big_endian"`
		PageSize      int  `json:"page_size"`
		CPUs          int
		Online        []int
	}
	Layouts  *string
	Programs []struct {
		BTFID uint32 `json:"btf_id"`
		Name  string
		Types []string
	}
	Kernel  []documentObject
	Symbols []struct {
		Addr, Size address
		Name       string
	}
	Maps []documentMap
}

type documentObject struct {
	Addr         address
	Name, Layout string
	Fault        runtime.Fault
	Reason       string
	Bytes        *string
}

type documentMap struct {
	ID          uint32
	Arena       uint32 // that it is a section of variables of; 0 if it is a map
	Name, Type  string
	KeySize     int `json:"key_size"`
	ValueSize   int `json:"value_size"`
	MaxEntries  int `json:"max_entries"`
	Flags       uint32
	Addr        address
	Status      string
	Reason      string
	Total       int
	CPUs        int
	Program     int
	KeyLayout   string `json:"key_layout"`
	ValueLayout string `json:"value_layout"`
	Stride      int
	Base, Extra address
	Entries     []documentEntry
	Extents     []struct{ Addr address }
}

type documentEntry struct {
	Key   any
	Owner *struct {
		Addr      address
		PID, TGID int32
		Comm      string
	}
	Value   any
	CPUs    []any
	Addr    address
	Addrs   []address
	Omitted bool `json:"$omitted"`
}

// documentReader makes a snapshot of a document.
type documentReader struct {
	document
	s      *runtime.Snapshot
	table  *runtime.ShapeTable
	budget int // bytes that values may still take

	writing precision
	unions  map[*runtime.Shape]bool // whether types have unions in them

	arenas   []arenaPages
	sections []*documentMap     // of variables in them
	targets  []pointee          // that are still to be read
	objects  map[objectKey]bool // that the snapshot has
}

// arenaPages is what pointers into an arena were seen to lead to.
type arenaPages struct {
	m      *runtime.Map
	first  uint64 // address of the first page that was captured
	high   uint64 // upper half of its addresses
	pieces []runtime.Extent
}

// pointee is a value behind a pointer.
type pointee struct {
	path  string
	addr  uint64
	name  string // of the struct that the pointer takes it for
	shape *runtime.Shape
	value any
}

type objectKey struct {
	addr uint64
	name string
}

func (d *documentReader) snapshot() (*runtime.Snapshot, error) {
	switch {
	case d.Format != Format:
		return nil, &DocumentError{Err: fmt.Errorf("its format is %q, not %q: is it of ktgen dump -o json?", clip(d.Format), Format)}
	case d.Version > Version:
		return nil, &DocumentError{Err: fmt.Errorf("it has version %d, and this ktgen reads up to %d: update it", d.Version, Version)}
	case d.Layouts == nil:
		return nil, &DocumentError{Err: errors.New("it has no layouts, as those in pages and of older versions have none: write it again with ktgen dump -o json")}
	}
	d.s = &runtime.Snapshot{
		Name: d.Name, Scheduler: runtime.Scheduler(d.Scheduler),
		Timing: runtime.Timing{
			Stop: d.Timing.Stop, Walk: d.Timing.Walk, Copy: d.Timing.Copy, Chase: d.Timing.Chase,
			Resume: d.Timing.Resume, Paused: d.Timing.Paused, Bytes: d.Timing.Bytes,
		},
		Guest: runtime.Guest{
			Release: d.Guest.Release, Arch: d.Guest.Arch, BigEndian: d.Guest.BigEndian,
			PageSize: d.Guest.PageSize, CPUs: d.Guest.CPUs, Online: d.Guest.Online,
		},
	}
	if d.KernelReason != "" {
		d.s.KernelStatus = runtime.Status(max(int(runtime.Truncated), slices.Index(statusNames[:], d.KernelStatus)))
		d.s.KernelReason = d.KernelReason
	}
	for _, step := range []func() error{d.readTaken, d.readTypes, d.readKernel, d.readMaps, d.readTargets} {
		if err := step(); err != nil {
			if known := (*DocumentError)(nil); errors.As(err, &known) {
				return nil, err
			}
			return nil, &DocumentError{Err: err}
		}
	}
	for i := range d.arenas {
		d.arenas[i].join()
	}
	return d.s, nil
}

func (d *documentReader) readTaken() (err error) {
	if d.Taken != "" {
		d.s.Taken, err = time.Parse(time.RFC3339Nano, d.Taken)
	}
	return err
}

func (d *documentReader) readTypes() (err error) {
	if d.table, err = runtime.ParseShapes(*d.Layouts); err != nil {
		return err
	}
	for _, from := range d.Programs {
		p := &runtime.Program{BTFID: from.BTFID, Name: from.Name}
		for _, ref := range from.Types {
			s, err := d.table.Shape(ref)
			if err != nil {
				return err
			}
			p.Shapes = append(p.Shapes, s)
		}
		d.s.Programs = append(d.s.Programs, p)
	}
	for _, symbol := range d.Symbols {
		d.s.Symbols = append(d.s.Symbols, runtime.Symbol{Addr: uint64(symbol.Addr), Size: uint64(symbol.Size), Name: symbol.Name})
	}
	slices.SortStableFunc(d.s.Symbols, func(a, b runtime.Symbol) int { return cmp.Compare(a.Addr, b.Addr) })
	return nil
}

// optional returns the shape of a reference, nil for none.
func (d *documentReader) optional(ref string) (*runtime.Shape, error) {
	if ref == "" {
		return nil, nil
	}
	return d.table.Shape(ref)
}

// readKernel takes over what the document says of the kernel's objects. The
// values of most are where pointers lead to them.
func (d *documentReader) readKernel() error {
	d.objects = make(map[objectKey]bool)
	for _, from := range d.Kernel {
		o := runtime.KernelObject{Addr: uint64(from.Addr), Name: from.Name, Fault: from.Fault, Reason: from.Reason}
		shape, err := d.optional(from.Layout)
		if err != nil {
			return err
		}
		if from.Bytes != nil {
			o.Allocated = true
			if o.Data, err = hex.DecodeString(*from.Bytes); err != nil {
				return err
			}
		}
		switch {
		case o.Fault > runtime.FaultLimit:
			return fmt.Errorf("an object of the kernel has the fault %d", o.Fault)
		case o.Fault != runtime.FaultNone:
		case shape == nil || from.Bytes == nil:
			continue
		case len(o.Data) != shape.Size:
			return fmt.Errorf("object %s of the kernel has %d bytes, and its type %d", clip(o.Name), len(o.Data), shape.Size)
		default:
			o.Type = shape
		}
		d.objects[objectKey{o.Addr, o.Name}] = true
		d.s.Kernel = append(d.s.Kernel, o)
	}
	return nil
}

// readTargets reads what pointers lead to, and what pointers there lead to.
func (d *documentReader) readTargets() error {
	for len(d.targets) > 0 {
		t := d.targets[len(d.targets)-1]
		d.targets = d.targets[:len(d.targets)-1]
		b, err := d.take(t.path, t.shape.Size)
		if err != nil {
			return err
		}
		if err := d.fill(t.path, t.shape, b, t.value); err != nil {
			return err
		}
		if arena := d.arenaOf(t.addr); arena != nil {
			arena.pieces = append(arena.pieces, runtime.Extent{Addr: t.addr, Data: b})
			continue
		}
		if key := (objectKey{t.addr, t.name}); !d.objects[key] {
			d.objects[key] = true
			d.s.Kernel = append(d.s.Kernel, runtime.KernelObject{Addr: t.addr, Name: t.name, Type: t.shape, Data: b})
		}
	}
	return nil
}

const arenaWindow = 1 << 32 // bytes; see runtime.Map

func (d *documentReader) arenaOf(addr uint64) *arenaPages {
	for i := range d.arenas {
		if addr-d.arenas[i].high < arenaWindow {
			return &d.arenas[i]
		}
	}
	return nil
}

// take returns memory for a value.
func (d *documentReader) take(path string, size int) ([]byte, error) {
	if d.budget -= size; size < 0 || d.budget < 0 {
		return nil, &DocumentError{Path: path, Err: errors.New("its values take more memory than a document of this size may have")}
	}
	return make([]byte, size), nil
}

// join makes the extents of an arena of its pieces, which can lie in one
// another.
func (a *arenaPages) join() {
	slices.SortStableFunc(a.pieces, func(x, y runtime.Extent) int { return cmp.Compare(x.Addr, y.Addr) })
	a.m.Extents = []runtime.Extent{{Addr: a.first}}
	for _, p := range a.pieces {
		last := len(a.m.Extents) - 1
		if p.Addr-a.m.Extents[last].Addr > uint64(len(a.m.Extents[last].Data)) {
			a.m.Extents = append(a.m.Extents, p)
			continue
		}
		e := &a.m.Extents[last]
		at := int(p.Addr - e.Addr)
		n := min(len(e.Data)-at, len(p.Data))
		for i, c := range p.Data[:n] { // what one does not say is zero in it
			e.Data[at+i] |= c
		}
		e.Data = append(e.Data, p.Data[n:]...)
	}
}
