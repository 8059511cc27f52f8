package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"golang.org/x/sys/unix"
)

// This file moves processes between cgroups and changes how they are scheduled.

func (a *Agent) place(_ context.Context, p wire.Placement) error {
	g, err := a.group(p.Workers)
	if err != nil {
		return err
	}
	for _, m := range g.members {
		if m.ended() {
			continue
		}
		if err := placeProcess(m.process.PID(), p); err != nil {
			return fmt.Errorf("%s (pid %d): %w", m.comm, m.process.PID(), err)
		}
	}
	return nil
}

func placeProcess(pid int, p wire.Placement) error {
	if p.Cgroup != nil {
		if err := control(cgroupDir(*p.Cgroup), "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	if p.CPUs == nil && p.Nice == nil && p.Policy == nil {
		return nil
	}
	return eachThread(pid, func(tid int) error { return placeThread(tid, p) })
}

func placeThread(tid int, p wire.Placement) error {
	if p.Policy != nil {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: *p.Policy, Priority: p.Priority}
		if p.Nice != nil {
			attr.Nice = int32(*p.Nice)
		}
		if err := unix.SchedSetAttr(tid, &attr, 0); err != nil {
			return fmt.Errorf("set the scheduling policy %d: %w", *p.Policy, err)
		}
	} else if p.Nice != nil {
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, *p.Nice); err != nil {
			return fmt.Errorf("set the nice value %d: %w", *p.Nice, err)
		}
	}
	if p.CPUs == nil {
		return nil
	}
	var set unix.CPUSet
	for _, cpu := range p.CPUs {
		set.Set(cpu)
	}
	if err := unix.SchedSetaffinity(tid, &set); err != nil {
		return fmt.Errorf("set the affinity to CPUs %v: %w", p.CPUs, err)
	}
	return nil
}

// maxRounds bounds how often threads are listed that start others meanwhile.
const maxRounds = 100

// eachThread calls do for the threads of a process until there are no new ones:
// a thread that starts after that has inherited from one that was seen.
func eachThread(pid int, do func(tid int) error) error {
	seen := make(map[string]bool)
	for range maxRounds {
		tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
		if err != nil {
			return unwrapPath(err)
		}
		fresh := false
		for _, task := range tasks {
			if seen[task.Name()] {
				continue
			}
			fresh, seen[task.Name()] = true, true
			tid, err := strconv.Atoi(task.Name())
			if err != nil {
				return err
			}
			if err := do(tid); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if !fresh {
			return nil
		}
	}
	return fmt.Errorf("it starts threads all the time: %d listings each had new ones", maxRounds)
}
