package kmem_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/memimage"
)

const ramSize = 24 << 20

// discover returns an image and the address space found in it.
func discover(t testing.TB, levels int) (*memimage.Image, *kmem.Space) {
	t.Helper()
	m := memimage.New(levels, ramSize)
	l, err := kmem.Discover(m, m.Symbols, kmem.Phys(m.PhysText()))
	require.NoError(t, err)
	require.Equal(t, levels, l.Levels)
	return m, kmem.NewSpace(m, l)
}

// everyWay runs f with 4 and 5 levels of page tables, in place and with copies.
func everyWay(t *testing.T, f func(t *testing.T, m *memimage.Image, s *kmem.Space)) {
	for name, levels := range map[string]int{"4 levels": 4, "5 levels": 5} {
		t.Run(name, func(t *testing.T) {
			m, s := discover(t, levels)
			f(t, m, s)
		})
		t.Run(name+", copying", func(t *testing.T) {
			m, s := discover(t, levels)
			f(t, m, kmem.NewSpace(struct{ io.ReaderAt }{m}, s.Layout))
		})
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func TestReadsFromAllPartsOfTheAddressSpace(t *testing.T) {
	everyWay(t, func(t *testing.T, m *memimage.Image, s *kmem.Space) {
		want := random(3*memimage.PageSize + 100)
		direct, paged := m.Alloc(len(want)), m.Vmalloc(len(want)+50)+50
		m.Write(direct, want)
		m.Write(paged, want)
		for name, a := range map[string]uint64{"direct map": direct, "vmalloc": paged} {
			got := make([]byte, len(want))
			require.NoError(t, s.Read(kmem.Addr(a), got), name)
			require.True(t, bytes.Equal(want, got), name)

			var buf []byte
			got, err := s.Peek(kmem.Addr(a), len(want), &buf)
			require.NoError(t, err, name)
			require.True(t, bytes.Equal(want, got), name)
		}
		banner := make([]byte, 5)
		require.NoError(t, s.Read(kmem.Addr(m.Symbols["linux_banner"]), banner))
		require.Equal(t, "Linux", string(banner))
	})
}

func TestReadsHugePages(t *testing.T) {
	everyWay(t, func(t *testing.T, m *memimage.Image, s *kmem.Space) {
		const size2M, size1G = 2 << 20, 1 << 30
		a := (m.Reserve(4*size1G) + size1G - 1) &^ (size1G - 1)
		m.MapHuge(a, size2M*5|1<<12, 1) // bit 12 is PAT, not address
		m.MapHuge(a+size1G, 0, 2)
		copy(m.RAM[size2M*5+12345:], "in 2M")
		copy(m.RAM[memimage.PageSize*700+3:], "in 1G")
		got := make([]byte, 5)
		require.NoError(t, s.Read(kmem.Addr(a+12345), got))
		require.Equal(t, "in 2M", string(got))
		require.NoError(t, s.Read(kmem.Addr(a+size1G+memimage.PageSize*700+3), got))
		require.Equal(t, "in 1G", string(got))
	})
}

func TestFaultsAreErrorsThatSayWhere(t *testing.T) {
	everyWay(t, func(t *testing.T, m *memimage.Image, s *kmem.Space) {
		a := m.Vmalloc(3 * memimage.PageSize)
		m.Unmap(a + memimage.PageSize)
		outside := m.Vmalloc(memimage.PageSize)
		m.Map(outside, 1<<40)
		far := m.Reserve(1<<31) + 1<<30 // no PTE table there

		for name, c := range map[string]struct {
			addr uint64
			n    int
			want any
		}{
			"absent page":                {a + memimage.PageSize, 1, &kmem.NotMappedError{}},
			"run into an absent page":    {a + memimage.PageSize - 1, 2, &kmem.NotMappedError{}},
			"absent table":               {far, 1, &kmem.NotMappedError{}},
			"page outside RAM":           {outside, 1, &kmem.OutsideRAMError{}},
			"direct map beyond RAM":      {m.Alloc(1)&^(ramSize-1) + 4*ramSize, 1, &kmem.OutsideRAMError{}},
			"user address":               {0x7f0000001000, 1, &kmem.NotCanonicalError{}},
			"null":                       {0, 8, &kmem.NotCanonicalError{}},
			"end of the address space":   {^uint64(0) - 3, 8, &kmem.WrapError{}},
			"address that is not mapped": {^uint64(0) &^ 0xffff, 8, &kmem.NotMappedError{}},
		} {
			err := s.Read(kmem.Addr(c.addr), make([]byte, c.n))
			require.Error(t, err, name)
			require.IsType(t, c.want, cause(err), name)
			require.NotContains(t, err.Error(), "%!", name)
		}
	})
}

// cause unwraps an error down to the last one of this package.
func cause(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil || errors.Is(next, io.EOF) {
			return err
		}
		err = next
	}
}

func TestFlushForgetsTranslations(t *testing.T) {
	everyWay(t, func(t *testing.T, m *memimage.Image, s *kmem.Space) {
		a := m.Vmalloc(memimage.PageSize)
		m.Write(a, []byte("old"))
		got := make([]byte, 3)
		require.NoError(t, s.Read(kmem.Addr(a), got))
		page := m.Page()
		m.Map(a, page)
		m.Write(a, []byte("new"))
		s.Flush()
		require.NoError(t, s.Read(kmem.Addr(a), got))
		require.Equal(t, "new", string(got))
	})
}

func TestRecordsStraddlePages(t *testing.T) {
	everyWay(t, func(t *testing.T, m *memimage.Image, s *kmem.Space) {
		for _, size := range []int{1, 8, 24, 100, 4096, 5000} {
			want := random(size * 300)
			a := m.Vmalloc(len(want)+7) + 7
			m.Write(a, want)
			s.Flush()
			var got []byte
			err := s.Records(kmem.Addr(a), 300, size, func(record []byte) error {
				require.Len(t, record, size)
				got = append(got, record...)
				return nil
			})
			require.NoError(t, err)
			require.True(t, bytes.Equal(want, got), "records of %d bytes", size)
		}
	})
}

func TestRecordsStopAtTheFirstError(t *testing.T) {
	m, s := discover(t, 4)
	a := m.Vmalloc(100)
	seen := 0
	err := s.Records(kmem.Addr(a), 10, 8, func([]byte) error {
		if seen++; seen == 3 {
			return io.ErrNoProgress
		}
		return nil
	})
	require.ErrorIs(t, err, io.ErrNoProgress)
	require.Equal(t, 3, seen)

	err = s.Records(kmem.Addr(a), 1<<60, 1<<10, func([]byte) error { return nil })
	require.IsType(t, &kmem.WrapError{}, err)
}

func TestMappedPagesFindsAllAndSkipsAbsentTables(t *testing.T) {
	everyWay(t, func(t *testing.T, m *memimage.Image, s *kmem.Space) {
		const span = 1 << 32
		a := m.Reserve(span)
		var want, got []uint64
		for _, n := range []uint64{0, 1, 511, 512, 700, 100_000, 1<<20 - 1} {
			m.Map(a+n*memimage.PageSize, m.Page())
			want = append(want, n)
		}
		tables := 0
		check := func() error { tables++; return nil }
		err := s.MappedPages(kmem.Range{Start: kmem.Addr(a), End: kmem.Addr(a + span)}, check, func(p kmem.Page) bool {
			require.Equal(t, m.Phys(uint64(p.Addr)), uint64(p.Phys))
			got = append(got, (uint64(p.Addr)-a)/memimage.PageSize)
			return true
		})
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Less(t, tables, 2100)

		got = nil
		part := kmem.Range{Start: kmem.Addr(a + memimage.PageSize), End: kmem.Addr(a + 512*memimage.PageSize)}
		require.NoError(t, s.MappedPages(part, check, func(p kmem.Page) bool {
			got = append(got, (uint64(p.Addr)-a)/memimage.PageSize)
			return len(got) < 2
		}))
		require.Equal(t, []uint64{1, 511}, got)

		err = s.MappedPages(part, func() error { return io.ErrNoProgress }, func(kmem.Page) bool { return true })
		require.ErrorIs(t, err, io.ErrNoProgress)
	})
}

func TestCPUs(t *testing.T) {
	m, s := discover(t, 4)
	cpus, err := kmem.DiscoverCPUs(s, m.Symbols)
	require.NoError(t, err)
	require.Equal(t, memimage.CPUs, cpus.Len())
	online, err := cpus.Online(s)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, online)

	pointer := m.PerCPU(8)
	m.Put(m.OnCPU(pointer, 2), 42, 8)
	a, ok := cpus.PerCPU(kmem.Addr(pointer), 2)
	require.True(t, ok)
	v, err := s.Uint64(a)
	require.NoError(t, err)
	require.EqualValues(t, 42, v)

	m.Put(m.Symbols["__cpu_possible_mask"], 0b011, 8)
	cpus, err = kmem.DiscoverCPUs(s, m.Symbols)
	require.NoError(t, err)
	_, ok = cpus.PerCPU(kmem.Addr(pointer), 2)
	require.False(t, ok, "CPU 2 is not possible")
}

func TestDiscoverSaysWhatIsWrong(t *testing.T) {
	t.Run("symbols are missing", func(t *testing.T) {
		m := memimage.New(4, ramSize)
		delete(m.Symbols, "page_offset_base")
		delete(m.Symbols, "init_top_pgt")
		_, err := kmem.Discover(m, m.Symbols, kmem.Phys(m.PhysText()))
		var missing *kmem.MissingSymbolsError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, []string{"init_top_pgt", "page_offset_base"}, missing.Names)
	})
	t.Run("the kernel ends before its start", func(t *testing.T) {
		m := memimage.New(4, ramSize)
		m.Symbols["_end"] = m.Symbols["_text"]
		_, err := kmem.Discover(m, m.Symbols, kmem.Phys(m.PhysText()))
		require.ErrorContains(t, err, "the kernel image ends at")
	})
	t.Run("the kernel is elsewhere", func(t *testing.T) {
		m := memimage.New(4, ramSize)
		_, err := kmem.Discover(m, m.Symbols, kmem.Phys(m.PhysText()+1<<20))
		require.ErrorIs(t, err, kmem.ErrWrongBase)
	})
	t.Run("the kernel is outside RAM", func(t *testing.T) {
		m := memimage.New(4, ramSize)
		_, err := kmem.Discover(m, m.Symbols, 1<<40)
		var outside *kmem.OutsideRAMError
		require.ErrorAs(t, err, &outside)
	})
	t.Run("the direct map has no size", func(t *testing.T) {
		m := memimage.New(4, ramSize)
		m.Put(m.Symbols["vmalloc_base"], 5, 8)
		_, err := kmem.Discover(m, m.Symbols, kmem.Phys(m.PhysText()))
		require.ErrorIs(t, err, kmem.ErrWrongBase)
	})
	t.Run("there are too many CPUs", func(t *testing.T) {
		m, s := discover(t, 4)
		m.Put(m.Symbols["nr_cpu_ids"], 1<<31, 4)
		_, err := kmem.DiscoverCPUs(s, m.Symbols)
		require.ErrorIs(t, err, kmem.ErrWrongBase)
	})
}

func TestPageOf(t *testing.T) {
	m, s := discover(t, 4)
	pa, ok := s.PageOf(kmem.Addr(m.StructPage(0x1234000)), memimage.PageStructSize)
	require.True(t, ok)
	require.Equal(t, kmem.Phys(0x1234000), pa)
	_, ok = s.PageOf(0x1000, memimage.PageStructSize)
	require.False(t, ok)
}

// FuzzWalk damages page tables and reads through them.
func FuzzWalk(f *testing.F) {
	f.Add(uint16(0), uint64(1), uint64(0x1000), uint16(8))
	f.Add(uint16(511), ^uint64(0), ^uint64(0)-4096, uint16(5000))
	f.Add(uint16(300), uint64(0x87), uint64(0xffffffff9ac00000), uint16(64))
	m, s := discover(f, 5)
	root := uint64(s.PageTable)
	self := root | 0x7 // a table that is its own child
	f.Add(uint16(256), self, uint64(0xffff<<48), uint16(4096))
	f.Fuzz(func(t *testing.T, slot uint16, entry, a uint64, n uint16) {
		clean := make([]byte, memimage.PageSize)
		copy(clean, m.RAM[root:])
		defer copy(m.RAM[root:], clean)
		at := root + uint64(slot%512)*8
		for i := range 8 {
			m.RAM[at+uint64(i)] = byte(entry >> (8 * i))
		}
		s.Flush()
		_ = s.Read(kmem.Addr(a), make([]byte, n))
		_ = s.Records(kmem.Addr(a), uint64(n), int(slot)+1, func([]byte) error { return nil })
		steps := 0
		_ = s.MappedPages(kmem.Range{Start: kmem.Addr(a) &^ 4095, End: kmem.Addr(a+1<<32) &^ 4095}, func() error {
			if steps++; steps > 4096 {
				t.Fatalf("looked at %d tables for 4 GiB", steps)
			}
			return nil
		}, func(kmem.Page) bool { return true })
	})
}
