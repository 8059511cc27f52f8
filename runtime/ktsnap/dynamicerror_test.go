package ktsnap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// What a test prints when a read by path fails: each says what was read, why
// it failed, what there is, and what to do.
func TestMessagesSayWhatToDo(t *testing.T) {
	s := newGuest()
	writer{s.Maps[2].Values[96:]}.u64(48, 0xffff_8880_0bad_0000) // the leader of CPU 1's first task
	task := s.Map("scx_per_task").CPU(1).At(0)
	hash := s.Map("task_ctxs").At(0)
	uintError := func(v ktsnap.Value) error { _, err := v.Uint64(); return err }
	strError := func(v ktsnap.Value) error { _, err := v.Str(); return err }
	for _, row := range []struct {
		err  error
		want string
	}{
		{hash.Get("leader.ctx.wieght").Err(), `Get task_ctxs[1234].leader.ctx.wieght at 0xffff888000100070: leader.ctx is a struct ctx, which has no member "wieght" (did you mean "weight"?); it has weight, policy, whole, lo, hi`},
		{hash.Get("xyz").Err(), `Get task_ctxs[1234].xyz: the value is a struct task_ctx, which has no member "xyz"; it has tid, runtime_ns, ctx, comm, leader, indirect, per_llc, rows, cgroup`},
		{hash.Get("ctx.weight.x").Err(), `Get task_ctxs[1234].ctx.weight.x: ctx.weight is a Uint (u32), which has no members and so no "x"; end the path there`},
		{hash.Get("per_llc.x").Err(), `Get task_ctxs[1234].per_llc.x: per_llc is an Array (u32[4]), which has no members and so no "x"; choose an element first, as in [0]`},
		{hash.Get("ctx[2]").Err(), `Get task_ctxs[1234].ctx[2]: ctx is a Struct (struct ctx), which has no elements and so no [2]; choose a member by its name`},
		{hash.Get("per_llc[9]").Err(), `Get task_ctxs[1234].per_llc[9]: index 9 is out of range: task_ctxs[1234].per_llc has entries [0] to [3]`},
		{hash.Get("ctx..weight").Err(), `Get task_ctxs[1234].ctx..weight: path "ctx..weight" has an empty component at byte 4: write each member once between dots, as in "ctx.weight"`},
		{hash.Get("per_llc[x]").Err(), `Get task_ctxs[1234].per_llc[x]: path "per_llc[x]" is wrong at byte 8: a bracket holds an index, such as [3], or a name in double quotes, such as ["a.b"]`},
		{hash.Get("cgroup.id").Err(), `Get task_ctxs[1234].cgroup.id: follow task_ctxs[1234].cgroup: the pointer is NULL; test it before you read its target`},
		{task.Get("leader.tid").Err(), `Get scx_per_task[cpu=1][0].leader.tid at 0xffff888000100090: follow scx_per_task[cpu=1][0].leader: the struct task_ctx at 0xffff88800bad0000 was not captured: no map, section or arena page of the snapshot holds that address; the pointer is stale, or its target was left out of the capture: Status tells which maps are incomplete`},
		{uintError(hash.Get("ctx")), `Uint64 task_ctxs[1234].ctx: cannot read a Struct (struct ctx) as uint64; choose a member with Get`},
		{strError(hash.Get("ctx.weight")), `Str task_ctxs[1234].ctx.weight: cannot read a Uint (u32) as Enum or char[]; Int64, Uint64 and Bool take it`},
		{uintError(s.Map("scalars").At(0).Get("neg")), `Uint64 scalars[0].neg: cannot read the Int -3 (s32) as uint64; Int64 and Bytes take such numbers`},
		{strError(s.Map("scalars").At(0).Get("odd_e")), `Str scalars[0].odd_e: cannot read the Enum 17 (enum policy) as Enum or char[]; its enum has no name for this value: Int64 and Uint64 read its number`},
		{s.Map("scx_pcpu").At(0).Get("").Err(), `Get scx_pcpu[0]: scx_pcpu has a value for each of 2 CPUs: choose one with CPU(n) first, or in a path, as in scx_pcpu[cpu=0][0]`},
		{s.Map("scx_pcpu").CPU(0).At(0).Get("").Err(), `Get scx_pcpu[cpu=0][0]: scx_pcpu has no memory for CPU 0: it is possible and was never brought up; Guest.Online has those that were`},
		{s.Map("scx_pcpu").At(0).CPU(7).Err(), `CPU scx_pcpu[0]: no CPU 7: scx_pcpu has a value for each of the CPUs 0 to 1`},
		{s.Map("scx_pcpu").CPU(7).At(0).Err(), `CPU scx_pcpu: no CPU 7: scx_pcpu has a value for each of the CPUs 0 to 1`},
		{s.Map("scx_pcpu").CPU(1).At(7).Err(), `At scx_pcpu[cpu=1]: index 7 is out of range: scx_pcpu has one entry, [0]`},
		{s.Map("task_ctxs").Lookup(1).Err(), `Lookup task_ctxs: no entry for 1; task_ctxs has 4 entries: 1234, 1235, 1236, 1237`},
		{s.Map("task_ctxs").Lookup("x").Err(), `Lookup task_ctxs: cannot read a Go string (x) as a key of 4 bytes, s32; other keys are found with Find and Key, or by their bytes`},
		{s.Get("task_ctxs[x].comm").Err(), `Lookup task_ctxs: no entry for x; task_ctxs has 4 entries: 1234, 1235, 1236, 1237`},
		{s.Get("task_ctxs[0x10000000000]").Err(), `Lookup task_ctxs: cannot read a Go int64 (1099511627776) as a key of 4 bytes, s32; other keys are found with Find and Key, or by their bytes`},
		{s.Get("a_rather_long_n[7]").Err(), `Lookup a_rather_long_n: no entry for 7; a_rather_long_n has 2 entries: "first", "second"`},
		{s.Get("a_rather_long_n[{a: 1}]").Err(), `Lookup a_rather_long_n: no entry for {a: 1}; a_rather_long_n has 2 entries: "first", "second"`},
		{s.Get("scx_pcpu[0]").Err(), `Get scx_pcpu[0]: scx_pcpu has a value for each of 2 CPUs: choose one with CPU(n) first, or in a path, as in scx_pcpu[cpu=0][0]`},
		{s.Map("task_ctxs").Find(func(e ktsnap.Entry) bool { return e.Get("tip").Err() == nil }).Err(), `Find task_ctxs: none of the 4 entries of task_ctxs matches; reading them failed: Get task_ctxs[1234].tip: the value is a struct task_ctx, which has no member "tip" (did you mean "tid"?); it has tid, runtime_ns, ctx, comm, leader, indirect, per_llc, rows, cgroup; their keys: 1234, 1235, 1236, 1237`},
		{s.Var("nr_cpus_onln").Err(), `Var nr_cpus_onln: 2 variables are called "nr_cpus_onln", in oldsched.bss (id 1), mysched.bss (id 10): choose the active scheduler's with Active().Var, or one with MapByID(id).At(0).Get`},
		{s.Var("slize").Err(), `Var slize: no variable "slize" in any global section (did you mean "slice"?); there are nr_cpus_onln, head, nr_dispatched, ctx, slice, limit, dispatch.count`},
		{s.Map(".bss").Err(), `Map .bss: 2 maps answer to ".bss": oldsched.bss (id 1), mysched.bss (id 10): choose with ktrt.MapIDs, or by the whole name where maps are read by name`},
		{s.Map("arena").At(0).Err(), `At arena: arena, an ARENA, has pages and no entries: follow a pointer into it with Get, or take its pages from Map().Extents`},
		{s.Map("untyped").At(0).Get("x").Err(), `Get untyped[0x01020304].x: the guest has no BTF for the value of untyped: the program that created the map did not say its type; read its bytes, or give the map's definition a __type(value, ...)`},
		{(&ktsnap.Snapshot{}).Active().Var("x").Err(), `Var x: no active scheduler: no captured program has a sched_ext_ops; choose maps with Select(ids...)`},
		{(*ktsnap.Snapshot)(nil).Map("x").Err(), `Map x: the snapshot is nil: its capture failed, and series.Capture.NoSnapshot says why`},
	} {
		require.EqualError(t, row.err, row.want)
		require.NotContains(t, row.err.Error(), "\n")
	}
}
