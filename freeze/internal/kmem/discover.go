package kmem

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Symbols are the kernel symbols that Discover needs, as /proc/kallsyms of the
// guest reports them: slid by KASLR.
type Symbols interface {
	Lookup(name string) (addr uint64, ok bool)
}

// MissingSymbolsError names kernel symbols that a guest does not have.
type MissingSymbolsError struct{ Names []string }

func (e *MissingSymbolsError) Error() string {
	return "the guest's kernel has no symbols " + strings.Join(e.Names, ", ") +
		": it needs CONFIG_KALLSYMS_ALL=y, and /proc/kallsyms must be read as root"
}

// ErrWrongBase says that the physical address of the kernel image is not where
// the guest's kernel is.
var ErrWrongBase = errors.New("the kernel image is not at the given physical address")

// Discover finds the layout of the kernel whose _text was loaded at textPhys,
// the start of "Kernel code" in the guest's /proc/iomem. Errors are
// [MissingSymbolsError], [ErrWrongBase] and those of reading.
func Discover(ram io.ReaderAt, symbols Symbols, textPhys Phys) (Layout, error) {
	d := discovery{symbols: symbols}
	text := Range{Start: d.need("_text"), End: d.need("_end")}
	table := d.need("init_top_pgt")
	pageOffset, vmalloc, vmemmap := d.need("page_offset_base"), d.need("vmalloc_base"), d.need("vmemmap_base")
	banner := d.need("linux_banner")
	if len(d.missing) > 0 {
		return Layout{}, &MissingSymbolsError{Names: d.missing}
	}
	if text.End <= text.Start {
		return Layout{}, fmt.Errorf("the kernel image ends at %v, before its start at %v", text.End, text.Start)
	}

	d.space = NewSpace(ram, Layout{Text: text, TextPhys: textPhys})
	d.checkBanner(banner)
	l := Layout{Text: text, TextPhys: textPhys, Levels: 4}
	// pgdir_shift (arch/x86/kernel/head64.c) is 39 or 48 by the number of levels;
	// a kernel without it has 4.
	if a, ok := symbols.Lookup("pgdir_shift"); ok && d.word(Addr(a), 4) == uint64(PGD.shift()) {
		l.Levels = 5
	}
	l.Direct = Range{Start: Addr(d.word(pageOffset, 8)), End: Addr(d.word(vmalloc, 8))}
	l.VMemMap = Addr(d.word(vmemmap, 8))
	if d.err != nil {
		return Layout{}, d.err
	}
	if l.Direct.End <= l.Direct.Start || l.Direct.Start>>63 == 0 {
		return Layout{}, fmt.Errorf("page_offset_base %v and vmalloc_base %v do not enclose a direct map: %w",
			l.Direct.Start, l.Direct.End, ErrWrongBase)
	}
	var err error
	l.PageTable, _, err = d.space.Translate(table)
	return l, err
}

// discovery reads the kernel image, and remembers what failed first.
type discovery struct {
	symbols Symbols
	space   *Space
	missing []string
	err     error
}

func (d *discovery) need(name string) Addr {
	a, ok := d.symbols.Lookup(name)
	if !ok {
		d.missing = append(d.missing, name)
	}
	return Addr(a)
}

// word reads an unsigned integer of size bytes, at most 8.
func (d *discovery) word(a Addr, size int) uint64 {
	var word [8]byte
	if d.err == nil {
		d.err = d.space.Read(a, word[:size])
	}
	return binary.LittleEndian.Uint64(word[:])
}

// checkBanner verifies that linux_banner begins as every kernel's does.
func (d *discovery) checkBanner(a Addr) {
	const want = "Linux version "
	got := make([]byte, len(want))
	if d.err = d.space.Read(a, got); d.err != nil {
		d.err = fmt.Errorf("read linux_banner at %v: %w", a, d.err)
		return
	}
	if string(got) != want {
		d.err = fmt.Errorf("read linux_banner at %v: %q: %w", a, got, ErrWrongBase)
	}
}
