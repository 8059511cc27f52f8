package ktest

import (
	"context"
	"fmt"
	"time"

	"github.com/ktgen/ktgen/scenario"
)

// Work is what workers in the guest do. Package scenario has more kinds of it.
type Work = scenario.Kind

// Kinds of work. A worker is a process of its own, and one thread of it works.
const (
	Spin  = scenario.Spin
	Sleep = scenario.SleepWake
	Yield = scenario.Yield
)

// Workers are processes that work in the guest until they are stopped.
type Workers struct {
	PIDs []int // in the guest

	running *scenario.Running
}

// Work starts n workers and returns when all of them work. They end with the
// guest, or by [Workers.Stop]. It is the simple form of [VM.Spawn].
func (vm *VM) Work(ctx context.Context, work Work, n int) (*Workers, error) {
	running, err := vm.Spawn(ctx, scenario.Workers{Name: vm.workName(work), Kind: work, Count: n})
	if err != nil {
		return nil, err
	}
	return &Workers{PIDs: running.PIDs, running: running}, nil
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

// stopTime is how long workers may take to end. Those that a scheduler does not
// let run end when the kernel's watchdog has thrown it out.
const stopTime = time.Minute

// Stop ends the workers. It returns when they have ended, or with the guest, or
// gives up after a minute.
func (w *Workers) Stop() {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	_, _ = w.running.Stop(ctx) // what ended before is ended, too
}

// Stats returns what the workers have done since their start.
func (w *Workers) Stats(ctx context.Context) ([]scenario.Stats, error) {
	return w.running.Stats(ctx)
}
