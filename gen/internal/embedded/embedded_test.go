package embedded_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen/internal/embedded"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

type (
	snap   = embedded.Snap
	fifo   = embedded.Fifo
	head   = embedded.Head
	node   = embedded.Node
	queues = embedded.Queues
)

// itemAddr is where the item is that the program has allocated.
const itemAddr = 0xffff_8881_2340_0000

func numbered(n uint64) (q queues) {
	q.Number = n
	for i := range q.Fifos {
		q.Fifos[i].Id = n + uint64(i)
	}
	q.Low, q.High, q.Name = 5, uint32(n), fmt.Sprint(n)
	return q
}

// guest returns a state in which no pointer leads anywhere but to the node.
func guest(t testing.TB) *ktsnap.Snapshot {
	hashed := numbered(300)
	s := embedded.Fixture{
		CPUs:    2,
		Bss:     embedded.Bss{Mine: numbered(100), Nodes: &node{Fifo: fifo{Id: 900}, Queues: numbered(1000)}},
		DataRow: embedded.DataRow{Row: []queues{numbered(500), numbered(510), numbered(520), numbered(530)}},
		Arrays:  []queues{numbered(200), numbered(210)},
		Hashes:  map[uint32]*queues{3: &hashed},
		Percpu:  [][]queues{{numbered(400), numbered(410)}, {numbered(420), numbered(430)}},
		Heads:   map[uint32]*head{7: {}},
		Others:  make([]head, 2),
	}.Snapshot(t)
	shapes := s.Programs[0].Shapes
	i := slices.IndexFunc(shapes, func(s *ctype.Shape) bool { return s.Name == "item" })
	data := make([]byte, shapes[i].Size)
	binary.LittleEndian.PutUint64(data[64:], 777)
	s.Kernel = append(s.Kernel, ktsnap.KernelObject{Addr: itemAddr, Name: "item", Allocated: true, Type: shapes[i], Data: data})
	snap := embedded.Bind(t, s)
	poke(t, s, ktrt.Addr(snap, &snap.Bss().Items), itemAddr)
	return s
}

// poke writes a word to the captured memory.
func poke(t testing.TB, s *ktsnap.Snapshot, addr, word uint64) {
	t.Helper()
	put := func(start uint64, data []byte) bool {
		at := addr - start
		if start == 0 || at >= uint64(len(data)) {
			return false
		}
		binary.LittleEndian.PutUint64(data[at:], word)
		return true
	}
	for _, m := range s.Maps {
		for i, start := range m.Addrs {
			if put(start, m.Values[i*m.Stride:][:m.ValueSize]) {
				return
			}
		}
		if m.Addrs == nil && put(m.Base, m.Values) {
			return
		}
		for _, e := range m.Extents {
			if put(e.Addr, e.Data) {
				return
			}
		}
	}
	for _, o := range s.Kernel {
		if put(o.Addr, o.Data) {
			return
		}
	}
	require.Fail(t, "no memory there", "%#x", addr)
}

// wholes are objects that others lie in, and heads where pointers are.
var wholes = map[string]func(snap) *queues{
	"section":         func(s snap) *queues { return &s.Bss().Mine },
	"last array":      func(s snap) *queues { return &s.DataRow().Row[1] },
	"array":           func(s snap) *queues { return s.Arrays().At(1) },
	"hash":            func(s snap) *queues { return s.Hashes().Get(3) },
	"per-CPU array":   func(s snap) *queues { return s.Percpu().CPU(1).At(0) },
	"object of arena": func(s snap) *queues { return &s.Bss().Nodes.Queues },
}

var heads = map[string]func(snap) *head{
	"entry of a hash":   func(s snap) *head { return s.Heads().Get(7) },
	"entry of an array": func(s snap) *head { return s.Others().At(1) },
	"variable":          func(s snap) *head { return &s.Bss().First },
	"object of arena":   func(s snap) *head { return &s.Bss().Nodes.Head },
	"object of slab":    func(s snap) *head { return &s.Bss().Items.Head },
}

// leads are the kinds of pointers: where they are, and where they lead.
var leads = map[string]struct {
	pointer func(*head) any // to the pointer
	value   func(*head) any
	field   func(*queues) any
}{
	"element":            {func(h *head) any { return &h.Fifo }, func(h *head) any { return h.Fifo }, func(q *queues) any { return &q.Fifos[2] }},
	"first of array":     {func(h *head) any { return &h.Fifo }, func(h *head) any { return h.Fifo }, func(q *queues) any { return &q.Fifos[0] }},
	"member at offset 0": {func(h *head) any { return &h.Link }, func(h *head) any { return h.Link }, func(q *queues) any { return &q.Fifos[2].Link }},
	"nested":             {func(h *head) any { return &h.Link }, func(h *head) any { return h.Link }, func(q *queues) any { return &q.Fifos[4].Spare[1] }},
	"array":              {func(h *head) any { return &h.All }, func(h *head) any { return h.All }, func(q *queues) any { return &q.Fifos }},
	"number":             {func(h *head) any { return &h.Number }, func(h *head) any { return h.Number }, func(q *queues) any { return &q.Fifos[1].Id }},
	"number at offset 0": {func(h *head) any { return &h.Number }, func(h *head) any { return h.Number }, func(q *queues) any { return &q.Number }},
	"in a union":         {func(h *head) any { return &h.Link }, func(h *head) any { return h.Link }, func(q *queues) any { return &q.Either.Link }},
	"itself":             {func(h *head) any { return &h.Queues }, func(h *head) any { return h.Queues }, func(q *queues) any { return q }},
}

func TestPointersIntoAnObjectAreThoseOfItsFields(t *testing.T) {
	for in, whole := range wholes {
		for from, at := range heads {
			for name, lead := range leads {
				t.Run(in+"/"+from+"/"+name, func(t *testing.T) {
					s := guest(t)
					first := embedded.Bind(t, s)
					poke(t, s, ktrt.Addr(first, lead.pointer(at(first))), ktrt.Addr(first, lead.field(whole(first))))
					want := *whole(embedded.Bind(t, s))

					pointerFirst := embedded.Bind(t, s)
					got := lead.value(at(pointerFirst))
					require.Same(t, lead.field(whole(pointerFirst)), got)
					require.Equal(t, want, *whole(pointerFirst))
					require.Equal(t, ktrt.Addr(pointerFirst, lead.field(whole(pointerFirst))), ktrt.Addr(pointerFirst, got))

					wholeFirst := embedded.Bind(t, s)
					field := lead.field(whole(wholeFirst))
					require.Same(t, field, lead.value(at(wholeFirst)))
					require.Equal(t, want, *whole(wholeFirst))
				})
			}
		}
	}
}

// What was handed out of an object is not written again when the rest is decoded.
func TestAnObjectIsReadWhileItsPartsAre(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	h := first.Heads().Get(7)
	poke(t, s, ktrt.Addr(first, &h.Link), ktrt.Addr(first, &first.Bss().Mine.Fifos[2].Spare[1]))
	poke(t, s, ktrt.Addr(first, &h.Number), ktrt.Addr(first, &first.Bss().Mine.Fifos[2].Id))
	poke(t, s, ktrt.Addr(first, &first.Others().At(0).Fifo), ktrt.Addr(first, &first.Bss().Mine.Fifos[2]))

	snap := embedded.Bind(t, s)
	number := snap.Heads().Get(7).Number
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 1000 {
				require.EqualValues(t, 102, *number)
			}
		})
		readers.Go(func() { require.EqualValues(t, 102, snap.Others().At(0).Fifo.Id) })
		readers.Go(func() { require.EqualValues(t, 104, snap.Bss().Mine.Fifos[4].Id) })
	}
	readers.Wait()
	require.Same(t, &snap.Bss().Mine.Fifos[2], snap.Others().At(0).Fifo)
	require.Same(t, &snap.Bss().Mine.Fifos[2].Id, number)
	require.Same(t, &snap.Bss().Mine.Fifos[2].Spare[1], snap.Heads().Get(7).Link)
}

// An object that the program has allocated, and an element of a variable that is
// read element by element, are objects of their own, in which others lie.
func TestPointersIntoAllocatedObjectsAndElements(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	h := first.Heads().Get(7)
	poke(t, s, ktrt.Addr(first, &h.Fifo), ktrt.Addr(first, &first.Bss().Items.Fifo))
	poke(t, s, ktrt.Addr(first, &h.Link), ktrt.Addr(first, &first.Bss().Many.At(12345).Spare[1]))
	poke(t, s, ktrt.Addr(first, &h.Number), ktrt.Addr(first, &first.Bss().Counter))

	for name, read := range map[string]func(s snap){
		"pointers first": func(s snap) { s.Heads().Get(7) },
		"objects first":  func(s snap) { _, _ = s.Bss().Items, s.Bss().Many.At(12345) },
	} {
		t.Run(name, func(t *testing.T) {
			snap := embedded.Bind(t, s)
			read(snap)
			h, bss := snap.Heads().Get(7), snap.Bss()
			require.Same(t, &bss.Items.Fifo, h.Fifo)
			require.EqualValues(t, 777, h.Fifo.Id)
			require.Same(t, &bss.Many.At(12345).Spare[1], h.Link)
			require.Same(t, &bss.Counter, h.Number)
			require.Equal(t, ".bss.many[12345].spare[1]", ktrt.Path(snap, &bss.Many.At(12345).Spare[1]))
		})
	}
}

// An object of an arena can be known by a pointer that nobody has read so far,
// behind others.
func TestPointersIntoObjectsThatNobodyHasReached(t *testing.T) {
	nodes := make([]node, 5)
	for i := range nodes[1:] {
		nodes[i].Head.Node = &nodes[i+1]
	}
	nodes[4].Queues = numbered(500)
	s := embedded.Fixture{Bss: embedded.Bss{First: head{Node: &nodes[0]}}, Others: make([]head, 1)}.Snapshot(t)
	last := func(s snap) *node { return s.Bss().First.Node.Head.Node.Head.Node.Head.Node.Head.Node }
	first := embedded.Bind(t, s)
	poke(t, s, ktrt.Addr(first, &first.Others().At(0).Fifo), ktrt.Addr(first, &last(first).Fifo))
	poke(t, s, ktrt.Addr(first, &first.Others().At(0).All), ktrt.Addr(first, &last(first).Queues.Fifos))

	snap := embedded.Bind(t, s)
	start, all := snap.Others().At(0).Fifo, snap.Others().At(0).All
	require.EqualValues(t, 503, all[3].Id)
	require.Same(t, &last(snap).Fifo, start)
	require.Same(t, &last(snap).Queues.Fifos, all)
	require.Equal(t, numbered(500), last(snap).Queues)
}

// A pointer to an object and one to what is at its start are told apart in one read.
func TestPointersOfOneReadIntoOneAnother(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	h := first.Others().At(0)
	n := first.Bss().Nodes
	poke(t, s, ktrt.Addr(first, &h.Fifo), ktrt.Addr(first, &n.Fifo))
	poke(t, s, ktrt.Addr(first, &h.Link), ktrt.Addr(first, &n.Fifo.Link))
	poke(t, s, ktrt.Addr(first, &h.Queues), ktrt.Addr(first, &n.Queues))
	poke(t, s, ktrt.Addr(first, &h.Number), ktrt.Addr(first, &n.Queues.Fifos[1].Id))
	poke(t, s, ktrt.Addr(first, &h.Node), ktrt.Addr(first, n))

	snap := embedded.Bind(t, s)
	h = snap.Others().At(0)
	require.Same(t, &h.Node.Fifo, h.Fifo)
	require.Same(t, &h.Fifo.Link, h.Link)
	require.Same(t, &h.Node.Queues, h.Queues)
	require.Same(t, &h.Queues.Fifos[1].Id, h.Number)
	require.Same(t, snap.Bss().Nodes, h.Node)
	require.Equal(t, node{Fifo: fifo{Id: 900}, Queues: numbered(1000)}, *h.Node)
}

// A limit of objects counts what is decoded: a field of what is there already costs
// nothing, and one of what is not there yet is an object.
func TestTheLimitCountsPartsOfObjects(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	h := first.Heads().Get(7)
	poke(t, s, ktrt.Addr(first, &h.Fifo), ktrt.Addr(first, &first.Bss().Mine.Fifos[2]))
	poke(t, s, ktrt.Addr(first, &h.Link), ktrt.Addr(first, &first.Bss().Mine.Fifos[2].Link))
	poke(t, s, ktrt.Addr(first, &h.Queues), ktrt.Addr(first, first.Arrays().At(0)))

	snap := embedded.Bind(t, s, ktrt.MaxObjects(1))
	require.Same(t, &snap.Heads().Get(7).Fifo.Link, snap.Heads().Get(7).Link)
	require.Nil(t, snap.Heads().Get(7).Queues)
	require.Same(t, &snap.Bss().Mine.Fifos[2], snap.Heads().Get(7).Fifo)
	require.EqualValues(t, 104, snap.Bss().Mine.Fifos[4].Id)
}

// Each capture is read for itself.
func TestPointersOfSeveralCaptures(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	poke(t, s, ktrt.Addr(first, &first.Heads().Get(7).Fifo), ktrt.Addr(first, &first.Bss().Mine.Fifos[2]))
	for range 3 {
		snap := embedded.Bind(t, s)
		require.NotSame(t, &first.Bss().Mine.Fifos[2], snap.Heads().Get(7).Fifo)
		require.Same(t, &snap.Bss().Mine.Fifos[2], snap.Heads().Get(7).Fifo)
	}
}

// Where the place is no field of the pointer's type, there is a value of its own:
// at a bitfield, or across two elements.
func TestPointersToNoField(t *testing.T) {
	s := guest(t)
	first := embedded.Bind(t, s)
	h := first.Heads().Get(7)
	mine := &first.Bss().Mine
	poke(t, s, ktrt.Addr(first, &h.Number), ktrt.Addr(first, &mine.Low))
	poke(t, s, ktrt.Addr(first, &h.Fifo), ktrt.Addr(first, &mine.Fifos[2].Id))

	snap := embedded.Bind(t, s)
	h = snap.Heads().Get(7)
	require.EqualValues(t, 5|100<<4, uint32(*h.Number))
	require.EqualValues(t, ktrt.Addr(snap, &snap.Bss().Mine.Fifos[2].Id), ktrt.Addr(snap, h.Fifo))
	require.NotSame(t, &snap.Bss().Mine.Fifos[2], h.Fifo)
	require.EqualValues(t, 102, snap.Bss().Mine.Fifos[2].Id)
}
