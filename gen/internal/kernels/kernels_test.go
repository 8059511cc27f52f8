package kernels_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen/internal/kernels"
	"github.com/ktgen/ktgen/ktest"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm/kernel"
)

func TestMain(m *testing.M) { ktest.Main(m) }

const object = "testdata/watcher.bpf.o"

// layout is where a kernel has members of struct task_struct that the program
// declares, in bytes; those that it lacks are missing.
type layout map[string]uint32

// The scheduler declares what one of the kernels lacks, and the other has
// elsewhere. What it read by itself on the kernel that runs is held against what
// the generated file reads.
func TestOneFileReadsTheSchedulerOnKernelsThatDiffer(t *testing.T) {
	var layouts []layout
	for _, k := range twoKernels(t) {
		layouts = append(layouts, layoutOf(t, k))
		t.Run(k.Release, func(t *testing.T) { requireTasks(t, k, layouts[len(layouts)-1]) })
	}
	newer, older := layouts[0], layouts[1]
	for _, member := range []string{"pid", "comm"} {
		require.NotEqual(t, older[member], newer[member], "task_struct.%s is at one place on both: choose other kernels (make test OLDER=VERSION)", member)
	}
	for _, member := range []string{"real_fs", "scx.runnable_cpu"} {
		require.Contains(t, newer, member)
		require.NotContains(t, older, member, "no kernel lacks it: choose an older one (make test OLDER=VERSION)")
	}
}

// twoKernels returns the kernel of all tests and the newest of another version
// in the cache.
func twoKernels(t *testing.T) []*kernel.Kernel {
	t.Helper()
	skip := t.Skipf
	if ci, _ := strconv.ParseBool(os.Getenv("CI")); ci {
		skip = t.Fatalf
	}
	usual, err := kernel.Find(t.Context())
	if err != nil {
		skip("no kernel: %v", err)
	}
	t.Setenv(kernel.Env, "") // the others are looked for as well
	looked, err := kernel.Survey(t.Context())
	require.NoError(t, err)
	for _, look := range looked {
		if look.Err == nil && version(look.Kernel) != version(usual) {
			return []*kernel.Kernel{usual, look.Kernel}
		}
	}
	skip("there is one kernel, %s: run `ktgen kernel fetch -release 7.2` to download another one (14 MB)", usual.Release)
	return nil
}

// version is the first two numbers of a release.
func version(k *kernel.Kernel) string {
	major, rest, _ := strings.Cut(k.Release, ".")
	minor, _, _ := strings.Cut(rest, ".")
	return major + "." + minor
}

// layoutOf asks the kernel's own BTF.
func layoutOf(t *testing.T, k *kernel.Kernel) layout {
	t.Helper()
	raw, err := k.BTF()
	require.NoError(t, err)
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	require.NoError(t, err)
	var task, entity *btf.Struct
	require.NoError(t, spec.TypeByName("task_struct", &task))
	require.NoError(t, spec.TypeByName("sched_ext_entity", &entity))
	l := make(layout)
	for _, m := range task.Members {
		l[m.Name] = m.Offset.Bytes()
	}
	for _, m := range entity.Members {
		l["scx."+m.Name] = l["scx"] + m.Offset.Bytes()
	}
	return l
}

func requireTasks(t *testing.T, k *kernel.Kernel, l layout) {
	t.Helper()
	vm := ktest.Boot(t, ktest.Config{Kernel: k.Path, Scheduler: ktest.Object(object)})
	require.Equal(t, k.Release, vm.Kernel().Release)
	workers, err := vm.Work(t.Context(), ktest.Spin, 3)
	require.NoError(t, err)
	frozen := vm.Freeze("spinning")
	snap := kernels.Bind(t, frozen)

	for pid, seen := range snap.Tasks().All() {
		task, err := seen.Task.Lookup()
		require.NoError(t, err, "task %d", pid)
		require.Equal(t, pid, task.Pid)
		require.Equal(t, seen.Tgid, task.Tgid)
		require.Equal(t, seen.StaticPrio, task.StaticPrio)
		require.Equal(t, seen.Weight, task.Scx.Weight)
		requireAbsent(t, snap, task, l)
	}
	require.GreaterOrEqual(t, snap.Pids().Len(), len(workers.PIDs))
	for p, pid := range snap.Pids().All() {
		task, err := p.Lookup()
		require.NoError(t, err, "task %d", pid)
		require.Equal(t, pid, task.Pid)
		require.Equal(t, pid, *snap.Pids().Get(p))
		require.Equal(t, pid, *snap.Pids().Get(ktrt.PtrTo[kernels.TaskStruct](p.Addr())))
	}
	for _, pid := range workers.PIDs {
		comm, err := vm.Agent().ReadFile(t.Context(), fmt.Sprintf("/proc/%d/comm", pid))
		require.NoError(t, err)
		seen := snap.Tasks().Get(int32(pid))
		task := seen.Task.Deref()
		require.Equal(t, strings.TrimSpace(string(comm)), task.Comm)
		require.Equal(t, seen.Comm, task.Comm)
		require.Equal(t, task.Tgid, task.GroupLeader.Deref().Pid)
		require.NotZero(t, task.Fs)
		if _, has := l["real_fs"]; has {
			require.NotZero(t, task.RealFs)
		}
	}
	requireByPath(t, frozen, workers.PIDs[0], l)
}

// requireAbsent fails unless the members that the kernel lacks say so, and the
// others do not.
func requireAbsent(t *testing.T, snap kernels.Snap, task *kernels.TaskStruct, l layout) {
	t.Helper()
	has := func(member string) bool { _, has := l[member]; return has }
	require.Equal(t, !has("pid"), ktrt.Absent(snap, &task.Pid))
	require.Equal(t, !has("comm"), ktrt.Absent(snap, &task.Comm))
	require.Equal(t, !has("real_fs"), ktrt.Absent(snap, &task.RealFs))
	require.Equal(t, !has("scx.weight"), ktrt.Absent(snap, &task.Scx.Weight))
	require.Equal(t, !has("scx.runnable_cpu"), ktrt.Absent(snap, &task.Scx.RunnableCpu))
	require.True(t, ktrt.Absent(snap, &task.Scx.NoKernelHasThis))
	require.Zero(t, task.Scx.NoKernelHasThis)
	if !has("real_fs") {
		require.Zero(t, task.RealFs)
	}
}

// requireByPath reads a task as the guest's kernel describes it.
func requireByPath(t *testing.T, snap *ktsnap.Snapshot, pid int, l layout) {
	t.Helper()
	entry := snap.Map("tasks").Lookup(pid)
	got, err := entry.Get("task.pid").Int64()
	require.NoError(t, err)
	require.EqualValues(t, pid, got)
	for path, member := range map[string]string{"task.real_fs": "real_fs", "task.scx.runnable_cpu": "scx.runnable_cpu"} {
		_, err = entry.Get(path).Bytes()
		if _, has := l[member]; has {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, member[strings.LastIndex(member, ".")+1:])
		}
	}
}

func TestKeysThatPointToTasksAreFoundByTheirAddresses(t *testing.T) {
	pid, task := int32(7), ktrt.PtrTo[kernels.TaskStruct](0xffff_8880_0001_0000)
	snap := kernels.Fixture{Pids: map[ktrt.Ptr[kernels.TaskStruct]]*int32{task: &pid}}.Bind(t)
	require.Equal(t, pid, *snap.Pids().Get(task))
	_, ok := snap.Pids().Lookup(ktrt.PtrTo[kernels.TaskStruct](0xffff_8880_0002_0000))
	require.False(t, ok)
}
