package examplesched_test

import (
	"encoding/json"
	"os/exec"
	"strconv"
	"testing"

	examplesched "github.com/ktgen/ktgen/example_sched"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/stretchr/testify/require"
)

// TestTypedValuesEqualBpftools compares two decoders that have nothing in
// common but the bytes: the generated one, and bpftool's in the guest. bpftool
// dumps neither arenas nor storage maps.
func TestTypedValuesEqualBpftools(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{
		CPUs:      2,
		Scheduler: scheduler,
		Files:     map[string]string{"/bin/bpftool": bpftool(t)},
	})
	_, err := vm.Work(t.Context(), ktest.Sleep, 3)
	require.NoError(t, err)

	var frozen *ktsnap.Snapshot
	dumps := map[string][]byte{}
	whileClosed(t, vm, func() {
		frozen = vm.Freeze("closed")
		for _, m := range frozen.Maps {
			if m.Type == ktsnap.MapTypeArena || m.Type == ktsnap.MapTypeTaskStorage {
				continue
			}
			id := strconv.Itoa(int(m.ID))
			out, err := vm.Exec(t.Context(), "/bin/bpftool", "-j", "map", "dump", "id", id)
			require.NoError(t, err)
			dumps[m.Name] = out.Stdout
		}
	})
	snap := examplesched.Bind(t, frozen)

	t.Run("bss", func(t *testing.T) { compareBss(t, snap.Bss(), section(t, dumps["sched.bss"], ".bss")) })
	t.Run("data", func(t *testing.T) {
		vars := section(t, dumps["sched.data"], ".data")
		require.Equal(t, snap.Data().SliceNs, decode[uint64](t, vars["slice_ns"]))
		require.Equal(t, snap.Data().SleepCreditPct, decode[uint32](t, vars["sleep_credit_pct"]))
	})
	t.Run("rodata", func(t *testing.T) {
		vars := section(t, dumps["sched.rodata"], ".rodata")
		require.Equal(t, snap.Rodata().SliceMinNs, decode[uint64](t, vars["slice_min_ns"]))
		require.Equal(t, snap.Rodata().AccountKthreads, decode[bool](t, vars["account_kthreads"]))
	})
	t.Run("scx_per_task", func(t *testing.T) { comparePerCPU(t, snap.ScxPerTask(), dumps["scx_per_task"]) })
	t.Run("task_ctxs", func(t *testing.T) { compareTaskCtxs(t, snap.TaskCtxs(), dumps["task_ctxs"]) })
}

// bpftool finds the program. Debian has it in /usr/sbin, which is not on every
// user's $PATH.
func bpftool(t *testing.T) string {
	for _, name := range []string{"bpftool", "/usr/sbin/bpftool"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatal("no bpftool: scripts/setup test installs it")
	return ""
}

// The types below are what bpftool prints. It shows bitfields as the hex digits
// of their bits.

type bpftoolCtx struct {
	Weight uint32
	Policy string
}

type bpftoolRun struct {
	Ctx        bpftoolCtx
	Tid        int32
	Switches   uint32
	Started_at uint64
	Runtime_ns uint64
	Task       uint64
}

type bpftoolTask struct {
	Ctx      bpftoolCtx
	Comm     string
	Vtime    uint64
	Task     uint64
	Kthread  string
	On_cpu   string
	Last_cpu string
	Nice     string
	Wakeups  uint32
}

type bpftoolExit struct {
	Kind   int32
	Code   int64
	Reason string
	Msg    string
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	require.NoError(t, json.Unmarshal(data, &v), "%s", data)
	return v
}

// section returns the variables of a section: bpftool prints a list of objects
// with one variable each.
func section(t *testing.T, dump []byte, name string) map[string]json.RawMessage {
	t.Helper()
	type formatted struct {
		Formatted struct {
			Value map[string][]map[string]json.RawMessage
		}
	}
	entries := decode[[]formatted](t, dump)
	require.Len(t, entries, 1)
	vars := make(map[string]json.RawMessage)
	for _, v := range entries[0].Formatted.Value[name] {
		for name, value := range v {
			vars[name] = value
		}
	}
	require.NotEmpty(t, vars)
	return vars
}

func compareBss(t *testing.T, bss *examplesched.Bss, vars map[string]json.RawMessage) {
	require.Equal(t, decode[bool](t, vars["books_closed"]), bss.BooksClosed)
	require.True(t, bss.BooksClosed)
	require.Equal(t, decode[uint64](t, vars["nr_direct"]), bss.NrDirect)
	require.Equal(t, decode[uint64](t, vars["vtime_now"]), bss.VtimeNow)
	require.Equal(t, decode[uint64](t, vars["nr_enqueued"]), bss.NrEnqueued)
	require.Equal(t, decode[uint64](t, vars["nr_dispatched"]), bss.NrDispatched)
	require.Equal(t, decode[[8]uint64](t, vars["runs_by_policy"]), bss.RunsByPolicy)
	require.Equal(t, decode[uint32](t, vars["nr_tasks"]), bss.NrTasks)
	require.Equal(t, decode[uint32](t, vars["nr_cpus_onln"]), bss.NrCpusOnln)
	require.Equal(t, decode[uint32](t, vars["next_free"]), bss.NextFree)

	exit := decode[bpftoolExit](t, vars["exit_record"])
	require.Equal(t, exit, bpftoolExit{
		Kind: bss.ExitRecord.Kind, Code: bss.ExitRecord.Code, Reason: bss.ExitRecord.Reason, Msg: bss.ExitRecord.Msg,
	})
}

func comparePerCPU(t *testing.T, m ktrt.PerCPUArray[examplesched.CpuRun], dump []byte) {
	type formatted struct {
		Formatted struct {
			Key    int
			Values []struct {
				CPU   int
				Value bpftoolRun
			}
		}
	}
	entries := decode[[]formatted](t, dump)
	require.Len(t, entries, m.Len())
	for _, e := range entries {
		require.Len(t, e.Formatted.Values, m.CPUs())
		for _, v := range e.Formatted.Values {
			run := m.CPU(v.CPU).At(e.Formatted.Key)
			require.Equal(t, v.Value, bpftoolRun{
				Ctx: ctxOf(run.Ctx), Tid: run.Tid, Switches: run.Switches,
				Started_at: run.StartedAt, Runtime_ns: run.RuntimeNs, Task: run.Task.Addr(),
			})
		}
	}
}

func compareTaskCtxs(t *testing.T, m ktrt.Hash[int32, examplesched.TaskCtx], dump []byte) {
	type formatted struct {
		Formatted struct {
			Key   int32
			Value bpftoolTask
		}
	}
	entries := decode[[]formatted](t, dump)
	require.Len(t, entries, m.Len())
	for _, e := range entries {
		task := m.Get(e.Formatted.Key)
		require.Equal(t, e.Formatted.Value, bpftoolTask{
			Ctx: ctxOf(task.Ctx), Comm: task.Comm, Vtime: task.Vtime, Task: task.Task.Addr(),
			Kthread: bits(task.Kthread), On_cpu: bits(task.OnCpu), Last_cpu: bits(task.LastCpu),
			Nice: bits(uint32(task.Nice) & 0x3f), Wakeups: task.Wakeups,
		})
	}
}

func ctxOf(c examplesched.Ctx) bpftoolCtx {
	return bpftoolCtx{Weight: c.Weight, Policy: c.Policy.String()}
}

func bits(v uint32) string { return "0x" + strconv.FormatUint(uint64(v), 16) }
