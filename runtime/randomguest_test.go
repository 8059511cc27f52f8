package runtime_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file makes snapshots of guests that run random objects: random bytes,
// among them pointers that lead somewhere.

// randomArena is where the arena of a random guest begins.
const randomArena = 0x7f12_0000_0000

// randomSnapshot fills the maps of an object.
func randomSnapshot(t testing.TB, obj *object.Object, seed uint64) *ktsnap.Snapshot {
	t.Helper()
	g := &guest{
		t: t, obj: obj, shapes: btf.NewShapes(obj.Types), cpus: 3,
		random: rand.New(rand.NewPCG(seed, 7)), next: 0xffff_8880_0000_0000,
	}
	s := g.snapshot()
	p := &pointers{Rand: g.random, arena: make([]byte, 64), made: make(map[*ctype.Shape][]uint64)}
	for _, m := range s.Maps {
		giveKeys(m)
		if m.Type.IsPerCPU() {
			for i := 2; i < len(m.Addrs); i += 3 {
				m.Addrs[i] = 0 // CPU 2 was never brought up
			}
		}
		for i := range m.N * m.Slots {
			if m.Addrs == nil || m.Addrs[i] != 0 {
				addr := m.Base + uint64(i*m.Stride)
				if m.Addrs != nil {
					addr = m.Addrs[i]
				}
				p.made[m.Value] = append(p.made[m.Value], addr)
			}
		}
	}
	for _, m := range s.Maps {
		for i := range m.N * m.Slots {
			p.fill(m.Value, m.Values[i*m.Stride:][:m.ValueSize], 3)
		}
	}
	require.Less(t, len(p.arena), 1<<31)
	s.Maps = append(s.Maps, &ktsnap.Map{
		ID: 1000, Name: "arena", Type: ktsnap.MapTypeArena, Slots: 1, Base: 0xffff_c900_0000_0000,
		Extents: []ktsnap.Extent{{Addr: randomArena, Data: p.arena}},
	})
	return s
}

// giveKeys gives the entries of a hash map keys that differ.
func giveKeys(m *ktsnap.Map) {
	for i := range len(m.Keys) / max(m.KeySize, 1) {
		key := m.Keys[i*m.KeySize:][:m.KeySize]
		switch m.Key.Underlying().Kind {
		case ctype.KindArray:
			clear(key)
			copy(key, fmt.Sprintf("key \"%d\"", i))
		default:
			binary.LittleEndian.PutUint32(key, uint32(100+i))
		}
	}
}

// pointers puts addresses into values.
type pointers struct {
	*rand.Rand
	arena []byte
	made  map[*ctype.Shape][]uint64 // where values of a type are
}

// fill gives the pointers in a value something to lead to. Objects that it has
// to make for that have pointers up to depth.
func (p *pointers) fill(s *ctype.Shape, b []byte, depth int) {
	u := s.Underlying()
	switch u.Kind {
	case ctype.KindStruct, ctype.KindUnion, ctype.KindSection:
		for _, m := range u.Fields() {
			if m.Bits == 0 {
				p.fill(m.Type, b[m.Offset:][:m.Type.Size], depth)
			}
		}
	case ctype.KindArray:
		for i := range u.Len {
			p.fill(u.Elem, b[i*u.Elem.Size:][:u.Elem.Size], depth)
		}
	case ctype.KindPointer:
		binary.LittleEndian.PutUint64(b, p.address(u.Elem, depth))
	}
}

// address is NULL, leads nowhere, or to a value of the type.
func (p *pointers) address(s *ctype.Shape, depth int) uint64 {
	target := s.Underlying()
	switch n := p.IntN(8); {
	case n == 0:
		return 0
	case n == 1 || target.Size == 0:
		return 0xffff_9999_0000_0000 + uint64(p.IntN(1<<20))
	case n < 6 && len(p.made[target]) > 0 || depth == 0:
		return p.form(p.existing(target))
	}
	at := (len(p.arena) + 7) &^ 7
	p.arena = append(p.arena, make([]byte, at+target.Size-len(p.arena))...)
	addr := randomArena + uint64(at)
	p.made[target] = append(p.made[target], addr)
	b := make([]byte, target.Size)
	for i := range b {
		b[i] = byte(p.Uint32())
	}
	p.fill(target, b, depth-1)
	copy(p.arena[at:], b)
	return p.form(addr)
}

func (p *pointers) existing(s *ctype.Shape) uint64 {
	if n := len(p.made[s]); n > 0 {
		return p.made[s][p.IntN(n)]
	}
	return 0
}

// form is one of the forms in which programs store addresses of an arena.
func (p *pointers) form(addr uint64) uint64 {
	if addr >= randomArena && addr < randomArena+1<<32 && p.IntN(3) == 0 {
		return addr & (1<<32 - 1)
	}
	return addr
}
