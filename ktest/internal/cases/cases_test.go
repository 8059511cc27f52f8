package cases_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/cases"
	"github.com/ktgen/ktgen/ktest/internal/libbpf"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestMain(m *testing.M) { ktest.Main(m) }

// row is a case: a scheduler, and what its state has to be once tasks have run.
type row struct {
	object string
	cpus   int                                   // of the guest, 0 for 2
	args   []string                              // of the program on libbpf, behind the object
	set    func(ktest.Scheduler) ktest.Scheduler // what ktest changes before it loads the object, nil for nothing
	only   string                                // how it is loaded, "" for both ways
	check  func(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot)

	fixture func(runtime.TB) *ktsnap.Snapshot // made of nothing, nil for none
}

var rows = []row{
	{object: "flexible_global", check: func(t *testing.T, _ *ktest.VM, snap *ktsnap.Snapshot) {
		data := cases.BindFlexibleGlobal(t, snap).Data()
		require.Equal(t, cases.Flex{N: 3, Tail: []uint16{11, 12, 13}}, data.First)
		require.EqualValues(t, 99, data.Between)
		require.Equal(t, cases.Flex{N: 2, Tail: []uint16{21, 22}}, data.Second)
	}},
	{object: "kconfig", check: func(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot) {
		s := cases.BindKconfig(t, snap)
		require.Equal(t, kernelVersion(t, vm), s.Bss().Version)
		require.EqualValues(t, kernelVersion(t, vm), s.Kconfig().LINUX_KERNEL_VERSION)
	}},
	{object: "kconfig_weak", check: func(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot) {
		text := option(t, vm, "CONFIG_CC_VERSION_TEXT")
		require.EqualValues(t, text[1], cases.BindKconfigWeak(t, snap).Bss().First)
	}},
	{object: "kconfig_types", check: checkKconfigTypes},
	{object: "enum64", check: checkEnum64},
	{object: "attached", only: "object", check: checkAttached},
	{object: "attached", only: "libbpf", args: []string{"attach"}, check: checkAttached},
	{object: "typedef_nameless", check: checkTypedefNameless},
	{object: "statics", check: checkStaticsOfUnits},
	{object: "maps_in_hashes", check: checkMapsInHashes(2), fixture: cases.MapsInHashesFixture{}.Snapshot},
	{object: "maps_in_hashes", only: "libbpf", args: []string{"maps"}, check: checkMapsInHashes(3), fixture: cases.MapsInHashesFixture{}.Snapshot},
	{object: "queue_stack", check: checkQueueStack, fixture: cases.QueueStackFixture{}.Snapshot},
	{object: "maps_of_queues", check: checkMapsOfQueues, fixture: cases.MapsOfQueuesFixture{}.Snapshot},
	{object: "long_names", check: checkLongNames, fixture: cases.LongNamesFixture{}.Snapshot},
	{object: "statics_sched", check: checkStatics},
	{object: "units", check: checkUnits},
	{object: "resized_data", only: "object", check: checkResized(1)},
	{object: "resized_data", only: "libbpf", cpus: 4, args: []string{"4"}, check: checkResized(4)},
	{object: "resized_maps", only: "object", check: checkResizedMaps(1)},
	{object: "resized_maps", only: "object", cpus: 8, check: checkResizedMaps(7), set: func(s ktest.Scheduler) ktest.Scheduler {
		return s.Resize("slots", 7).Resize("squares", 7).Resize("slots_of_cpus", 7).Resize("squares_of_cpus", 7)
	}},
	{
		object: "resized_maps", only: "libbpf", cpus: 4, check: checkResizedMaps(5),
		args: []string{"slots=5", "squares=5", "slots_of_cpus=5", "squares_of_cpus=5", ".data.lone:64"},
	},
}

// TestSchedulersHaveTheirRightValues runs each case as ktest loads it and as
// libbpf does.
func TestSchedulersHaveTheirRightValues(t *testing.T) {
	loader := libbpf.Compile(t, "testdata/loader.c")
	for _, r := range rows {
		object := filepath.Join("testdata", r.object+".bpf.o")
		for how, scheduler := range map[string]ktest.Scheduler{
			"object": ktest.Object(object),
			"libbpf": ktest.Binary(loader, append([]string{guestObject}, r.args...)...),
		} {
			if r.only != "" && r.only != how {
				continue
			}
			if r.set != nil {
				scheduler = r.set(scheduler)
			}
			t.Run(r.object+"/"+how, func(t *testing.T) {
				vm := ktest.Boot(t, ktest.Config{CPUs: cmp.Or(r.cpus, 2)})
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				contents, err := os.ReadFile(object)
				require.NoError(t, err)
				require.NoError(t, vm.WriteFile(ctx, guestObject, contents, 0o644))
				require.NoError(t, vm.Attach(ctx, scheduler))
				workers, err := vm.Work(ctx, ktest.Sleep, 3)
				require.NoError(t, err)
				defer func() { _, _ = workers.Stop(ctx) }() // other cases use the guest
				snap := vm.Freeze("running")
				r.check(t, vm, snap)
				if r.fixture != nil {
					requireNothingHidden(t, r.fixture(t), snap)
				}
			})
		}
	}
}

// guestObject is where the program on libbpf finds the scheduler. Data sections
// are called by the first part of its name.
const guestObject = "/case.bpf.o"

// kernelVersion is KERNEL_VERSION of the guest.
func kernelVersion(t *testing.T, vm *ktest.VM) uint64 {
	release, err := vm.ReadFile(t.Context(), "/proc/sys/kernel/osrelease")
	require.NoError(t, err)
	parts := regexp.MustCompile(`^(\d+)\.(\d+)\.(\d+)`).FindStringSubmatch(string(release))
	require.NotNil(t, parts, "%s", release)
	var version uint64
	for _, part := range parts[1:] {
		n, err := strconv.ParseUint(part, 10, 8)
		require.NoError(t, err)
		version = version<<8 | n
	}
	return version
}

// option is what the guest's kernel was configured with.
func option(t *testing.T, vm *ktest.VM, name string) string {
	release, err := vm.ReadFile(t.Context(), "/proc/sys/kernel/osrelease")
	require.NoError(t, err)
	config, err := vm.ReadFile(t.Context(), "/boot/config-"+string(release[:len(release)-1]))
	require.NoError(t, err)
	found := regexp.MustCompile(`(?m)^` + name + `=(.*)$`).FindSubmatch(config)
	require.NotNil(t, found, name)
	return string(found[1])
}

func number(t *testing.T, vm *ktest.VM, name string) uint64 {
	n, err := strconv.ParseUint(option(t, vm, name), 0, 64)
	require.NoError(t, err)
	return n
}

func checkKconfigTypes(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot) {
	seen := cases.BindKconfigTypes(t, snap).Bss().Seen
	require.EqualValues(t, kernelVersion(t, vm), seen.Version)
	require.True(t, seen.Cookie)
	require.True(t, seen.Wrapper)
	require.True(t, seen.Smp)
	require.EqualValues(t, 'y', seen.Syscall)
	tristates := map[string]cases.LibbpfTristate{"n": cases.TRI_NO, "y": cases.TRI_YES, "m": cases.TRI_MODULE}
	require.Equal(t, tristates[option(t, vm, "CONFIG_SCHED_CLASS_EXT")], seen.Ext)
	require.Equal(t, tristates[option(t, vm, "CONFIG_VIRTIO_NET")], seen.Net)
	require.EqualValues(t, number(t, vm, "CONFIG_LOG_BUF_SHIFT"), seen.Shift)
	require.EqualValues(t, number(t, vm, "CONFIG_HZ"), seen.Hz)
	require.EqualValues(t, number(t, vm, "CONFIG_NR_CPUS"), seen.Cpus)
	require.EqualValues(t, number(t, vm, "CONFIG_PHYSICAL_ALIGN"), seen.Align)
	require.EqualValues(t, number(t, vm, "CONFIG_DEFAULT_MMAP_MIN_ADDR"), seen.Least)
	require.Equal(t, option(t, vm, "CONFIG_CC_VERSION_TEXT")[1:8], string(seen.Text), "cut where the array ends, with a NUL")
	require.False(t, seen.Absent)
	require.Zero(t, seen.AbsentToo)
}

// checkQueueStack compares the typed values with the bytes in the guest's memory,
// which the kernel keeps without a type.
func checkQueueStack(t *testing.T, _ *ktest.VM, snap *ktsnap.Snapshot) {
	s := cases.BindQueueStack(t, snap)
	raw := mapOfType(t, snap, ktsnap.MapTypeQueue)
	require.Positive(t, s.Waiting().Len())
	require.Equal(t, raw.N, s.Waiting().Len())
	for i, who := range s.Waiting().All() {
		require.Equal(t, binary.LittleEndian.Uint32(raw.Values[i*8:]), who.Pid)
		require.Less(t, who.Cpu, uint32(2))
	}
	require.Positive(t, s.Recent().Len())
	for _, v := range s.Recent().All() {
		require.GreaterOrEqual(t, *s.Recent().At(0), uint64(1000))
		require.GreaterOrEqual(t, v, uint64(1000))
	}

	pid, err := snap.Map("waiting").At(0).Get("pid").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, s.Waiting().At(0).Pid, pid)
	top, err := snap.Map("recent").At(0).Get("").Uint64()
	require.NoError(t, err)
	require.Equal(t, *s.Recent().At(0), top)
}

func mapOfType(t *testing.T, snap *ktsnap.Snapshot, typ ktsnap.MapType) *ktsnap.Map {
	i := slices.IndexFunc(snap.Maps, func(m *ktsnap.Map) bool { return m.Type == typ })
	require.GreaterOrEqual(t, i, 0, "no %v among the maps", typ)
	return snap.Maps[i]
}

func checkMapsOfQueues(t *testing.T, _ *ktest.VM, snap *ktsnap.Snapshot) {
	s := cases.BindMapsOfQueues(t, snap)
	require.Zero(t, s.Bss().Lost)
	entries := 0
	for i, own := range []runtime.Queue[uint32]{s.Queue0(), s.Queue1()} {
		inner := s.Queues().At(i)
		require.Equal(t, own.Len(), inner.Len())
		for j, pid := range inner.All() {
			entries++
			require.Less(t, pid, uint32(1<<22), "PID_MAX_LIMIT")
			require.Equal(t, *own.At(j), pid)
			byPath, err := snap.Map("queues").At(i).Inner().At(j).Get("").Uint64()
			require.NoError(t, err)
			require.EqualValues(t, pid, byPath)
		}
	}
	require.Positive(t, entries)
}

// checkStatics reads the variables of one name that two linked units have, and
// writes to one of them.
func checkStatics(t *testing.T, vm *ktest.VM, snap *ktsnap.Snapshot) {
	requireStatics(t, cases.BindStaticsSched(t, snap).Data())
	s := cases.BindStaticsSched(t, snap)
	before := s.Data().Calls_StaticsSchedB
	require.NoError(t, vm.Write(t.Context(), ktest.Set(s, &s.Data().Calls_StaticsSchedA, 0x20000000)))

	written := cases.BindStaticsSched(t, vm.Freeze("written")).Data()
	require.GreaterOrEqual(t, written.Calls_StaticsSchedA, uint32(0x20000000))
	require.Equal(t, before, written.Calls_StaticsSchedB, "a write to one leaves the other")
}

func requireStatics(t *testing.T, d *cases.StaticsSchedData) {
	require.Greater(t, d.Calls_StaticsSchedA, uint32(0x11))
	require.Less(t, d.Calls_StaticsSchedA, uint32(0x10000000))
	require.Greater(t, d.Calls_StaticsSchedB, uint32(0x10000000))
	require.EqualValues(t, 6, d.Deep_StaticsSchedA)
	require.EqualValues(t, 8, d.Deep_StaticsSchedB)
}

func checkLongNames(t *testing.T, _ *ktest.VM, snap *ktsnap.Snapshot) {
	s := cases.BindLongNames(t, snap)
	require.EqualValues(t, 11, *s.TasksPerDomainSum().At(0))
	require.EqualValues(t, 22, *s.TasksPerDomainMax().At(0))
	require.EqualValues(t, 3, *s.TasksPerDomainSeen().At(0))
	require.EqualValues(t, 4, *s.TasksPerDomainKept().At(0))
	require.EqualValues(t, 11, s.DataStatisticsOfDomains().FirstOnes)
	require.EqualValues(t, 22, s.DataStatisticsOfTasks().SecondOnes)
	for name, want := range map[string]uint64{
		"tasks_per_domain_sum": 11, "tasks_per_domain_max": 22, "tasks_per_domain_seen": 3, "tasks_per_domain_kept": 4,
	} {
		got, err := snap.Map(name).At(0).Get("").Uint64()
		require.NoError(t, err, name)
		require.Equal(t, want, got, name)
	}
	require.Equal(t, "long_names", s.LongNamesOfOps().Name)
	requireWholeNames(t, snap)
}

// requireWholeNames holds all that a person or a program reads of a snapshot to
// the names in the source.
func requireWholeNames(t *testing.T, snap *ktsnap.Snapshot) {
	var text, json, page, diff bytes.Buffer
	require.NoError(t, dump.Text(&text, snap, dump.Options{}))
	require.NoError(t, dump.JSON(&json, snap))
	require.NoError(t, dump.HTML(&page, snap))
	for change := range dump.Diff(&ktsnap.Snapshot{}, snap) {
		fmt.Fprintln(&diff, change)
	}
	cut := regexp.MustCompile(`(tasks_per_domai|\.data\.statistic|long_names_of_o)\b`)
	for surface, shown := range map[string]string{
		"text": text.String(), "JSON": json.String(), "page": page.String(), "diff": diff.String(), "error": snap.Map("misspelt").Err().Error(),
	} {
		for _, name := range []string{
			"tasks_per_domain_sum", "tasks_per_domain_max", "tasks_per_domain_seen", "tasks_per_domain_kept",
			".data.statistics_of_domains", ".data.statistics_of_tasks", "long_names_of_ops",
		} {
			require.Contains(t, shown, name, surface)
		}
		require.NotRegexp(t, cut, shown, surface)
	}
}
