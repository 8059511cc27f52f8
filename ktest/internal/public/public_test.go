package public_test

import (
	"bytes"
	"cmp"
	"context"
	"flag"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/scenario"
)

func TestMain(m *testing.M) { ktest.Main(m) }

// every has all configurations run, and not only those that each change is held to.
var every = flag.Bool("every", false, "run all configurations of all schedulers")

const (
	cpus  = 4
	slice = 20_000_000 // ns, SCX_SLICE_DFL, which the programs set
)

// row is a scheduler in one configuration, as its program makes it of arguments, or
// as the object is given it.
type row struct {
	scheduler, name string
	args            []string
	object          func(ktest.Scheduler) ktest.Scheduler // nil where the program is half of the scheduler
	want            map[string]uint64                     // what it is configured with
	work            ktest.Work                            // Sleep if empty
	often           string                                // how it runs for each change: program, object, or neither
}

func itself(s ktest.Scheduler) ktest.Scheduler { return s }

func centralOf(s ktest.Scheduler) ktest.Scheduler {
	return s.Set("nr_cpu_ids", cpus).Set("slice_ns", slice).Resize("cpu_gimme_task", cpus).Resize("cpu_started_at", cpus)
}

func flatcgOf(s ktest.Scheduler) ktest.Scheduler {
	return s.Set("nr_cpus", cpus).Set("cgrp_slice_ns", slice)
}

// pairOf pairs each CPU with the one that is stride further.
func pairOf(stride int32) func(ktest.Scheduler) ktest.Scheduler {
	pairs, ids, indices := make([]int32, cpus), make([]uint32, cpus), make([]uint32, cpus)
	for cpu, id := int32(0), uint32(0); cpu < cpus; cpu++ {
		if other := cpu + stride; cpu/stride%2 == 0 {
			pairs[cpu], pairs[other] = other, cpu
			ids[cpu], ids[other], indices[other] = id, id, 1
			id++
		}
	}
	return func(s ktest.Scheduler) ktest.Scheduler {
		return s.Set("nr_cpu_ids", cpus).Set("pair_batch_dur_ns", slice).Resize("pair_ctx", cpus/2).
			Set("pair_cpu", pairs).Set("pair_id", ids).Set("in_pair_idx", indices).Fill("cgrp_q_arr", 4096)
	}
}

func qmapOf(s ktest.Scheduler) ktest.Scheduler {
	return s.Set("slice_ns", slice).Set("max_tasks", 4096).Set("round_robin_ns", 200_000_000)
}

var rows = []row{
	{scheduler: "scx_simple", name: "vtime", object: itself, want: map[string]uint64{"fifo_sched": 0}, often: "object"},
	{
		scheduler: "scx_simple", name: "fifo", args: []string{"-f"}, want: map[string]uint64{"fifo_sched": 1}, often: "program",
		object: func(s ktest.Scheduler) ktest.Scheduler { return s.Set("fifo_sched", true) },
	},
	{scheduler: "scx_cpu0", object: itself, often: "program"},
	{
		scheduler: "scx_central", name: "on 0", object: centralOf, often: "program",
		want: map[string]uint64{"central_cpu": 0, "nr_cpu_ids": cpus, "cpus": cpus, "slice_ns": slice},
	},
	{
		scheduler: "scx_central", name: "on 2", args: []string{"-c", "2", "-s", "5000"},
		object: func(s ktest.Scheduler) ktest.Scheduler {
			return centralOf(s).Set("central_cpu", 2).Set("slice_ns", 5_000_000)
		},
		want: map[string]uint64{"central_cpu": 2, "nr_cpu_ids": cpus, "cpus": cpus, "slice_ns": 5_000_000},
	},
	// scx_flatcg stalls at times, started by its own program as well: a task waits on its
	// cgroup's queue, which no idle CPU looks at.
	{
		scheduler: "scx_flatcg", name: "weights", args: []string{"-i", "0.5"}, object: flatcgOf,
		want: map[string]uint64{"fifo_sched": 0, "nr_cpus": cpus, "slice_ns": slice},
	},
	{
		scheduler: "scx_flatcg", name: "fifo", args: []string{"-i", "0.5", "-f", "-s", "5000"},
		object: func(s ktest.Scheduler) ktest.Scheduler {
			return flatcgOf(s).Set("fifo_sched", true).Set("cgrp_slice_ns", 5_000_000)
		},
		want: map[string]uint64{"fifo_sched": 1, "nr_cpus": cpus, "slice_ns": 5_000_000},
	},
	{
		scheduler: "scx_pair", name: "halves", often: "program", object: pairOf(2),
		want: map[string]uint64{"nr_cpu_ids": cpus, "pair of 0": 2, "pairs": cpus / 2, "queues": 4096},
	},
	{
		scheduler: "scx_pair", name: "neighbours", args: []string{"-S", "1"}, often: "object", object: pairOf(1),
		want: map[string]uint64{"nr_cpu_ids": cpus, "pair of 0": 1, "pairs": cpus / 2, "queues": 4096},
	},
	{scheduler: "scx_userland", name: "8 at a time", want: map[string]uint64{"num_possible_cpus": cpus}, often: "program"},
	{scheduler: "scx_userland", name: "2 at a time", args: []string{"-b", "2"}, want: map[string]uint64{"num_possible_cpus": cpus}},
	{
		scheduler: "scx_qmap", name: "one", args: []string{"-i", "1", "-N", "4096"}, object: qmapOf, often: "program",
		want: map[string]uint64{"slice_ns": slice, "max_tasks": 4096, "dsp_batch": 0, "highpri_boosting": 0},
	},
	{
		scheduler: "scx_qmap", name: "batches", args: []string{"-i", "1", "-N", "2048", "-b", "4", "-H", "-s", "5000"},
		object: func(s ktest.Scheduler) ktest.Scheduler {
			return qmapOf(s).Set("max_tasks", 2048).Set("dsp_batch", 4).Set("highpri_boosting", true).Set("slice_ns", 5_000_000)
		},
		want: map[string]uint64{"slice_ns": 5_000_000, "max_tasks": 2048, "dsp_batch": 4, "highpri_boosting": 1},
	},
	{scheduler: "scx_sdt", object: itself, work: scenario.ForkExit, often: "program"},
}

// printed is what a scheduler's program prints of itself, over and over: each group
// is a number that grows, with the name that [values] has for it. deltas are those that
// are printed as what was added since the last time.
var printed = map[string]struct {
	pattern *regexp.Regexp
	deltas  bool
}{
	"scx_simple":   {pattern: regexp.MustCompile(`local=(?P<local>\d+) global=(?P<global>\d+)`)},
	"scx_cpu0":     {pattern: regexp.MustCompile(`local=(?P<local>\d+) cpu0=(?P<cpu0>\d+)`)},
	"scx_central":  {pattern: regexp.MustCompile(`total +: *(?P<total>\d+) +local: *(?P<local>\d+).*\ntimer +: *(?P<timer>\d+)`)},
	"scx_flatcg":   {pattern: regexp.MustCompile(`act: *(?P<act>\d+) +deact: *\d+ global: *\d+ local: *(?P<local>\d+)`), deltas: true},
	"scx_pair":     {pattern: regexp.MustCompile(` total: *(?P<total>\d+) dispatch: *(?P<dispatch>\d+)`)},
	"scx_userland": {pattern: regexp.MustCompile(`kern: *(?P<kern>\d+) .*\n.*user: *(?P<user>\d+) `)},
	"scx_qmap":     {pattern: regexp.MustCompile(`enq=(?P<enq>\d+) dsp=(?P<dsp>\d+)`)},
	"scx_sdt":      {pattern: regexp.MustCompile(`select_idle_cpu=(?P<idle>\d+)[^A]*ALLOCATION STATS=+\n.*data_allocs=(?P<data_allocs>\d+)`)},
}

// reports returns what a program has printed so far, each time that it has.
func reports(scheduler, output string) (all []map[string]uint64) {
	p := printed[scheduler]
	sums := make(map[string]uint64)
	for _, match := range p.pattern.FindAllStringSubmatch(output, -1) {
		for i, name := range p.pattern.SubexpNames()[1:] {
			n, _ := strconv.ParseUint(match[i+1], 10, 64)
			if p.deltas {
				n += sums[name]
			}
			sums[name] = n
		}
		all = append(all, maps.Clone(sums))
	}
	return all
}

// output is what programs in the guest have written.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{} // of capacity 1
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.news <- struct{}{}:
	default:
	}
	return o.text.Write(p)
}

func (o *output) since(at int) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text.Bytes()[at:])
}

// await returns the reports of a program once there are n of them.
func (o *output) await(t *testing.T, ctx context.Context, scheduler string, at, n int) []map[string]uint64 {
	t.Helper()
	for {
		if all := reports(scheduler, o.since(at)); len(all) >= n {
			return all
		}
		select {
		case <-o.news:
		case <-ctx.Done():
			t.Fatalf("%s has not printed %d reports: %s", scheduler, n, o.since(at))
		}
	}
}

// The schedulers of tools/sched_ext run from their objects and by their own programs,
// and what generated code reads of them amid work is what they were configured with,
// and lies between what the programs print before and after.
func TestPublicSchedulersAreReadAsTheyReportThemselves(t *testing.T) {
	dir := programs(t, "scx_simple")
	names := slices.Sorted(maps.Keys(printed))
	v := buildValues(t, dir, names)
	out := &output{news: make(chan struct{}, 1)}
	vm := ktest.Boot(t, ktest.Config{CPUs: cpus, Output: out})
	pointers := newHeld()
	defer func() { t.Log(pointers) }()
	for _, r := range rows {
		path := filepath.Join(dir, r.scheduler)
		if r.often == "program" || *every {
			t.Run(strings.TrimSpace(r.scheduler+" "+r.name)+"/program", func(t *testing.T) {
				amid := check(t, vm, v, r, ktest.Binary(path, r.args...), out)
				pointers.hold(t, path+".bpf.o", amid)
			})
		}
		if r.object != nil && (r.often == "object" || *every) {
			t.Run(strings.TrimSpace(r.scheduler+" "+r.name)+"/object", func(t *testing.T) {
				amid := check(t, vm, v, r, r.object(ktest.Object(path+".bpf.o")), nil)
				pointers.hold(t, path+".bpf.o", amid)
			})
		}
	}
}

// check starts a scheduler, gives it work, and holds what is read of it to what it
// prints, if it does, and else to what is read of it later. It returns what it is read of.
func check(t *testing.T, vm *ktest.VM, v values, r row, s ktest.Scheduler, out *output) *ktsnap.Snapshot {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	at := 0
	if out != nil {
		at = len(out.since(0))
	}
	require.NoError(t, vm.Attach(ctx, s))
	defer func() {
		_, err := vm.Detach(context.WithoutCancel(ctx))
		require.NoError(t, err)
	}()
	workers, err := vm.Work(ctx, cmp.Or(r.work, ktest.Sleep), 3)
	require.NoError(t, err)
	defer func() { _, _ = workers.Stop(context.WithoutCancel(ctx)) }() // others use the guest

	var before, after map[string]uint64
	if out != nil {
		seen := out.await(t, ctx, r.scheduler, at, 2)
		before = seen[len(seen)-1]
	} else {
		before = v.read(t, r.scheduler, vm.Freeze("before"))
	}
	snap := vm.Freeze("amid")
	amid := v.read(t, r.scheduler, snap)
	if out != nil {
		// The next may have been on its way.
		n := len(reports(r.scheduler, out.since(at))) + 2
		after = out.await(t, ctx, r.scheduler, at, n)[n-1]
	} else {
		for after = amid; maps.Equal(before, after); { // as long as it has nothing to do
			require.NoError(t, ctx.Err())
			after = v.read(t, r.scheduler, vm.Freeze("after"))
		}
	}
	for name, want := range r.want {
		require.Equal(t, want, amid[name], name)
	}
	for _, name := range printed[r.scheduler].pattern.SubexpNames()[1:] {
		require.LessOrEqual(t, before[name], amid[name], "%s, before", name)
		require.LessOrEqual(t, amid[name], after[name], "%s, after", name)
	}
	t.Logf("%v: %v: %v", before, amid, after)
	require.NotEqual(t, before, after, "it schedules")
	return snap
}
