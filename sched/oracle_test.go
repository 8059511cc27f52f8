package sched_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// moments is how often each guest is dumped.
var moments = flag.Int("moments", 2, "how often the kernel's dump is compared, per scheduler and kernel")

// oracleSchedulers are those whose state is compared under load.
var oracleSchedulers = map[string]string{
	"queues":      "testdata/queues.bpf.o",
	"docile":      "../ktest/testdata/docile.bpf.o",
	"churn":       "../ktest/testdata/churn.bpf.o",
	"queue_stack": "../ktest/internal/cases/testdata/queue_stack.bpf.o",
	"watcher":     watcher,
}

// watcher makes no queues. Debian's 7.2 kernel describes scx_bpf_create_dsq with an
// argument that programs do not pass, and so refuses the others.
const watcher = "../gen/internal/kernels/testdata/watcher.bpf.o"

// TestKernelDumpsTheSame compares what the kernel prints of sched_ext (sysrq-D) with
// snapshots of the moments before its first line and behind its last one, which are those
// when it takes and releases the lock for that. On one CPU nothing else happens in between.
func TestKernelDumpsTheSame(t *testing.T) {
	for i, k := range kernels(t) {
		for _, name := range slices.Sorted(maps.Keys(oracleSchedulers)) {
			if i > 0 && oracleSchedulers[name] != watcher {
				continue
			}
			for _, cpus := range []int{1, 2} {
				if cpus > 1 && name != "queues" && name != "watcher" {
					continue // slower, and nothing new
				}
				t.Run(fmt.Sprintf("%s, %s, %d CPUs", k.Release, name, cpus), func(t *testing.T) {
					compareDumps(t, ktest.Config{CPUs: cpus, Kernel: k.Path, Scheduler: ktest.Object(oracleSchedulers[name])})
				})
			}
		}
	}
}

// kernels are the one of all tests, and one of another version if the cache has one.
func kernels(t *testing.T) []*kernel.Kernel {
	usual, err := kernel.Find(t.Context())
	if err != nil {
		t.Skipf("no kernel: %v", err)
	}
	found := []*kernel.Kernel{usual}
	looked, err := kernel.Survey(t.Context())
	require.NoError(t, err)
	for _, look := range looked {
		if look.Err == nil && look.Kernel.Release[:3] != usual.Release[:3] {
			return append(found, look.Kernel)
		}
	}
	return found
}

const tracing = "/sys/kernel/tracing/"

func compareDumps(t *testing.T, cfg ktest.Config) {
	vm := ktest.Boot(t, cfg)
	ctx := bound(t, 5*time.Minute)
	for work, n := range map[ktest.Work]int{ktest.Spin: 3, ktest.Sleep: 2, ktest.Yield: 1} {
		_, err := vm.Work(ctx, work, n)
		require.NoError(t, err)
	}
	require.NoError(t, vm.WriteFile(ctx, tracing+"events/sched_ext/sched_ext_dump/enable", []byte("1"), 0))
	lock, err := vm.Watch(ctx, ktest.Symbol(dumpLock(t, vm), 4), ktest.WatchOptions{Capture: "dump"})
	require.NoError(t, err)
	// What older kernels keep elsewhere is read as well.
	s := sched.Bind(t, vm.Freeze("before"))
	require.Contains(t, []time.Duration{20 * time.Second, 30 * time.Second}, s.Scheduler().Timeout)
	require.Equal(t, 20*time.Millisecond, s.Scheduler().SliceDfl)
	require.EqualValues(t, 100, s.Cgroups()[0].Weight)
	var total compared
	// On several CPUs a moment can come in which nothing stays as it is.
	dumps := 0
	for ; dumps < *moments || total.figures == 0 && dumps < maxMoments; dumps++ {
		i := dumps
		require.NoError(t, vm.WriteFile(ctx, "/proc/sysrq-trigger", []byte("D"), 0))
		_, err = lock.Await(ctx, 2*(i+1))
		require.NoError(t, err)
		fires := lock.Fires()
		text, err := vm.ReadFile(ctx, tracing+"trace")
		require.NoError(t, err)
		before, behind := fires[2*i], fires[2*i+1]
		require.NoError(t, before.CaptureErr)
		require.NoError(t, behind.CaptureErr)
		total.add(compare(t, parseDump(t, text), before.Snapshot, behind.Snapshot, cfg.CPUs == 1))
	}
	t.Logf("equal in %d dumps: %d tasks, %d figures", dumps, total.tasks, total.figures)
	require.Positive(t, total.figures)
	if cfg.CPUs == 1 {
		require.Positive(t, total.tasks)
	}
}

// dumpLock names the lock that the kernel holds while it dumps sched_ext: scx_dump_lock, or,
// up to 6.16 at least, a static variable of scx_dump_state.
func dumpLock(t *testing.T, vm *ktest.VM) string {
	symbols, err := vm.ReadFile(t.Context(), "/proc/kallsyms")
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m) (scx_dump_lock|dump_lock\.\d+)$`).FindSubmatch(symbols)
	require.NotNil(t, found, "the kernel has no lock for dumps")
	return string(found[1])
}

// maxMoments bounds the dumps of a guest in which nothing stays as it is.
const maxMoments = 20

// compared counts what was found equal.
type compared struct{ tasks, figures int }

func (c *compared) add(other compared) { c.tasks += other.tasks; c.figures += other.figures }

// dump is what the kernel prints: figures by what they are of, as "task 17 slice", and
// which tasks are runnable on which CPU.
type dump struct {
	figures map[string]string
	tasks   map[int][]int // pids by CPU
}

var (
	linePrefix = regexp.MustCompile(`sched_ext_dump: ?(.*)$`)
	cpuLine    = regexp.MustCompile(`^CPU (\d+) *: nr_run=(\d+) flags=0x([0-9a-f]+) cpu_rel=(\d)`)
	currLine   = regexp.MustCompile(`^ +curr=(.*)\[(-?\d+)\] class=(\w+)_sched_class`)
	taskLine   = regexp.MustCompile(`^ ([ *])([A-Z]) (.*)\[(\d+)\] .*?([+-]\d+)ms$`)
	pairs      = regexp.MustCompile(`([a-z_/]+)=([^ ]+)`)
	eventLine  = regexp.MustCompile(`^ +(SCX_EV_\w+): +(-?\d+)$`)
)

func parseDump(t *testing.T, text []byte) dump {
	d := dump{make(map[string]string), make(map[int][]int)}
	cpu, task := -1, -1
	text = text[max(0, bytes.LastIndex(text, []byte("Debug dump triggered"))):] // the last one
	for _, raw := range bytes.Split(text, []byte("\n")) {
		found := linePrefix.FindSubmatch(raw)
		if found == nil {
			continue
		}
		line := string(found[1])
		if m := cpuLine.FindStringSubmatch(line); m != nil {
			cpu, task = atoi(m[1]), -1
			d.tasks[cpu] = nil
			d.figures[fmt.Sprintf("cpu %d nr_run", cpu)], d.figures[fmt.Sprintf("cpu %d flags", cpu)] = m[2], m[3]
			d.figures[fmt.Sprintf("cpu %d cpu_rel", cpu)] = m[4]
		} else if m := currLine.FindStringSubmatch(line); m != nil {
			d.figures[fmt.Sprintf("cpu %d curr", cpu)], d.figures[fmt.Sprintf("cpu %d class", cpu)] = m[1]+"["+m[2]+"]", m[3]
		} else if m := taskLine.FindStringSubmatch(line); m != nil {
			task = atoi(m[4])
			d.tasks[cpu] = append(d.tasks[cpu], task)
			for name, v := range map[string]string{"comm": m[3], "marker": m[1], "ms": m[5]} {
				d.figures[fmt.Sprintf("task %d %s", task, name)] = v
			}
		} else if m := eventLine.FindStringSubmatch(line); m != nil {
			d.figures["event "+m[1]] = m[2]
		} else if strings.HasPrefix(line, "      ") && task >= 0 {
			for _, m := range pairs.FindAllStringSubmatch(line, -1) {
				d.figures[fmt.Sprintf("task %d %s", task, m[1])] = m[2]
			}
		}
	}
	require.NotEmpty(t, d.tasks, "%s", text)
	return d
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// figuresOf prints a state as the kernel does (scx_dump_state).
func figuresOf(s *sched.State) dump {
	d := dump{make(map[string]string), make(map[int][]int)}
	for _, c := range s.CPUs() {
		set := func(name string, v any) { d.figures[fmt.Sprintf("cpu %d %s", c.ID, name)] = fmt.Sprint(v) }
		set("nr_run", c.ExtRunning)
		set("flags", fmt.Sprintf("%x", c.ExtFlags))
		set("cpu_rel", btoi(c.Released))
		current := c.Current()
		set("curr", current)
		set("class", current.Class)
		if current.Class == sched.ClassExt {
			d.addTask(s, c.ID, current, "*")
		}
	}
	for _, task := range s.Tasks() {
		if task.Ext.RunnableList && task.Class == sched.ClassExt {
			d.addTask(s, task.CPU, task, " ")
		}
	}
	for _, e := range s.Scheduler().Events() {
		d.figures["event "+e.Name] = fmt.Sprint(e.Count)
	}
	return d
}

func (d *dump) addTask(s *sched.State, cpu int, task *sched.Task, marker string) {
	d.tasks[cpu] = append(d.tasks[cpu], task.PID)
	e := task.Ext
	queue := "(n/a)"
	if q := task.DSQ(); e.Queue != 0 && q != nil { // nil amid a move
		queue = fmt.Sprintf("0x%x", q.ID)
	}
	ops := map[string]int{"NONE": 0, "QUEUEING": 1, "QUEUED": 2, "DISPATCHING": 3}[e.OpsState]
	const stateBits = 7 << 8
	for name, v := range map[string]any{
		"comm": task.Comm, "marker": marker,
		"ms":                 fmt.Sprintf("%+d", -s.Since(e.RunnableAt).Milliseconds()),
		"scx_state/flags":    fmt.Sprintf("%d/0x%x", e.Flags&stateBits>>8, e.Flags&^stateBits),
		"dsq_flags":          fmt.Sprintf("0x%x", e.DSQFlags),
		"ops_state/qseq":     fmt.Sprintf("%d/%d", ops, e.OpsSeq),
		"sticky/holding_cpu": fmt.Sprintf("%d/%d", e.StickyCPU, e.HoldingCPU),
		"dsq_id":             queue,
		"dsq_vtime":          e.VTime,
		"slice":              e.Slice.Nanoseconds(),
		"weight":             e.Weight,
		"cpus":               hexMask(task.Allowed),
		"no_mig":             task.MigrationDisabled,
	} {
		d.figures[fmt.Sprintf("task %d %s", task.PID, name)] = fmt.Sprint(v)
	}
}

func hexMask(m ktsnap.CPUMask) string {
	n := 0
	for cpu := range m.All() {
		n |= 1 << cpu
	}
	return fmt.Sprintf("%x", n)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compare holds a dump to the states before and behind it: to be the first, of CPUs on
// which nothing has happened in between, as their clocks tell. With one CPU that is so.
func compare(t *testing.T, printed dump, before, behind *ktsnap.Snapshot, exact bool) (c compared) {
	a, b := sched.Bind(t, before), sched.Bind(t, behind)
	require.Empty(t, a.Problems())
	require.NoError(t, sched.Check(before, behind))
	first, second := figuresOf(a), figuresOf(b)
	quiet, all := make(map[string]bool), true
	for _, cpu := range a.CPUs() {
		still := cpu.Clock == b.CPU(cpu.ID).Clock
		require.True(t, still || !exact, "CPU %d has done something amid the dump", cpu.ID)
		require.NotNil(t, cpu.Current(), "CPU %d", cpu.ID)
		// Who has the lock has set the clock, and may be about to change the rest; nor is the
		// clock set again when a wakeup has just done so (rq_clock_skip_update).
		still = still && !cpu.Locked && cpu.Switches == b.CPU(cpu.ID).Switches
		all = all && still
		quiet[fmt.Sprintf("cpu %d", cpu.ID)] = still
		for _, pid := range printed.tasks[cpu.ID] {
			quiet[fmt.Sprintf("task %d", pid)] = still
		}
		if tasks, ok := printed.tasks[cpu.ID]; ok && still {
			require.ElementsMatch(t, first.tasks[cpu.ID], tasks, "the runnable tasks of CPU %d", cpu.ID)
			c.tasks += len(tasks)
		}
	}
	late := make(map[int]bool)
	for what, want := range printed.figures {
		words := strings.SplitN(what, " ", 3)
		if !quiet[words[0]+" "+words[1]] && !(words[0] == "event" && all) {
			continue
		}
		if words[len(words)-1] == "ms" && a.Jiffies != b.Jiffies {
			continue
		}
		got, ok := first.figures[what]
		if ok && second.figures[what] != got && !exact {
			continue // a slice that was filled again without a switch
		}
		require.True(t, ok, "the kernel prints %s=%s, and the snapshot has none", what, want)
		if words[len(words)-1] == "ms" {
			late[atoi(want)-atoi(got)] = true
			continue
		}
		require.Equal(t, want, got, what)
		c.figures++
	}
	// The kernel reads the clock before it takes the lock, between which a tick or the other
	// CPU's turn can fall: its times are all older by the same.
	require.LessOrEqual(t, len(late), 1, "%v", late)
	for ms := range late {
		require.GreaterOrEqual(t, ms, 0, "the dump is younger than the snapshot")
	}
	return c
}
