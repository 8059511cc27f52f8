package ktest

import (
	"context"
	"fmt"

	"github.com/ktgen/ktgen/scenario"
)

// Work is what workers in the guest do.
type Work = scenario.Kind

// Kinds of work, by the names that they have in package scenario. A worker is a process of its
// own, and one thread of it works.
const (
	Spin       = scenario.Spin       // runs without ever sleeping
	SleepWake  = scenario.SleepWake  // runs and sleeps
	Yield      = scenario.Yield      // gives up the CPU all the time
	IO         = scenario.IO         // writes, syncs and reads a file
	Pipe       = scenario.Pipe       // passes a message to and fro between two threads of its own
	ForkExit   = scenario.ForkExit   // makes a process that ends at once, and waits for it
	MemoryWalk = scenario.MemoryWalk // writes to each cache line of its memory
	Mixed      = scenario.Mixed      // does in turn what SleepWake, Yield, IO, ForkExit and MemoryWalk do

	Sleep = SleepWake // the same, as most tests call it
)

// Work starts n workers and returns when all of them work. They end with the
// guest, or by Stop. It is the simple form of [VM.Spawn]. n is at least 1.
func (vm *VM) Work(ctx context.Context, work Work, n int) (*scenario.Running, error) {
	if n < 1 {
		return nil, fmt.Errorf("start %d workers of kind %q: a test without workers shows nothing of its scheduler; start at least 1", n, work)
	}
	return vm.Spawn(ctx, scenario.Workers{Name: vm.workName(work), Kind: work, Count: n})
}

// workName makes up a name for workers: the kind's, and a number from the second
// time on.
func (vm *VM) workName(work Work) string {
	vm.mu.Lock()
	defer vm.mu.Unlock()
	if vm.works == nil {
		vm.works = make(map[Work]int)
	}
	vm.works[work]++
	if n := vm.works[work]; n > 1 {
		return fmt.Sprintf("%s.%d", work, n)
	}
	return string(work)
}
