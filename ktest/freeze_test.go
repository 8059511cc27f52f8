package ktest_test

import (
	"context"
	"encoding/binary"
	"encoding/gob"
	"io"
	"os"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
)

const exampleObject = "../example_sched/bpf/sched.bpf.o"

func TestCapturedMapsEqualWhatBPFReturns(t *testing.T) {
	// An uncompressed kernel does not turn to 5 levels: the code that does is in
	// the part that extracts it.
	for name, c := range map[string]struct {
		cfg    ktest.Config
		levels int // of page tables, under emulation
	}{
		"vmlinux":            {ktest.Config{}, 4},
		"KASLR":              {ktest.Config{KASLR: true}, 5},
		"CPUs that are off":  {ktest.Config{Topology: twoSockets}, 4},
		"KASLR and 4 levels": {ktest.Config{KASLR: true, KernelArgs: []string{"no5lvl"}}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, c.cfg)
			if vm.Machine().Accel().Accel == vmm.TCG {
				require.Equal(t, c.levels, levels(t, vm))
			}
			want := keepZoo(t, vm)
			snap := vm.Freeze("zoo")
			t.Logf("%+v", snap.Timing)
			for _, m := range want.Maps {
				requireSameEntries(t, m, mapByID(t, snap, m.ID))
			}
			requireTasks(t, want, mapNamed(t, snap, "zoo_tasks"))
			requirePages(t, want, mapNamed(t, snap, "zoo_arena"))
			for name, count := range want.Owned {
				m := mapNamed(t, snap, name)
				require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
				require.Equal(t, count, m.N, name)
				require.Len(t, m.Owners, count, name)
			}
			for name, values := range want.Queued {
				requireQueued(t, name, values, mapNamed(t, snap, name))
			}
			for name, records := range want.Rings {
				requireRecords(t, name, records, mapNamed(t, snap, name))
			}
			if os.Getenv("CI") == "true" {
				require.Len(t, want.Slots, len(slotZoo), "the guest made %v", want.slotNames())
				require.Empty(t, want.Newer)
			}
			for _, name := range want.slotNames() {
				requireSlots(t, want.Slots[name], mapNamed(t, snap, name))
			}
			for _, name := range []string{"attached", "attached_cpu"} {
				require.Equal(t, 5, mapNamed(t, snap, name).N, name)
			}
			requireFollowed(t, snap, want)
			requireNamedStack(t, snap, mapNamed(t, snap, "stacks"))
			bloom := mapNamed(t, snap, "bloom")
			require.Equal(t, ktsnap.Unsupported, bloom.Status)
			require.Contains(t, bloom.Reason, "a bloom filter keeps bits of hashes")
		})
	}
}

// levels returns how many levels of page tables the guest uses.
func levels(t *testing.T, vm *ktest.VM) int {
	t.Helper()
	regs, err := vm.Machine().Registers(t.Context(), 0)
	require.NoError(t, err)
	const la57 = 1 << 12
	if regs.CR4&la57 != 0 {
		return 5
	}
	return 4
}

// keepZoo makes the guest keep maps, and returns what is in them.
func keepZoo(t *testing.T, vm *ktest.VM) zoo {
	t.Helper()
	object, err := os.ReadFile(exampleObject)
	require.NoError(t, err)
	in, out := runKeeper(t, vm, "keeper")
	go func() { _ = gob.NewEncoder(in).Encode(object) }() // ends with in
	var z zoo
	require.NoError(t, gob.NewDecoder(out).Decode(&z))
	require.Empty(t, z.Err)
	return z
}

// runKeeper runs this binary in the guest in a role of [runZoo], until the test
// ends, and returns its standard input and output.
func runKeeper(t *testing.T, vm *ktest.VM, role string) (io.Writer, io.Reader) {
	t.Helper()
	in, out := pipe(t), pipe(t)
	exited := make(chan error, 1)
	go func() {
		_, err := vm.Agent().Exec(t.Context(), guest.Command{Args: []string{"/proc/self/exe"}, Env: []string{zooEnv + "=" + role}},
			guest.Streams{In: in.PipeReader, Out: out.PipeWriter, Err: os.Stderr})
		out.PipeWriter.CloseWithError(io.ErrUnexpectedEOF)
		exited <- err
	}()
	t.Cleanup(func() {
		in.PipeWriter.Close()
		<-exited
	})
	return in.PipeWriter, out.PipeReader
}

type pipeEnds struct {
	*io.PipeReader
	*io.PipeWriter
}

func pipe(t *testing.T) pipeEnds {
	r, w := io.Pipe()
	t.Cleanup(func() { r.Close() })
	return pipeEnds{r, w}
}

func mapByID(t *testing.T, snap *ktsnap.Snapshot, id uint32) *ktsnap.Map {
	t.Helper()
	i := slices.IndexFunc(snap.Maps, func(m *ktsnap.Map) bool { return m.ID == id })
	require.GreaterOrEqual(t, i, 0, "map %d is not captured", id)
	return snap.Maps[i]
}

func mapNamed(t *testing.T, snap *ktsnap.Snapshot, name string) *ktsnap.Map {
	t.Helper()
	i := slices.IndexFunc(snap.Maps, func(m *ktsnap.Map) bool { return m.Name == name })
	require.GreaterOrEqual(t, i, 0, "map %s is not captured", name)
	return snap.Maps[i]
}

func requireSameEntries(t *testing.T, want zooMap, got *ktsnap.Map) {
	t.Helper()
	require.Equal(t, ktsnap.Complete, got.Status, "%s: %s", want.Name, got.Reason)
	require.Equal(t, want.Name, got.Name)
	require.Equal(t, len(want.Entries), got.N, want.Name)
	index := make(map[string]int)
	for i := range got.N {
		key := binary.LittleEndian.AppendUint32(nil, uint32(i))
		if got.Keys != nil {
			key = got.Keys[i*got.KeySize : (i+1)*got.KeySize]
		}
		index[string(key)] = i
	}
	for _, e := range want.Entries {
		i, ok := index[string(e.Key)]
		require.True(t, ok, "%s: key %x is not captured", want.Name, e.Key)
		require.Len(t, e.Values, got.Slots, want.Name)
		for slot, v := range e.Values {
			captured := got.Values[(i*got.Slots+slot)*got.Stride:][:got.ValueSize]
			require.Equal(t, string(v), string(captured), "%s: key %x, slot %d", want.Name, e.Key, slot)
		}
	}
}

func requireTasks(t *testing.T, want zoo, got *ktsnap.Map) {
	t.Helper()
	require.Equal(t, ktsnap.Complete, got.Status, got.Reason)
	require.Equal(t, len(want.Tasks), got.N)
	for i, o := range got.Owners {
		require.Equal(t, want.Tasks[o.PID], got.Values[i*got.Stride:][:got.ValueSize], "task %d", o.PID)
		require.Equal(t, o.PID, o.TGID)
		require.NotEmpty(t, o.Comm)
	}
}

func requirePages(t *testing.T, want zoo, got *ktsnap.Map) {
	t.Helper()
	require.Equal(t, ktsnap.Complete, got.Status, got.Reason)
	pages := make(map[uint64][]byte)
	for _, e := range got.Extents {
		for at := 0; at < len(e.Data); at += 4096 {
			pages[e.Addr+uint64(at)] = e.Data[at : at+4096]
		}
	}
	require.Equal(t, want.Pages, pages)
}

func requireQueued(t *testing.T, name string, want [][]byte, got *ktsnap.Map) {
	t.Helper()
	require.Equal(t, ktsnap.Complete, got.Status, got.Reason)
	require.Equal(t, len(want), got.N)
	want = slices.Clone(want)
	if name == "stack" {
		slices.Reverse(want)
	}
	for i := range want {
		require.Equal(t, want[i], got.Values[i*got.Stride:][:got.ValueSize], "%s %d", name, i)
	}
}

func requireRecords(t *testing.T, name string, want []zooRecord, got *ktsnap.Map) {
	t.Helper()
	require.Equal(t, ktsnap.Complete, got.Status, got.Reason)
	require.Len(t, got.Extents, len(want), name)
	for i, record := range want {
		const discarded = 1 << 30
		raw := got.Extents[i].Data
		require.Len(t, raw[8:], len(record.Data), "%s: record %d", name, i)
		if !record.Discarded { // nothing is written into those
			require.Equal(t, record.Data, raw[8:], "%s: record %d", name, i)
		}
		require.Equal(t, record.Discarded, binary.LittleEndian.Uint32(raw)&discarded != 0, "%s: record %d", name, i)
	}
}

// requireSlots holds what is in the occupied slots against what was put there.
func requireSlots(t *testing.T, want map[uint32]uint64, got *ktsnap.Map) {
	t.Helper()
	require.Equal(t, ktsnap.Complete, got.Status, "%s: %s", got.Name, got.Reason)
	occupied := make(map[uint32]uint64)
	for i := range got.N {
		slot := uint32(i)
		if got.Keys != nil {
			slot = binary.LittleEndian.Uint32(got.Keys[4*i:])
		}
		value := make([]byte, 8)
		copy(value, got.Values[i*got.Stride:][:got.ValueSize])
		if number := binary.LittleEndian.Uint64(value); number != 0 {
			occupied[slot] = number
		}
	}
	require.Equal(t, want, occupied, got.Name)
}

// requireFollowed looks for where the instructions of a program went: the jump
// is gone, and the call that follows it has become several.
func requireFollowed(t *testing.T, snap *ktsnap.Snapshot, want zoo) {
	t.Helper()
	if slices.Contains(want.Newer, "insns") {
		return
	}
	m := mapNamed(t, snap, "insns")
	require.NotNil(t, m.Value)
	require.Equal(t, "bpf_insn_array_value", m.Value.Name)
	var translated []int32
	for i := range m.N {
		translated = append(translated, int32(binary.LittleEndian.Uint32(m.Values[i*m.Stride+4:])))
	}
	require.Equal(t, []int32{0, -1, 1}, translated[:3])
	require.Greater(t, translated[3], int32(2))
}

// requireNamedStack looks for the program that kept its stack, and the system
// call that ran it.
func requireNamedStack(t *testing.T, snap *ktsnap.Snapshot, m *ktsnap.Map) {
	t.Helper()
	require.Equal(t, 1, m.N)
	var frames []string
	for at := 0; at+8 <= m.ValueSize; at += 8 {
		if addr := binary.LittleEndian.Uint64(m.Values[at:]); addr != 0 {
			frames = append(frames, snap.Frame(ktsnap.Address(addr)).String())
		}
	}
	require.Regexp(t, `^bpf_prog_[0-9a-f]{16}_zoo_stack\+0x`, frames[0], "%v", frames)
	require.True(t, slices.ContainsFunc(frames, func(f string) bool { return strings.HasPrefix(f, "__sys_bpf+0x") }), "%v", frames)
}

// busy boots a guest whose CPUs all work, scheduled by the example scheduler.
func busy(t testing.TB) *ktest.VM {
	t.Helper()
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object(exampleObject)})
	_, err := vm.Work(t.Context(), ktest.Spin, len(vm.Kernel().Online))
	require.NoError(t, err)
	return vm
}

func TestManyCapturesOfABusyGuestInARow(t *testing.T) {
	const captures = 500
	vm := busy(t)
	for n := 0; len(vm.Captures().Events()) == 0; n++ { // until the store has its directory open
		require.Less(t, n, captures, "no snapshot goes to a file")
		vm.Freeze("first")
	}
	goroutines, files := goruntime.NumGoroutine(), openFiles(t)
	var dispatched []uint64
	for range captures {
		snap := vm.Freeze("again")
		for _, m := range snap.Maps {
			require.Equal(t, ktsnap.Complete, m.Status, "%s: %s", m.Name, m.Reason)
		}
		require.Positive(t, mapNamed(t, snap, "task_ctxs").N)
		n, err := snap.Var("nr_dispatched").Uint64()
		require.NoError(t, err)
		dispatched = append(dispatched, n)
	}
	require.IsNonDecreasing(t, dispatched, "no capture is of an earlier moment than the one before")
	require.Greater(t, dispatched[captures-1], dispatched[0]+captures/10, "the guest runs between captures")
	require.LessOrEqual(t, goruntime.NumGoroutine(), goroutines+2)
	require.LessOrEqual(t, openFiles(t), files)
	_, err := vm.ReadFile(t.Context(), "/proc/uptime")
	require.NoError(t, err, "the guest answers")
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(entries)
}

// BenchmarkCapture measures how long captures stop a guest whose CPUs are all
// busy, by phase, next to the floor: a bare stop and resume, and a memcpy of as
// many bytes. "unchased" is how long it would be without following pointers.
// Percentiles need -benchtime=200x or more.
func BenchmarkCapture(b *testing.B) {
	vm := busy(b)
	snap := vm.Freeze("warm up")
	from, to := make([]byte, snap.Timing.Bytes), make([]byte, snap.Timing.Bytes)
	phases := make(map[string][]time.Duration)
	add := func(phase string, d time.Duration) { phases[phase] = append(phases[phase], d) }
	for b.Loop() {
		b.StopTimer()
		began := time.Now()
		require.NoError(b, vm.Machine().Pause(b.Context()))
		require.NoError(b, vm.Machine().Resume())
		roundTrip := time.Since(began)
		began = time.Now()
		copy(to, from)
		add("floor", roundTrip+time.Since(began))
		b.StartTimer()

		snap, err := vm.TryFreeze(context.Background(), "bench")
		require.NoError(b, err)
		add("paused", snap.Timing.Paused)
		add("stop", snap.Timing.Stop)
		add("walk", snap.Timing.Walk)
		add("copy", snap.Timing.Copy)
		add("chase", snap.Timing.Chase)
		add("unchased", snap.Timing.Paused-snap.Timing.Chase)
		add("resume", snap.Timing.Resume)
	}
	for phase, times := range phases {
		slices.Sort(times)
		b.ReportMetric(milliseconds(times[len(times)/2]), phase+"-p50-ms")
		b.ReportMetric(milliseconds(times[len(times)*99/100]), phase+"-p99-ms")
	}
	paused, floor := phases["paused"], phases["floor"]
	b.ReportMetric(float64(paused[len(paused)/2])/float64(floor[len(floor)/2]), "paused/floor")
	unchased := phases["unchased"]
	b.ReportMetric(float64(paused[len(paused)/2])/float64(unchased[len(unchased)/2]), "paused/unchased")
	b.ReportMetric(float64(snap.Timing.Bytes), "bytes")
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// captureUntilItFails captures until that fails, which must be soon, and
// returns the captures before and the error.
func captureUntilItFails(t *testing.T, vm *ktest.VM) ([]*ktsnap.Snapshot, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var snaps []*ktsnap.Snapshot
	for {
		snap, err := vm.TryFreeze(ctx, "until it fails")
		if err != nil {
			require.NoError(t, ctx.Err(), "a capture waits for a guest that is no more")
			return snaps, err
		}
		snaps = append(snaps, snap)
	}
}

func TestCaptureOfAGuestThatEndsIsOneError(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(t *testing.T, vm *ktest.VM)
		want string
	}{
		"QEMU is killed": {func(t *testing.T, vm *ktest.VM) {
			qemu, err := os.FindProcess(vm.Machine().PID())
			require.NoError(t, err)
			require.NoError(t, qemu.Kill())
		}, "killed"},
		"the guest panics": {func(_ *testing.T, vm *ktest.VM) {
			_ = vm.WriteFile(context.Background(), "/proc/sysrq-trigger", []byte("c"), 0)
		}, "panic"},
	} {
		t.Run(name, func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object(exampleObject), ExpectExit: true})
			first := vm.Freeze("before")
			var ending sync.WaitGroup
			ending.Go(func() { c.end(t, vm) })
			_, err := captureUntilItFails(t, vm)
			ending.Wait()
			t.Log(err)
			require.ErrorContains(t, err, "take snapshot")
			require.ErrorContains(t, err, c.want)
			require.Positive(t, mapNamed(t, first, "task_ctxs").N, "what was captured before stays readable")
		})
	}
}

func TestCancelledCapturesLeaveTheGuestRunning(t *testing.T) {
	vm := busy(t)
	vm.Freeze("warm up")
	for i := range 100 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*20*time.Microsecond)
		_, err := vm.TryFreeze(ctx, "cancelled")
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
		}
	}
	status, err := vm.Machine().Status(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, "running", status)
	require.Positive(t, mapNamed(t, vm.Freeze("after"), "task_ctxs").N)
}
