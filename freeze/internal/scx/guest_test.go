package scx_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/scx"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// direct is where the memory of the make-believe guests begins.
const direct = 0xffff888000000000

// guest is a make-believe guest: memory that the kernel has in one piece, and a kernel
// whose structs are unlike any real one's.
type guest struct {
	ram     []byte
	next    uint64
	symbols symbols
	spec    *btf.Spec
}

type symbols map[string]uint64

func (s symbols) Lookup(name string) (uint64, bool) { a, ok := s[name]; return a, ok }

var (
	word = &btf.Int{Name: "unsigned long", Size: 8}
	half = &btf.Int{Name: "unsigned int", Size: 4}
	list = structOf("list_head", word, "next", word, "prev")

	queueList = structOf("scx_dsq_list_node", list, "node", half, "flags", half, "priv")
	entity    = structOf("sched_ext_entity", word, "dsq", queueList, "dsq_list", half, "flags", half, "pad", list, "tasks_node")
	task      = structOf("task_struct", half, "flags", half, "pid", word, "hole", entity, "scx", word, "cpus_ptr", word, "cpus_mask", word, "sched_class", word, "blocked_on")
	atomic    = structOf("atomic_long_t", word, "counter")
	mutex     = structOf("mutex", atomic, "owner")
	hashNode  = structOf("rhash_head", word, "next")
	dispatchQ = structOf("scx_dispatch_q", half, "lock", half, "nr", list, "list", word, "id", hashNode, "hash_node")
	scxRQ     = structOf("scx_rq", half, "flags", half, "nr_running", dispatchQ, "local_dsq")
	rq        = structOf("rq", half, "nr_running", half, "pad", word, "curr", word, "idle", scxRQ, "scx")
	rhash     = structOf("rhashtable", word, "tbl")
	ops       = structOf("sched_ext_ops", word, "flags")
	sched     = structOf("scx_sched", ops, "ops", rhash, "dsq_hash")
	table     = structOf("bucket_table", half, "size", half, "nest", word, "future_tbl", &btf.Array{Type: word, Index: half}, "buckets")
)

// structOf lays out members, given as type and name in turn.
func structOf(name string, members ...any) *btf.Struct {
	s := &btf.Struct{Name: name}
	for i := 0; i < len(members); i += 2 {
		typ := members[i].(btf.Type)
		s.Members = append(s.Members, btf.Member{Name: members[i+1].(string), Type: typ, Offset: btf.Bits(8 * s.Size)})
		n, err := btf.Sizeof(typ)
		if err != nil {
			panic(err)
		}
		s.Size += uint32(n)
	}
	return s
}

// offset returns where a member is, by the names on the way there.
func offset(s *btf.Struct, path ...string) uint64 {
	var at uint64
	for _, name := range path {
		for _, m := range s.Members {
			if m.Name == name {
				at += uint64(m.Offset / 8)
				s, _ = m.Type.(*btf.Struct)
				break
			}
		}
	}
	return at
}

// newGuest returns a guest with two CPUs, and without the named structs in its BTF.
func newGuest(t testing.TB, without ...string) *guest {
	g := &guest{ram: make([]byte, 32<<20), symbols: symbols{}}
	b, err := btf.NewBuilder(nil, nil)
	require.NoError(t, err)
	for _, s := range []*btf.Struct{task, rq, sched, table, dispatchQ, mutex} {
		missing := false
		for _, name := range without {
			missing = missing || name == s.Name
		}
		if !missing {
			_, err := b.Add(s)
			require.NoError(t, err)
		}
	}
	raw, err := b.Marshal(nil, nil)
	require.NoError(t, err)
	g.spec, err = btf.LoadSpecFromReader(readerAt(raw))
	require.NoError(t, err)
	for name, v := range map[string]uint64{"nr_cpu_ids": 2, "__cpu_possible_mask": 3, "__cpu_online_mask": 1} {
		g.symbols[name] = g.alloc(8)
		g.put(g.symbols[name], v, 8)
	}
	g.symbols["__per_cpu_offset"] = g.alloc(16)
	first := g.alloc(2 * 4096)
	g.symbols["runqueues"] = first
	g.put(g.symbols["__per_cpu_offset"]+8, 4096, 8)
	for cpu := range uint64(2) {
		g.head(g.local(cpu) + offset(dispatchQ, "list"))
		g.put(g.local(cpu)+offset(dispatchQ, "id"), 100+cpu, 8)
	}
	g.symbols["scx_tasks"], g.symbols["scx_root"] = g.alloc(16), g.alloc(8)
	g.head(g.symbols["scx_tasks"])
	return g
}

type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func readerAt(b []byte) io.ReaderAt { return bytesAt(b) }

// local is the address of a CPU's own queue.
func (g *guest) local(cpu uint64) uint64 {
	return g.symbols["runqueues"] + 4096*cpu + offset(rq, "scx", "local_dsq")
}

func (g *guest) alloc(n uint64) uint64 {
	g.next = (g.next + 63) &^ 63
	a := direct + g.next
	g.next += n
	return a
}

func (g *guest) put(a, v uint64, size int) {
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], v)
	copy(g.ram[a-direct:], b[:size])
}

func (g *guest) get(a uint64) uint64 { return binary.LittleEndian.Uint64(g.ram[a-direct:]) }

// head makes an empty list.
func (g *guest) head(a uint64) { g.put(a, a, 8); g.put(a+8, a, 8) }

// append adds a node at the end of a list.
func (g *guest) append(head, node uint64) {
	last := g.get(head + 8)
	g.put(last, node, 8)
	g.put(node+8, last, 8)
	g.put(node, head, 8)
	g.put(head+8, node, 8)
}

// task makes a task that may run on CPU 1.
func (g *guest) task(pid uint64) uint64 {
	a := g.alloc(uint64(task.Size))
	g.put(a+offset(task, "pid"), pid, 4)
	g.put(a+offset(task, "cpus_ptr"), a+offset(task, "cpus_mask"), 8)
	g.put(a+offset(task, "cpus_mask"), 2, 8)
	g.append(g.symbols["scx_tasks"], a+offset(task, "scx", "tasks_node"))
	return a
}

// enqueue puts a task into a queue.
func (g *guest) enqueue(queue, a uint64) {
	g.append(queue+offset(dispatchQ, "list"), a+offset(task, "scx", "dsq_list"))
	g.put(a+offset(task, "scx", "dsq"), queue, 8)
	nr := queue + offset(dispatchQ, "nr")
	g.put(nr, g.get(nr)&0xffffffff+1, 4)
}

// scheduler makes a scheduler with queues, in a table of as many buckets.
func (g *guest) scheduler(ids ...uint64) (queues []uint64) {
	a, t := g.alloc(uint64(sched.Size)), g.alloc(uint64(table.Size)+8*uint64(len(ids)))
	g.put(g.symbols["scx_root"], a, 8)
	g.put(a+offset(sched, "dsq_hash", "tbl"), t, 8)
	g.put(t+offset(table, "size"), uint64(len(ids)), 4)
	for i, id := range ids {
		q := g.alloc(uint64(dispatchQ.Size))
		bucket := t + offset(table, "buckets") + 8*uint64(i)
		g.put(q+offset(dispatchQ, "id"), id, 8)
		g.head(q + offset(dispatchQ, "list"))
		g.put(q+offset(dispatchQ, "hash_node", "next"), bucket|1, 8)
		g.put(bucket, q+offset(dispatchQ, "hash_node"), 8)
		queues = append(queues, q)
	}
	return queues
}

// copy copies what the guest has, by tables.
func (g *guest) copy(t testing.TB) map[string]*ktsnap.Table {
	mem := kmem.NewSpace(bytesAt(g.ram), kmem.Layout{Direct: kmem.Range{Start: direct, End: direct + kmem.Addr(len(g.ram))}})
	cpus, err := kmem.DiscoverCPUs(mem, g.symbols)
	require.NoError(t, err)
	l := scx.NewLayout(g.spec, g.symbols, cpus)
	state := l.Copy(mem, func() error { return nil }, nil)
	state = l.Copy(mem, func() error { return nil }, state)
	tables := make(map[string]*ktsnap.Table)
	for _, table := range state.Tables {
		tables[table.Name] = table
	}
	return tables
}

// number returns a member of a record.
func number(t testing.TB, table *ktsnap.Table, record int, path ...string) uint64 {
	s, at := table.Type, 0
	for _, name := range path {
		found := false
		for _, m := range s.Fields() {
			if m.Name == name {
				at, s, found = at+m.Offset, m.Type.Underlying(), true
				break
			}
		}
		require.True(t, found, "%s has no %s", table.Name, name)
	}
	size := min(s.Size, 8)
	if s.Kind == ctype.KindArray {
		size = 8 // its first word
	}
	return ctype.LoadBits(table.Record(record)[at:at+size], 0, 8*size)
}

// queuedIn returns the tasks in a queue, by their addresses.
func queuedIn(t testing.TB, tables map[string]*ktsnap.Table, id uint64) (tasks []uint64) {
	queues, queued := tables["queues"], tables["queued"]
	for i := range queued.N {
		if row := int(number(t, queued, i, "queue")); number(t, queues, row, "id") == id {
			tasks = append(tasks, number(t, queued, i, "task"))
		}
	}
	return tasks
}
