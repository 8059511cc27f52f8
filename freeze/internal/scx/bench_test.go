package scx_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	ebtf "github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/freeze/internal/scx"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// inPlace is memory that can be looked at without copying it, as a guest's is.
type inPlace struct{ bytesAt }

func (r inPlace) Slice(pa int64, n int) ([]byte, bool) {
	if pa < 0 || pa+int64(n) > int64(len(r.bytesAt)) {
		return nil, false
	}
	return r.bytesAt[pa : pa+int64(n)], true
}

// smallPages returns memory of so many bytes as that of a guest is: in pages of 4 KiB.
func smallPages(b *testing.B, size int) []byte {
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, unix.Munmap(mem)) })
	require.NoError(b, unix.Madvise(mem, unix.MADV_NOHUGEPAGE))
	return mem[:0]
}

// BenchmarkTasks measures what copying a task costs, with a real kernel's task_struct,
// 5,000 of which lie in 64 MiB.
func BenchmarkTasks(b *testing.B) {
	k, err := kernel.Find(b.Context())
	if err != nil {
		b.Skip(err)
	}
	raw, err := k.BTF()
	require.NoError(b, err)
	spec, err := ebtf.LoadSpecFromReader(bytes.NewReader(raw))
	require.NoError(b, err)
	at := func(path string) uint64 {
		n, err := btf.Offset(spec, "task_struct", path)
		require.NoError(b, err)
		return uint64(n)
	}
	size, err := btf.SizeOf(spec, "task_struct")
	require.NoError(b, err)
	const tasks = 5000
	g := newGuest(b)
	g.ram = append(smallPages(b, len(g.ram)+tasks*(size+64)), g.ram...)
	g.ram = g.ram[:cap(g.ram)]
	addrs := make([]uint64, tasks)
	for i := range addrs {
		addrs[i] = g.alloc(uint64(size))
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(tasks, func(i, k int) { addrs[i], addrs[k] = addrs[k], addrs[i] })
	for _, a := range addrs {
		g.append(g.symbols["scx_tasks"], a+at("scx.tasks_node"))
		g.put(a+at("cpus_ptr"), a+at("cpus_mask"), 8)
	}
	mem := kmem.NewSpace(inPlace{g.ram}, kmem.Layout{Direct: kmem.Range{Start: direct, End: direct + kmem.Addr(len(g.ram))}})
	cpus, err := kmem.DiscoverCPUs(mem, g.symbols)
	require.NoError(b, err)
	delete(g.symbols, "runqueues") // the other tables are small
	l := scx.NewLayout(spec, g.symbols, cpus)
	state := l.Copy(mem, func() error { return nil }, nil)
	shortest := time.Hour          // others use the machine, too
	others := make([]byte, 16<<20) // what the machine does between captures
	for b.Loop() {
		clear(others)
		began := time.Now()
		state = l.Copy(mem, func() error { return nil }, state)
		shortest = min(shortest, time.Since(began))
	}
	for _, t := range state.Tables {
		if t.Name == "tasks" {
			require.Equal(b, tasks, t.N)
		}
	}
	b.ReportMetric(float64(shortest.Nanoseconds())/tasks, "ns/task")
}
