package guest

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/mailbox"
)

// stopCPUs stops each vCPU after an instruction of the agent's own: a thread for each runs
// there, before all tasks, and stops it when all of them do. So where each of them stands
// does not depend on when the host sees that they do. It returns when they go on.
func stopCPUs() error {
	var online unix.CPUSet
	if err := unix.SchedGetaffinity(0, &online); err != nil {
		return fmt.Errorf("sched_getaffinity: %w", err)
	}
	n := int32(online.Count())
	var ready atomic.Int32
	var failed atomic.Pointer[error]
	var all sync.WaitGroup
	for cpu := range 8 * len(online) * 8 {
		if !online.IsSet(cpu) {
			continue
		}
		all.Go(func() {
			runtime.LockOSThread() // for good: the thread ends with the goroutine
			err := stopCPU(cpu, func() {
				ready.Add(1)
				for ready.Load() < n {
				}
			})
			if err != nil {
				failed.Store(&err)
				ready.Add(n)
			}
		})
	}
	all.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// stopCPU stops a vCPU once await has returned there.
func stopCPU(cpu int, await func()) error {
	var one unix.CPUSet
	one.Set(cpu)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("sched_setaffinity to CPU %d: %w", cpu, err)
	}
	const highest = 99
	if err := setPolicy(0, unix.SCHED_FIFO, highest); err != nil {
		return err
	}
	return withPorts(func() {
		await()
		outb(mailbox.PortStop, mailbox.StopCPU)
	})
}
