package public_test

import (
	"cmp"
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// selftest is how an object of the kernel's sched_ext selftests is started, and what
// becomes of it.
type selftest struct {
	object string
	as     string                                // the configuration, "" for the file's
	set    func(ktest.Scheduler) ktest.Scheduler // as the test's own C program does it
	refuse string                                // what is said of one that the kernel does not take
	asks   string                                // a program that is run
	ends   string                                // how one ends that is not told to end
}

func (s selftest) String() string { return strings.TrimSpace(s.object + " " + s.as) }

// at sets where the scheduler of exit ends itself (enum exit_test_case of exit_test.h).
func at(point int) func(ktest.Scheduler) ktest.Scheduler {
	return func(s ktest.Scheduler) ktest.Scheduler { return s.Set("exit_point", point) }
}

// special are the objects that do not run as they are until they are told to end. Objects
// that are not here do.
var special = map[string][]selftest{
	"cyclic_kick_wait": {{set: func(s ktest.Scheduler) ktest.Scheduler {
		return s.Set("test_cpu_a", 0).Set("test_cpu_b", 1).Set("test_cpu_c", 2)
	}}},
	"ddsp_bogus_dsq_fail":  {{ends: "non-existent DSQ 0xcafef00d"}},
	"ddsp_vtimelocal_fail": {{ends: "cannot use vtime ordering for built-in DSQs"}},
	"dequeue": {
		{as: "of local queues"},
		{as: "of its own queue", set: func(s ktest.Scheduler) ktest.Scheduler { return s.Set("test_scenario", 5) }},
	},
	"enq_last_no_enq_fails": {{refuse: "SCX_OPS_ENQ_LAST requires ops.enqueue() to be implemented"}},
	"exit": {
		{as: "in select_cpu", set: at(0), ends: "unregistered from BPF"},
		{as: "in enqueue", set: at(1), ends: "unregistered from BPF"},
		{as: "in dispatch", set: at(2), ends: "unregistered from BPF"},
		{as: "in enable", set: at(3), ends: "unregistered from BPF"},
		{as: "in init_task", set: at(4), ends: "unregistered from BPF"},
		{as: "in init", set: at(5), ends: "unregistered from BPF"},
	},
	"hotplug": {
		{refuse: "has 2 schedulers: name one of hotplug_cb_ops, hotplug_nocb_ops with Scheduler.Ops"},
		{as: "with callbacks", set: func(s ktest.Scheduler) ktest.Scheduler { return s.Ops("hotplug_cb_ops") }},
		{as: "without callbacks", set: func(s ktest.Scheduler) ktest.Scheduler { return s.Ops("hotplug_nocb_ops") }},
	},
	"maybe_null_fail_dsp": {{refuse: "the guest's verifier rejects program maybe_null_fail_dispatch: R1 invalid mem access"}},
	"maybe_null_fail_yld": {{refuse: "the guest's verifier rejects program maybe_null_fail_yield: R3 pointer arithmetic"}},
	"non_scx_kfunc_deny":  {{refuse: "is no scheduler: it has no struct sched_ext_ops"}},
	"numa": {
		{ends: "per-node idle tracking is disabled"},
		{as: "by node", set: func(s ktest.Scheduler) ktest.Scheduler {
			return s.Set("__COMPAT_SCX_PICK_IDLE_IN_NODE", 1<<1).Set("numa_ops.flags", 1<<6) // SCX_OPS_BUILTIN_IDLE_PER_NODE
		}},
	},
	"prog_run":                    {{}, {as: "asked to end", asks: "prog_run_syscall", ends: "unregistered from BPF"}},
	"select_cpu_dispatch_bad_dsq": {{ends: "non-existent DSQ 0xcafef00d"}},
	"select_cpu_dispatch_dbl_dsp": {{ends: "already direct-dispatched"}},
}

// The objects of the kernel's sched_ext selftests start as they do by the tests' own
// programs, and are captured while they schedule. Those that are made to fail do, with the
// kernel's reason.
func TestObjectsOfTheSelftestsRun(t *testing.T) {
	if !*every {
		t.Skip("it takes two minutes on a busy machine: -every")
	}
	objects, err := filepath.Glob(filepath.Join(programs(t, "runner"), "*.bpf.o"))
	require.NoError(t, err)
	vm := ktest.Boot(t, ktest.Config{CPUs: cpus, ExpectExit: true})
	pointers := newHeld()
	defer func() { t.Log(pointers) }()
	for _, path := range objects {
		name := strings.TrimSuffix(filepath.Base(path), ".bpf.o")
		if strings.HasPrefix(name, "scx_") { // of tools/sched_ext
			continue
		}
		rows := special[name]
		if rows == nil {
			rows = []selftest{{}}
		}
		for _, row := range rows {
			row.object = name
			t.Run(row.String(), func(t *testing.T) {
				if snap := row.run(t, vm, ktest.Object(path)); snap != nil {
					pointers.hold(t, path, snap)
				}
			})
		}
	}
}

// run starts a scheduler and returns a capture of it, or nil of one that is made to fail.
func (s selftest) run(t *testing.T, vm *ktest.VM, scheduler ktest.Scheduler) *ktsnap.Snapshot {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if s.set != nil {
		scheduler = s.set(scheduler)
	}
	err := vm.Attach(ctx, scheduler)
	if s.ends != "" && err != nil { // while it was started
		require.ErrorContains(t, err, s.ends)
		return nil
	}
	if s.refuse != "" {
		require.ErrorContains(t, err, s.refuse)
		return nil
	}
	require.NoError(t, err)
	defer func() { _, _ = vm.Detach(context.WithoutCancel(ctx)) }() // others use the guest
	if s.asks != "" {
		_, err := vm.RunProgram(ctx, s.asks, nil)
		require.NoError(t, err)
	}
	workers, err := vm.Work(ctx, ktest.Sleep, 3)
	require.NoError(t, err)
	defer func() { _, _ = workers.Stop(context.WithoutCancel(ctx)) }()
	if s.ends != "" {
		exit, err := vm.AwaitExit(ctx)
		require.NoError(t, err)
		require.Contains(t, exit.String(), s.ends)
		return nil
	}
	snap := vm.Freeze(s.String())
	require.Equal(t, "enabled", snap.Scheduler.State)
	require.NotEmpty(t, snap.Scheduler.Name)
	require.NotEmpty(t, snap.Maps)
	for _, m := range snap.Maps {
		require.Equal(t, ktsnap.Complete, m.Status, "%s: %s", m.Name, m.Reason)
	}
	return snap
}

// verdict is a line that the runner of the selftests prints for each test.
var verdict = regexp.MustCompile(`(?m)^(ok|not ok) \d+ (\w+) # *(SKIP)?`)

// The kernel's sched_ext selftests pass in the guest, each by its own program.
func TestSelftestsPass(t *testing.T) {
	if !*every {
		t.Skip("it takes three minutes on a busy machine: -every")
	}
	vm := ktest.Boot(t, ktest.Config{CPUs: cpus, Files: map[string]string{"/runner": filepath.Join(programs(t, "runner"), "runner")}})
	out, err := vm.Exec(t.Context(), "/runner", "-q")
	verdicts := verdict.FindAllStringSubmatch(string(out.Stdout), -1)
	for _, v := range verdicts {
		t.Logf("%s: %s", v[2], cmp.Or(v[3], v[1]))
		require.Equal(t, "ok", v[1], "%s", v[2])
	}
	require.NoError(t, err)
	require.Greater(t, len(verdicts), 30)
}
