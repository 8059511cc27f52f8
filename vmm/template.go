package vmm

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// This file is the format of templates: a paused guest in a file.
//
//	+--------+---------------------+-------+---------+---------+-------+
//	| header | extents of RAM      | state | console | devices | index |
//	+--------+---------------------+-------+---------+---------+-------+
//	     |                                                      ^
//	     +------------------------------------------------------+
//
// The header is written last. Everything has a checksum, which is verified as it is
// read, so a file that was damaged or not completely written is told from a
// good one.

const (
	templateMagic  = "ktgen-vm"
	templateFormat = 1
	headerSize     = 32 // bytes: magic, format, index checksum, index offset, index length
	maxIndex       = 64 << 20
	maxState       = 256 << 20

	// ramChunk is the granularity in which RAM that is all zero is left out.
	ramChunk = 64 << 10
	// maxExtent bounds an extent, so that several goroutines share the work.
	maxExtent = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// section is a part of a template file.
type section struct {
	Offset int64  `json:"offset"` // in the file
	Length int64  `json:"length"` // bytes
	CRC    uint32 `json:"crc"`    // CRC-32C
}

// extent is a piece of the RAM file.
type extent struct {
	RAM int64 `json:"ram"` // offset in the RAM file
	section
}

// index says where in a template what is.
type index struct {
	RAMSize int64    `json:"ram_size"`
	State   section  `json:"state"`
	Console section  `json:"console"` // what the guest has written so far
	Devices section  `json:"devices"`
	Extents []extent `json:"extents"`
	Mailbox int64    `json:"mailbox,omitempty"` // physical address, of a guest in lockstep
}

// still is what a template holds of a paused guest, beside its RAM.
type still struct {
	state   []byte // what Hooks.Ready returned
	console []byte
	devices []byte
	mailbox int64
}

// writeTemplate writes the template of a paused guest. It gives up when ctx
// ends.
func writeTemplate(ctx context.Context, f *os.File, ram *RAM, s still) error {
	if len(s.state) > maxState {
		return fmt.Errorf("the state from Hooks.Ready has %d bytes, more than %d", len(s.state), maxState)
	}
	w := &templateWriter{f: f, at: headerSize}
	ix := index{RAMSize: ram.size, Mailbox: s.mailbox}
	var err error
	if ix.Extents, err = w.ram(ctx, ram); err != nil {
		return fmt.Errorf("writing the guest's RAM, after %v: %w", Size(w.at).roundedMiB(), err)
	}
	if ix.State, err = w.section(s.state); err != nil {
		return err
	}
	if ix.Console, err = w.section(s.console); err != nil {
		return err
	}
	if ix.Devices, err = w.section(s.devices); err != nil {
		return err
	}
	text, err := json.Marshal(ix)
	if err != nil {
		return err
	}
	place, err := w.section(text)
	if err != nil {
		return err
	}
	return w.header(place)
}

type templateWriter struct {
	f  *os.File
	at int64
}

// section appends data.
func (w *templateWriter) section(data []byte) (section, error) {
	s := section{Offset: w.at, Length: int64(len(data)), CRC: crc32.Checksum(data, castagnoli)}
	if _, err := w.f.WriteAt(data, w.at); err != nil {
		return s, err
	}
	w.at += s.Length
	return s, nil
}

func (w *templateWriter) header(ix section) error {
	h := make([]byte, 0, headerSize)
	h = append(h, templateMagic...)
	h = binary.LittleEndian.AppendUint32(h, templateFormat)
	h = binary.LittleEndian.AppendUint32(h, ix.CRC)
	h = binary.LittleEndian.AppendUint64(h, uint64(ix.Offset))
	h = binary.LittleEndian.AppendUint64(h, uint64(ix.Length))
	_, err := w.f.WriteAt(h, 0)
	return err
}

// ram appends what is not zero of the RAM.
func (w *templateWriter) ram(ctx context.Context, ram *RAM) ([]extent, error) {
	var extents []extent
	for from := int64(0); ; {
		start, end, err := ram.nextData(from)
		if err != nil || start == end {
			return extents, err
		}
		for _, run := range nonZero(ram.mem, start, end) {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			s, err := w.section(ram.mem[run[0]:run[1]])
			if err != nil {
				return nil, err
			}
			extents = append(extents, extent{RAM: run[0], section: s})
		}
		from = end
	}
}

// nextData returns the first run of data of a sparse file that ends after
// from, or an empty run if there is none.
func nextData(f *os.File, from int64) (start, end int64, err error) {
	start, err = f.Seek(from, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = f.Seek(start, unix.SEEK_HOLE)
	return start, end, err
}

// nonZero returns the runs of chunks between start and end that have a byte
// other than zero, none longer than maxExtent.
func nonZero(mem []byte, start, end int64) [][2]int64 {
	var runs [][2]int64
	for at := start; at < end; {
		next := min(at+ramChunk-at%ramChunk, end)
		if !allZero(mem[at:next]) {
			last := len(runs) - 1
			if last >= 0 && runs[last][1] == at && next-runs[last][0] <= maxExtent {
				runs[last][1] = next
			} else {
				runs = append(runs, [2]int64{at, next})
			}
		}
		at = next
	}
	return runs
}

// allZero reports whether b has only zeros.
func allZero(b []byte) bool {
	for len(b) >= 8 {
		if binary.NativeEndian.Uint64(b) != 0 {
			return false
		}
		b = b[8:]
	}
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// template is an open template file.
type template struct {
	f     *os.File
	index index
}

// openTemplate opens a template and reads its index. The error is fs.ErrNotExist
// if there is no such file.
func openTemplate(path string, ramSize Size) (*template, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	t := &template{f: f}
	if err := t.readIndex(int64(ramSize)); err != nil {
		f.Close()
		return nil, err
	}
	return t, nil
}

func (t *template) close() { t.f.Close() }

// readIndex reads the index and checks that everything it refers to is within
// the file and the RAM.
func (t *template) readIndex(ramSize int64) error {
	info, err := t.f.Stat()
	if err != nil {
		return err
	}
	var h [headerSize]byte
	if _, err := t.f.ReadAt(h[:], 0); err != nil {
		return fmt.Errorf("reading its header: %w", err)
	}
	if string(h[:8]) != templateMagic || binary.LittleEndian.Uint32(h[8:]) != templateFormat {
		return errors.New("it is not a template of this format, or was not completely written")
	}
	place := section{
		CRC:    binary.LittleEndian.Uint32(h[12:]),
		Offset: int64(binary.LittleEndian.Uint64(h[16:])),
		Length: int64(binary.LittleEndian.Uint64(h[24:])),
	}
	if err := place.check(info.Size(), maxIndex); err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	text, err := t.read(place)
	if err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	if err := json.Unmarshal(text, &t.index); err != nil {
		return fmt.Errorf("its index: %w", err)
	}
	return t.index.check(info.Size(), ramSize)
}

// check returns an error unless the section lies within a file and is at most
// limit bytes long.
func (s section) check(fileSize, limit int64) error {
	if s.Offset < 0 || s.Length < 0 || s.Length > limit || s.Offset > fileSize-s.Length {
		return fmt.Errorf("%d bytes at %d do not fit into the file's %d", s.Length, s.Offset, fileSize)
	}
	return nil
}

func (ix *index) check(fileSize, ramSize int64) error {
	if ix.RAMSize != ramSize {
		return fmt.Errorf("it has %v of RAM, not %v", Size(ix.RAMSize), Size(ramSize))
	}
	if err := ix.State.check(fileSize, maxState); err != nil {
		return fmt.Errorf("its state: %w", err)
	}
	if err := ix.Console.check(fileSize, 2*consoleLimit); err != nil {
		return fmt.Errorf("its console: %w", err)
	}
	if err := ix.Devices.check(fileSize, maxDevices); err != nil {
		return fmt.Errorf("its devices: %w", err)
	}
	for _, e := range ix.Extents {
		if err := e.check(fileSize, maxExtent); err != nil {
			return fmt.Errorf("its RAM: %w", err)
		}
		if e.RAM < 0 || e.RAM > ramSize-e.Length {
			return fmt.Errorf("its RAM: %d bytes at %d do not fit into %v", e.Length, e.RAM, Size(ramSize))
		}
	}
	return nil
}

// still reads what the template holds beside the RAM.
func (t *template) still() (s still, err error) {
	if s.state, err = t.read(t.index.State); err != nil {
		return s, fmt.Errorf("its state: %w", err)
	}
	if s.console, err = t.read(t.index.Console); err != nil {
		return s, fmt.Errorf("its console: %w", err)
	}
	if s.devices, err = t.read(t.index.Devices); err != nil {
		return s, fmt.Errorf("its devices: %w", err)
	}
	s.mailbox = t.index.Mailbox
	return s, nil
}

// read returns a section that has been checked to lie within the file.
func (t *template) read(s section) ([]byte, error) {
	data := make([]byte, s.Length)
	return data, t.readInto(data, s)
}

func (t *template) readInto(data []byte, s section) error {
	if _, err := t.f.ReadAt(data, s.Offset); err != nil && !(errors.Is(err, io.EOF) && len(data) == 0) {
		return err
	}
	if crc32.Checksum(data, castagnoli) != s.CRC {
		return fmt.Errorf("the checksum of %d bytes at %d is wrong", s.Length, s.Offset)
	}
	return nil
}

// copyRAM fills the memory of a new guest, whose holes are zero.
func (t *template) copyRAM(ram *RAM) error {
	if !ram.acquire() {
		return ErrClosed
	}
	defer ram.release()
	var g errgroup.Group
	g.SetLimit(copiers)
	for _, e := range t.index.Extents {
		g.Go(func() error { return t.readInto(ram.mem[e.RAM:e.RAM+e.Length], e.section) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("its RAM: %w", err)
	}
	return nil
}

// copiers is how many goroutines copy RAM.
const copiers = 4
