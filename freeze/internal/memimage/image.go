package memimage

import (
	"encoding/binary"
	"fmt"
	"io"
)

// PageSize is the size of a page, in bytes.
const PageSize = 4096

// Where things are. Real kernels move all of it by KASLR; these are as odd.
const (
	textBase = 0xffffffff9ac00000
	textPhys = 3 << 20
	textSize = 1 << 20
	heapPhys = textPhys + textSize

	vmallocOffset = 1 << 40 // from the direct map to vmalloc space
	vmemmapOffset = 1 << 42
	perCPUBase    = 0x7000 // lowest per-CPU pointer
	perCPUSize    = 1 << 20
)

// PageStructSize is the size of struct page, in bytes.
const PageStructSize = 64

// CPUs is the number of possible CPUs. The last one is not online.
const CPUs = 3

// Image is the memory of one guest.
type Image struct {
	RAM     []byte
	Symbols Symbols

	levels  int
	next    uint64 // physical address of the next free byte
	vmalloc uint64 // next free address there
	text    uint64 // next free byte of the kernel image
	root    uint64 // physical address of the top-level page table
	percpu  uint64 // next free per-CPU pointer
	skip    bool   // leaves a hole before every other page
	offsets [CPUs]uint64
}

// Symbols are a guest's kernel symbols.
type Symbols map[string]uint64

// Lookup returns the address of a symbol.
func (s Symbols) Lookup(name string) (addr uint64, ok bool) {
	addr, ok = s[name]
	return addr, ok
}

// New returns a guest with size bytes of RAM and page tables of 4 or 5 levels.
func New(levels, size int) *Image {
	m := &Image{
		RAM: make([]byte, size), Symbols: Symbols{}, levels: levels,
		next: heapPhys, text: textBase, percpu: perCPUBase,
	}
	m.vmalloc = m.pageOffset() + vmallocOffset
	m.symbol("_text", nil)
	m.Symbols["_end"] = textBase + textSize
	m.symbol("linux_banner", []byte("Linux version 7.3.0-memimage (somebody@somewhere)\n"))
	m.symbol("page_offset_base", words(m.pageOffset()))
	m.symbol("vmalloc_base", words(m.vmalloc))
	m.symbol("vmemmap_base", words(m.pageOffset()+vmemmapOffset))
	m.symbol("pgdir_shift", words(uint64(39+9*(levels-4))))
	m.symbol("nr_cpu_ids", words(CPUs))
	m.symbol("__cpu_possible_mask", words(1<<CPUs-1))
	m.symbol("__cpu_online_mask", words(1<<(CPUs-1)-1))
	m.text = (m.text + PageSize - 1) &^ (PageSize - 1)
	m.root = textPhys + m.text - textBase
	m.symbol("init_top_pgt", make([]byte, PageSize))
	for cpu := range m.offsets {
		m.offsets[cpu] = m.Vmalloc(perCPUSize) - perCPUBase
	}
	m.symbol("__per_cpu_offset", words(m.offsets[:]...))
	m.symbol("map_idr", make([]byte, 64))
	m.symbol("prog_idr", make([]byte, 64))
	m.slabs()
	return m
}

// PhysText is the physical address of the kernel image.
func (m *Image) PhysText() uint64 { return textPhys }

func (m *Image) pageOffset() uint64 {
	if m.levels == 5 {
		return 0xff2d_1234_4000_0000
	}
	return 0xffff_9e80_4000_0000
}

func words(values ...uint64) []byte {
	var b []byte
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// symbol puts data into the kernel image.
func (m *Image) symbol(name string, data []byte) {
	m.Symbols[name] = m.text
	copy(m.RAM[textPhys+m.text-textBase:], data)
	m.text += uint64(len(data)+63) &^ 63
}

// Alloc returns n bytes of the direct map, zeroed and 64-byte aligned.
func (m *Image) Alloc(n int) uint64 {
	return m.pageOffset() + m.allocPhys(uint64(n), 64)
}

func (m *Image) allocPhys(n, align uint64) uint64 {
	pa := (m.next + align - 1) &^ (align - 1)
	m.next = pa + n
	if m.next > uint64(len(m.RAM)) {
		panic(fmt.Sprintf("memimage: %d bytes of RAM are not enough", len(m.RAM)))
	}
	return pa
}

// Vmalloc returns n bytes of vmalloc space, on pages that are not contiguous.
func (m *Image) Vmalloc(n int) uint64 {
	a := m.Reserve(n)
	for off := uint64(0); off < uint64(n); off += PageSize {
		m.Map(a+off, m.Page())
	}
	return a
}

// Reserve returns n bytes of vmalloc space that nothing is mapped to.
func (m *Image) Reserve(n int) uint64 {
	a := m.vmalloc
	m.vmalloc += uint64(n+PageSize-1)&^(PageSize-1) + PageSize // a guard page
	return a
}

// Page returns the physical address of a zeroed page. Pages do not follow one
// another.
func (m *Image) Page() uint64 {
	if m.skip = !m.skip; m.skip {
		m.allocPhys(PageSize, PageSize)
	}
	return m.allocPhys(PageSize, PageSize)
}

// Map maps the page at the virtual address a to the physical page pa.
func (m *Image) Map(a, pa uint64) { m.entry(a, 0, pa|present) }

// MapHuge maps 2 MiB (level 1) or 1 GiB (level 2) at a to pa.
func (m *Image) MapHuge(a, pa uint64, level int) { m.entry(a, level, pa|present|huge) }

// Unmap makes the page at a absent.
func (m *Image) Unmap(a uint64) { m.entry(a, 0, 0) }

const (
	present = 1
	huge    = 1 << 7
	entry   = (1<<52 - 1) &^ (PageSize - 1)
)

// entry sets the page table entry for a at a level, making upper levels.
func (m *Image) entry(a uint64, level int, value uint64) {
	table := m.root
	for l := m.levels - 1; l > level; l-- {
		slot := table + a>>(12+9*l)&511*8
		if m.phys64(slot)&present == 0 {
			m.setPhys64(slot, m.allocPhys(PageSize, PageSize)|present)
		}
		table = m.phys64(slot) & entry
	}
	m.setPhys64(table+a>>(12+9*level)&511*8, value)
}

func (m *Image) phys64(pa uint64) uint64 { return binary.LittleEndian.Uint64(m.RAM[pa:]) }

func (m *Image) setPhys64(pa, v uint64) { binary.LittleEndian.PutUint64(m.RAM[pa:], v) }

// PerCPU returns a per-CPU pointer to n bytes of each CPU.
func (m *Image) PerCPU(n int) uint64 {
	p := m.percpu
	m.percpu += uint64(n+7) &^ 7
	if m.percpu > perCPUBase+perCPUSize {
		panic("memimage: the per-CPU area is not large enough")
	}
	return p
}

// OnCPU returns the address of a per-CPU pointer's target on a CPU.
func (m *Image) OnCPU(pointer uint64, cpu int) uint64 { return pointer + m.offsets[cpu] }

// Phys returns the physical address of the virtual address a, which is mapped.
func (m *Image) Phys(a uint64) uint64 {
	switch {
	case a >= textBase:
		return a - textBase + textPhys
	case a >= m.pageOffset() && a < m.pageOffset()+vmallocOffset:
		return a - m.pageOffset()
	}
	table := m.root
	for l := m.levels - 1; l > 0; l-- {
		table = m.phys64(table+a>>(12+9*l)&511*8) & entry
	}
	return m.phys64(table+a>>12&511*8)&entry + a%PageSize
}

// StructPage returns the address of the struct page of a physical page.
func (m *Image) StructPage(pa uint64) uint64 {
	return m.pageOffset() + vmemmapOffset + pa/PageSize*PageStructSize
}

// Write puts bytes at a virtual address.
func (m *Image) Write(a uint64, data []byte) {
	for len(data) > 0 {
		n := min(len(data), int(PageSize-a%PageSize))
		copy(m.RAM[m.Phys(a):], data[:n])
		a += uint64(n)
		data = data[n:]
	}
}

// Put writes v at a virtual address as an integer of size bytes.
func (m *Image) Put(a uint64, v uint64, size int) { m.Write(a, words(v)[:size]) }

// WriteAt writes physical memory.
func (m *Image) WriteAt(p []byte, pa int64) (int, error) {
	if pa < 0 || pa > int64(len(m.RAM)) {
		return 0, io.ErrShortWrite
	}
	n := copy(m.RAM[pa:], p)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// ReadAt reads physical memory.
func (m *Image) ReadAt(p []byte, pa int64) (int, error) {
	if pa < 0 || pa >= int64(len(m.RAM)) {
		return 0, io.EOF
	}
	n := copy(p, m.RAM[pa:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Slice returns physical memory in place.
func (m *Image) Slice(pa int64, n int) (view []byte, ok bool) {
	if pa < 0 || n < 0 || pa > int64(len(m.RAM))-int64(n) {
		return nil, false
	}
	return m.RAM[pa : pa+int64(n)], true
}

// Used is how many bytes of RAM, from 0 on, are in use.
func (m *Image) Used() int { return int(m.next) }
