package payloads_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/gen/internal/payloads"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestMain(m *testing.M) { ktest.Main(m) }

const objectFile = "testdata/payloads.bpf.o"

// TestPayloadsAreReadByTheirTypes reads what the scheduler keeps behind the headers
// of its two allocators, by type, by path and in text.
func TestPayloadsAreReadByTheirTypes(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object(objectFile)})
	workers, err := vm.Work(t.Context(), ktest.Sleep, 3)
	require.NoError(t, err)
	frozen := vm.Freeze("running")
	snap := payloads.Bind(t, frozen)

	for _, pid := range workers.PIDs {
		slot := snap.TaskSlots().Get(int32(pid))
		require.EqualValues(t, pid, slot.Data.Payload.Pid)
		require.EqualValues(t, pid*1000, slot.Data.Payload.Seed)
		require.Positive(t, slot.Data.Payload.NrEnqueued)
		require.Equal(t, slot.Tid, slot.Data.Tid)
	}
	running := 0
	for i := range 2 {
		head := snap.CpuSlots().At(i).Head
		if head == nil {
			continue // the CPU has had nothing to run
		}
		running++
		require.EqualValues(t, i, head.Cpu)
		require.EqualValues(t, head.Uses, head.Rest.NrRunning)
		require.Equal(t, head.Rest.LastPid, head.Rest.Last.Pid)
		byPath, err := frozen.Map("cpu_slots").At(i).Get("head.rest.nr_running").Uint64()
		require.NoError(t, err)
		require.Equal(t, head.Rest.NrRunning, byPath)
	}
	require.Positive(t, running)

	seed, err := frozen.Map("task_slots").Lookup(workers.PIDs[0]).Get("data.payload.seed").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, workers.PIDs[0]*1000, seed)
}

// TestWhatATestSaysIsBehindHeadersIsShown says something else than the analysis
// finds. Typed reads go by what the code was generated with.
func TestWhatATestSaysIsBehindHeadersIsShown(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{
		CPUs: 2, Scheduler: ktest.Object(objectFile),
		Casts: []ktsnap.Cast{{In: "struct task_slot", Path: "data", To: "struct cpu_ctx", Behind: 8}},
	})
	workers, err := vm.Work(t.Context(), ktest.Sleep, 1)
	require.NoError(t, err)
	frozen := vm.Freeze("running")
	pid := workers.PIDs[0]
	task := payloads.Bind(t, frozen).TaskSlots().Get(int32(pid)).Data.Payload
	require.EqualValues(t, pid, task.Pid)

	data := frozen.Map("task_slots").Lookup(pid).Get("data")
	seed, err := data.Get("payload.last_pid").Int64() // its lower half
	require.NoError(t, err)
	require.EqualValues(t, int32(task.Seed), seed)
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, frozen, dump.Options{Maps: []string{"task_slots"}}))
	require.Contains(t, text.String(), "payload: {nr_running: ")
}

// TestPayloadsAreReadWithoutTheAnalysis binds a snapshot of a guest of which nobody
// has analysed the object, so that its pointers lead to what BTF declares.
func TestPayloadsAreReadWithoutTheAnalysis(t *testing.T) {
	fixture := payloads.Fixture{
		TaskSlots: map[ktsnap.Owner]*payloads.TaskSlot{{PID: 7}: {Data: &payloads.SdtDataOfTaskCtx{Payload: payloads.TaskCtx{Pid: 7, Seed: 7000}}}},
	}
	snap := fixture.Snapshot(t)
	var task *ktsnap.Map
	for _, m := range snap.Maps {
		if m.Name == "task_slots" {
			task = m
		}
	}
	value := *task.Value
	value.Members = append([]ctype.Member(nil), value.Members...)
	value.Members[2].Type = &ctype.Shape{Kind: ctype.KindPointer, Size: 8, Elem: &ctype.Shape{Kind: ctype.KindFwd, Name: "sdt_data"}}
	task.Value = &value
	require.EqualValues(t, 7000, payloads.Bind(t, snap).TaskSlots().Get(7).Data.Payload.Seed)
}

func TestPayloadsAreShown(t *testing.T) {
	fixture := payloads.Fixture{
		TaskSlots: map[ktsnap.Owner]*payloads.TaskSlot{{PID: 7}: {Data: &payloads.SdtDataOfTaskCtx{Payload: payloads.TaskCtx{Pid: 7, Seed: 7000}}}},
	}
	var b bytes.Buffer
	require.NoError(t, dump.Text(&b, fixture.Snapshot(t), dump.Options{}))
	require.Contains(t, b.String(), "→ {payload: {pid: 7, seed: 7000}}")
}
