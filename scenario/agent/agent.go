// Package agent is the part of scenarios that runs in the guest: it makes
// cgroups, starts workers, and measures them.
//
// For contributors.
//
// A worker is a process of the agent's own program. It notes what it does in a
// page that it shares with the agent, so that it can be measured at any time,
// also while no scheduler lets it run.
package agent

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// Agent performs what scenarios ask for.
type Agent struct {
	cgroups hierarchy

	mu     sync.Mutex
	groups map[string]*group // workers, by name
}

// Handlers returns the agent's methods.
func (a *Agent) Handlers() guest.Handlers {
	return guest.Handlers{
		wire.Probe:     func(context.Context, *guest.Call) (any, error) { return a.probe() },
		wire.AddCgroup: on(a.cgroups.add),
		wire.SetCgroup: on(a.cgroups.set),
		wire.Remove:    on(a.cgroups.remove),
		wire.Freeze:    on(a.cgroups.freeze),
		wire.Spawn:     a.spawn,
		wire.Place:     on(a.place),
		wire.Measure:   a.measure,
		wire.Hold:      on(hold),
		wire.Online:    on(setOnline),
	}
}

// Roles are those of a worker's process.
func Roles() map[string]func([]string) int {
	return map[string]func([]string) int{wire.RoleWorker: runWorker}
}

// on makes a handler of a function without a result.
func on[P any](do func(context.Context, P) error) guest.Handler {
	return func(ctx context.Context, c *guest.Call) (any, error) {
		var params P
		if err := c.Decode(&params); err != nil {
			return nil, err
		}
		return nil, do(ctx, params)
	}
}

func (a *Agent) probe() (wire.Facts, error) {
	facts := wire.Facts{}
	var err error
	if facts.Online, err = cpus("online"); err != nil {
		return facts, err
	}
	if facts.Possible, err = cpus("present"); err != nil {
		return facts, err
	}
	facts.Controllers, facts.Refused, facts.Files, err = a.cgroups.offer()
	return facts, err
}

// hold lets time pass, as the guest's clock has it: it does not while the guest
// stands still.
func hold(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// cpuDir is where the kernel says which CPUs there are.
const cpuDir = "/sys/devices/system/cpu/"

// cpus reads a list of CPUs, such as "0-3,5".
func cpus(file string) ([]int, error) {
	b, err := os.ReadFile(cpuDir + file)
	if err != nil {
		return nil, err
	}
	var ids []int
	for part := range strings.SplitSeq(strings.TrimSpace(string(b)), ",") {
		lo, hi, isRange := strings.Cut(part, "-")
		if !isRange {
			hi = lo
		}
		first, err1 := strconv.ParseUint(lo, 10, 16)
		last, err2 := strconv.ParseUint(hi, 10, 16)
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("%s%s holds %q, which is no list of CPUs", cpuDir, file, b)
		}
		for id := first; id <= last; id++ {
			ids = append(ids, int(id))
		}
	}
	return ids, nil
}

func setOnline(_ context.Context, cpu wire.CPU) error {
	online, err := cpus("online")
	if err != nil {
		return err
	}
	if slices.Contains(online, cpu.ID) == cpu.Online {
		return nil
	}
	value := "0"
	if cpu.Online {
		value = "1"
	}
	return os.WriteFile(fmt.Sprintf("%scpu%d/online", cpuDir, cpu.ID), []byte(value), 0)
}

// monotonic returns the guest's CLOCK_MONOTONIC in ns.
func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // which cannot fail
	return ts.Nano()
}
