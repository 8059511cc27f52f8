package ktest_test

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// TestRecoveredPointersLeadToLiveObjects reads every pointer that the analysis
// finds, also with the declared ones hidden from it, in a frozen guest: in the
// kernel's memory there is a live object of the type that it says, and in the
// arena an allocated page.
func TestRecoveredPointersLeadToLiveObjects(t *testing.T) {
	for name, s := range map[string]struct {
		path      string
		constants map[string]uint64
		kernel    bool // it has pointers to objects of the kernel, or in its memory
		arena     bool
	}{
		"example":    {path: "../example_sched/bpf/sched.bpf.o", kernel: true, arena: true},
		"scx_flatcg": {constants: map[string]uint64{"nr_cpus": 2, "cgrp_slice_ns": 20_000_000}, kernel: true},
		"scx_sdt":    {kernel: true, arena: true},
		"scx_qmap":   {constants: map[string]uint64{"slice_ns": 20_000_000, "max_tasks": 1 << 14}, arena: true},
	} {
		t.Run(name, func(t *testing.T) {
			if s.path == "" {
				s.path = public(t, name)
			}
			vm := ktest.Boot(t, ktest.Config{})
			ctx := bound(t, 3*time.Minute)
			require.NoError(t, vm.Attach(ctx, ktest.Object(configured(t, s.path, s.constants))))
			for _, work := range []ktest.Work{ktest.Spin, ktest.Yield, ktest.Sleep} {
				_, err := vm.Work(ctx, work, 2)
				require.NoError(t, err)
			}
			p := proof{t: t, snap: vm.Freeze("running"), claims: recovered(t, s.path), seen: make(map[at]bool), led: make(map[string]int)}
			p.maps()
			t.Logf("%d pointers to objects in the kernel's memory, %d into the arena, %d to other values of its own: %v", p.kernel, p.arena, p.own, p.led)
			require.Equal(t, s.kernel, p.kernel > 0)
			require.Equal(t, s.arena, p.arena > 0)
			for place := range p.claims {
				require.NotZero(t, p.led[place], "no pointer in %s was there to be read", place)
			}
		})
	}
}

// TestObjectsOfAPublicAllocatorAreListed holds the objects of scx_sdt's allocator
// against its own count of them, and the tasks' pointers to them against their
// headers.
func TestObjectsOfAPublicAllocatorAreListed(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, 3*time.Minute)
	require.NoError(t, vm.Attach(ctx, ktest.Object(configured(t, public(t, "scx_sdt"), nil))))
	_, err := vm.Work(ctx, ktest.Spin, 3)
	require.NoError(t, err)
	snap := vm.Freeze("running")

	found := snap.Allocators()
	require.Len(t, found, 1)
	require.NoError(t, found[0].Err)
	active, err := snap.Map("scx_sdt.bss").At(0).Get("alloc_stats.active_allocs").Uint64()
	require.NoError(t, err)
	require.Len(t, found[0].Objects, int(active))
	tasks := snap.Map("scx_task_map")
	n, err := tasks.Len()
	require.NoError(t, err)
	require.Positive(t, n)
	for i := range n {
		data := tasks.At(i).Get("data")
		require.Equal(t, "sdt_alloc", data.Annotation())
		for _, half := range []string{"idx", "genn"} {
			want, err := tasks.At(i).Get("tid." + half).Int64()
			require.NoError(t, err)
			got, err := data.Get("tid." + half).Int64()
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
	t.Logf("%d objects of %d bytes, %d tasks that point to one", active, found[0].Size, n)
}

// recovered returns what the places of an object that are found to hold
// pointers lead to, as C spells it, by the place.
func recovered(t *testing.T, path string) map[string]string {
	claims := make(map[string]string)
	obj, err := object.Open(path)
	require.NoError(t, err)
	for _, c := range cast.Analyze(obj).Casts() {
		claims[strings.TrimSuffix(c.In+"."+c.Path, ".")] = c.To
	}
	ruling := cast.Rule(obj, cast.Options{})
	require.Empty(t, ruling.Wrong)
	for _, e := range append(ruling.Recovered, ruling.Spurious...) {
		claims[e.Container+"."+e.Path] = e.Found
	}
	return claims
}

// proof walks a snapshot and holds the pointers of claims against what is at
// their targets.
type proof struct {
	t      *testing.T
	snap   *ktsnap.Snapshot
	claims map[string]string

	seen               map[at]bool
	kernel, arena, own int
	led                map[string]int // pointers that are not NULL, by place
}

// at is an object that has been walked.
type at struct {
	addr  uint64
	shape *ctype.Shape
}

func (p *proof) maps() {
	for _, m := range p.snap.Maps {
		if m.Value == nil {
			continue
		}
		for i := range m.N * m.Slots {
			p.value(m.Values[i*m.Stride:][:m.ValueSize], m.Value, "map "+m.Name, "")
		}
	}
	for _, program := range p.snap.Programs {
		for _, s := range program.Shapes {
			if s.Kind == ctype.KindSection && strings.HasPrefix(s.Name, ".addr_space") {
				p.section(s)
			}
		}
	}
}

// section walks the variables of an arena, which are in its last pages.
func (p *proof) section(s *ctype.Shape) {
	for _, m := range p.snap.Maps {
		if m.Type != ktsnap.MapTypeArena || len(m.Extents) == 0 {
			continue
		}
		last := m.Extents[len(m.Extents)-1]
		pages := (s.Size + 4095) &^ 4095
		require.GreaterOrEqual(p.t, len(last.Data), pages)
		p.value(last.Data[len(last.Data)-pages:], s, "", "")
	}
}

// value walks a value of a shape at path of what is called in.
func (p *proof) value(data []byte, s *ctype.Shape, in, path string) {
	u := s.Underlying()
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		if u.Name != "" {
			in, path = ctype.Spell(u), ""
		}
		if u.Kind == ctype.KindSection {
			in = "section " + u.Name
		}
		for _, m := range u.Members {
			if m.Bits == 0 && m.Offset+m.Type.Size <= len(data) {
				p.value(data[m.Offset:], m.Type, in, strings.TrimPrefix(path+"."+m.Name, "."))
			}
		}
	case ctype.KindArray:
		for i := range u.Len {
			p.value(data[i*u.Elem.Size:], u.Elem, in, path+"[]")
		}
	case ctype.KindPointer:
		p.pointer(binary.LittleEndian.Uint64(data), u, strings.TrimSuffix(in+"."+path, "."))
	}
}

// pointer checks a pointer in a place, and walks on.
func (p *proof) pointer(addr uint64, pointer *ctype.Shape, place string) {
	target := pointer.Elem.Underlying()
	claim, isClaimed := p.claims[place]
	if addr == 0 || !isClaimed {
		return
	}
	require.Equal(p.t, ctype.Spell(target), claim, place)
	p.led[place]++
	if data, ok := p.inArena(addr, target.Size); ok {
		p.arena++
		p.walk(addr, data, target)
		return
	}
	for i := range p.snap.Kernel {
		o := &p.snap.Kernel[i]
		if o.Addr == addr && o.Name == target.Name {
			require.Equal(p.t, ktsnap.FaultNone, o.Fault, "%s: %#x: %s", place, addr, o.Reason)
			p.kernel++
			return
		}
	}
	p.own++
	_, ok := p.snap.Locate(addr)
	require.True(p.t, ok, "%s: %#x leads to nothing that was captured", place, addr)
}

func (p *proof) walk(addr uint64, data []byte, s *ctype.Shape) {
	if object := (at{addr, s}); !p.seen[object] {
		p.seen[object] = true
		p.value(data, s, "", "")
	}
}

// inArena returns the bytes at an address of an arena, all in allocated pages.
func (p *proof) inArena(addr uint64, size int) ([]byte, bool) {
	const window = 1 << 32
	for _, m := range p.snap.Maps {
		for _, e := range m.Extents {
			high := e.Addr &^ (window - 1)
			if at := high | addr&(window-1); m.Type == ktsnap.MapTypeArena && (addr&^(window-1) == high || addr-m.Base < window || addr < window) &&
				at >= e.Addr && at+uint64(size) <= e.Addr+uint64(len(e.Data)) {
				return e.Data[at-e.Addr:], true
			}
		}
	}
	return nil, false
}
