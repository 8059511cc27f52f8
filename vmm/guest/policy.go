package guest

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// escapeScheduler makes every thread of the agent a real-time one, as far as
// they can: a BPF scheduler that drops tasks must not drop the agent, which is
// to report it. Threads that the Go runtime starts later inherit the policy.
// Programs that the agent starts do not; see spawn.
func escapeScheduler() error {
	// Goroutines that lock threads are started from a template thread, which
	// exists from the first of them on.
	locked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(locked)
		runtime.UnlockOSThread()
	}()
	<-locked

	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("make the agent's threads real-time ones: %w", err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		if err := setPolicy(tid, unix.SCHED_RR, 1); err != nil {
			return fmt.Errorf("make the agent's threads real-time ones: %w", err)
		}
	}
	return nil
}

// setPolicy sets the scheduling policy of a thread, 0 being the caller.
func setPolicy(tid int, policy uint32, priority uint32) error {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: policy, Priority: priority}
	if err := unix.SchedSetAttr(tid, &attr, 0); err != nil {
		return fmt.Errorf("sched_setattr: %w", err)
	}
	return nil
}
