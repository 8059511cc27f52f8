package ktsnap_test

import (
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func ExampleSnapshot_Map() {
	snap := newGuest() // or what a freeze or ktsnap.ReadFile returned

	weight, err := snap.Map("scx_per_task").CPU(1).At(0).Get("ctx.weight").Uint64()
	fmt.Println(weight, err)

	policy, err := snap.Map("task_ctxs").Lookup(1234).Get("leader.ctx.policy").Str()
	fmt.Println(policy, err)
	// Output:
	// 100 <nil>
	// POLICY_BATCH <nil>
}

func ExampleSnapshot_Var() {
	snap := newGuest()

	fmt.Println(snap.Var("nr_dispatched").Uint64())
	fmt.Println(snap.Var("ctx").Get("weight").Uint64())

	var ambiguous *ktsnap.AmbiguousVarError
	if _, err := snap.Var("nr_cpus_onln").Uint64(); errors.As(err, &ambiguous) {
		fmt.Println(ambiguous.FoundIn)
	}
	fmt.Println(snap.Active().Var("nr_cpus_onln").Uint64())
	// Output:
	// 500 <nil>
	// 77 <nil>
	// [oldsched.bss mysched.bss]
	// 2 <nil>
}

func ExampleMapView_Find() {
	tasks := newGuest().Map("task_ctxs")

	task := tasks.Find(func(e ktsnap.Entry) bool {
		tid, err := e.Get("tid").Int64()
		return err == nil && tid == 1236
	})
	fmt.Println(task.Get("ctx").Rendered())

	_, err := task.Get("ctx.wieght").Uint64()
	fmt.Println(err)
	// Output:
	// {weight: 102, policy: POLICY_BATCH, whole: 8589934593, lo: 1, hi: 2} <nil>
	// Get task_ctxs[1236].ctx.wieght: ctx is a struct ctx, which has no member "wieght" (did you mean "weight"?); it has weight, policy, whole, lo, hi
}

func ExampleMapView_MaxBy() {
	busiest := newGuest().Map("task_ctxs").MaxBy(func(e ktsnap.Entry) uint64 {
		ns, _ := e.Get("runtime_ns").Uint64() // an error leaves the entry out
		return ns
	})
	fmt.Println(busiest.Path())
	fmt.Println(busiest.Get("runtime_ns").Uint64())
	// Output:
	// task_ctxs[1237]
	// 4000 <nil>
}

func ExampleValue_Get() {
	task := newGuest().Map("scx_per_task").CPU(1).At(2)

	fmt.Println(task.Get("leader.tid").Int64())        // through a pointer
	fmt.Println(task.Get("ctx.hi").Uint64())           // of an anonymous struct
	fmt.Println(task.Get("per_llc[3]").Uint64())       // of an array
	fmt.Println(task.Get("ctx").Get("weight").Int64()) // as "ctx.weight"
	// Output:
	// 1234 <nil>
	// 2 <nil>
	// 32 <nil>
	// 102 <nil>
}
