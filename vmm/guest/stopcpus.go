package guest

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/mailbox"
)

// stopCPUs stops each vCPU after an instruction of the agent's own: a thread for each runs
// there, before all tasks, and stops it when all of them do. So where each of them stands
// does not depend on when the host sees that they do. It returns when they go on.
//
// A CPU waits for the others when it changes what they have cached of page tables, and would
// for those that are stopped. So the threads do nothing by then but wait for one another, and nothing
// of the Go runtime's interrupts them.
func stopCPUs() error {
	var online unix.CPUSet
	if err := unix.SchedGetaffinity(0, &online); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	n := online.Count()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(n + 1)) // the threads occupy n
	defer debug.SetGCPercent(debug.SetGCPercent(-1))    // it would wait for the threads, and they for one another
	var ready int32
	var mu sync.Mutex
	var failed error
	var all, prepared sync.WaitGroup
	prepared.Add(n)
	for cpu, left := 0, n; left > 0; cpu++ {
		if !online.IsSet(cpu) {
			continue
		}
		left--
		all.Go(func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			err := readyToStop(cpu)
			mu.Lock()
			if failed == nil {
				failed = err
			}
			mu.Unlock()
			prepared.Done()
			prepared.Wait()
			if failed == nil {
				meetAndOut(&ready, int32(n), mailbox.PortStop, mailbox.StopCPU)
			}
		})
	}
	all.Wait()
	return failed
}

// readyToStop makes the calling thread one that stops a vCPU.
func readyToStop(cpu int) error {
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("sched_setaffinity to CPU %d: %w", cpu, err)
	}
	const highest = 99
	if err := setPolicy(0, unix.SCHED_FIFO, highest); err != nil {
		return err
	}
	var all unix.Sigset_t
	for i := range all.Val {
		all.Val[i] = ^all.Val[i]
	}
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &all, nil); err != nil {
		return fmt.Errorf("sigprocmask: %w", err)
	}
	return allowPorts()
}
