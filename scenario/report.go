package scenario

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ktgen/ktgen/scenario/internal/latency"
	"github.com/ktgen/ktgen/scenario/internal/wire"
)

// Report is what a scenario has done, up to its end or what ended it. Times are
// the host's, and in lockstep the guest's ([Hooks.Now]).
type Report struct {
	Steps   []StepReport
	Workers []Stats // of all workers, from their start to their end
	Lasted  time.Duration

	missing []error
}

// Warnings are the failures that the scenario has gone on after, as [*OpError]s: of
// captures without a snapshot.
func (r *Report) Warnings() []error { return slices.Clone(r.missing) }

// StepReport is what happened in a step.
type StepReport struct {
	Name    string
	Began   time.Duration // since the scenario began
	Ops     []OpReport
	Held    time.Duration
	Looks   int     // how often the condition was asked
	Workers []Stats // of this step alone, also of those that ended in it
}

// OpReport is what became of an op.
type OpReport struct {
	Op    string
	Began time.Duration // since the scenario began
	Took  time.Duration
	Err   error
}

// Trace returns the ops in the order in which they were performed. It is the
// same whenever a scenario runs to its end.
func (r *Report) Trace() []string {
	var all []string
	for i, s := range r.Steps {
		for _, op := range s.Ops {
			all = append(all, fmt.Sprintf("%d: %s", i+1, op.Op))
		}
	}
	return all
}

// String returns a table of the steps and of what the workers have done.
func (r *Report) String() string {
	var b strings.Builder
	for i, s := range r.Steps {
		fmt.Fprintf(&b, "step %d %s: %d ops, held %v\n", i+1, s.Name, len(s.Ops), s.Held.Round(time.Millisecond))
		for _, w := range s.Workers {
			fmt.Fprintf(&b, "  %s\n", w)
		}
	}
	for _, err := range r.missing {
		fmt.Fprintf(&b, "warning: %v\n", err)
	}
	return b.String()
}

// Stats is what a worker has done in some time.
type Stats struct {
	Workers string // name of the group
	Name    string // of the worker and its task
	PID     int
	Cgroup  string // that it was started in
	Ended   bool   // a payload that has ended

	Elapsed    time.Duration // by the guest's clock: what the rest refers to
	Iterations uint64        // of its work; 0 for payloads
	Runtime    time.Duration // that it had a CPU, all threads
	Waited     time.Duration // that it was ready to run and had none; of a payload the sum of all threads
	Switches   uint64        // times that it was given one

	// Wakeups are the times from when the worker should have woken to when it
	// ran. SleepWake, Mixed and Pipe have them.
	Wakeups Latencies
	// LongestGap is the longest time that the worker did not run, without sleep of
	// its own choice. It grows while a worker starves. Time in a frozen or throttled
	// cgroup counts.
	LongestGap time.Duration
}

// Share returns the part of the time that the worker had a CPU: 1 for a CPU of
// its own.
func (s *Stats) Share() float64 {
	if s.Elapsed <= 0 {
		return 0
	}
	return float64(s.Runtime) / float64(s.Elapsed)
}

func (s Stats) String() string {
	return fmt.Sprintf("%-15s %5.1f %% of a CPU, %d iterations, waited %v, longest gap %v, wakeups %s",
		s.Name, 100*s.Share(), s.Iterations, s.Waited.Round(time.Microsecond), s.LongestGap.Round(time.Microsecond), s.Wakeups)
}

// Shares returns which part of the workers' running time, from 0 to 1, each group of
// workers had. by returns a worker's group, such as its cgroup or name.
func Shares(stats []Stats, by func(Stats) string) map[string]float64 {
	var total time.Duration
	ran := make(map[string]time.Duration)
	for _, s := range stats {
		ran[by(s)] += s.Runtime
		total += s.Runtime
	}
	shares := make(map[string]float64, len(ran))
	for key, d := range ran {
		shares[key] = float64(d) / float64(max(total, 1))
	}
	return shares
}

// Latencies is a histogram of times. A bucket is 1 ns wide, or an eighth of the times in it.
// The zero value is empty.
type Latencies struct{ counts []uint64 }

// Count returns the number of times in the histogram.
func (l Latencies) Count() uint64 {
	var n uint64
	for _, c := range l.counts {
		n += c
	}
	return n
}

// Percentile returns a time that p percent of all times do not exceed, the
// largest of its bucket. It is 0 for an empty histogram.
func (l Latencies) Percentile(p float64) time.Duration {
	need := min(max(p/100, 0), 1) * float64(l.Count())
	var n uint64
	last := 0
	for i, c := range l.counts {
		if c == 0 {
			continue
		}
		n, last = n+c, i
		if float64(n) >= need {
			break
		}
	}
	_, hi := latency.Bounds(last)
	return time.Duration(hi - 1)
}

// All calls f for the buckets that hold times, shortest first: for times from lo
// to below hi.
func (l Latencies) All(f func(lo, hi time.Duration, count uint64) bool) {
	for i, c := range l.counts {
		if lo, hi := latency.Bounds(i); c > 0 && !f(time.Duration(lo), time.Duration(hi), c) {
			return
		}
	}
}

// Add returns both histograms in one.
func (l Latencies) Add(other Latencies) Latencies {
	sum := make([]uint64, max(len(l.counts), len(other.counts)))
	copy(sum, l.counts)
	for i, c := range other.counts {
		sum[i] += c
	}
	return Latencies{sum}
}

// since returns the times that were not there before.
func (l Latencies) since(before []uint64) Latencies {
	diff := make([]uint64, len(l.counts))
	copy(diff, l.counts)
	for i := range min(len(diff), len(before)) {
		diff[i] -= min(before[i], diff[i])
	}
	return Latencies{diff}
}

func (l Latencies) String() string {
	if l.Count() == 0 {
		return "none"
	}
	return fmt.Sprintf("%d: p50 %v, p99 %v, max %v", l.Count(), l.Percentile(50), l.Percentile(99), l.Percentile(100))
}

// tally adds up what the agent says of workers, whoever asks it.
type tally struct {
	mu   sync.Mutex
	last []wire.Stats
	mark []wire.Stats // as last was when a step began
	gaps []gaps
}

// gaps are the longest gaps of a worker, in ns. The agent tells each only once.
type gaps struct{ ever, step int64 }

func (t *tally) absorb(stats []wire.Stats) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(stats) == 0 {
		return
	}
	for i := range stats {
		if len(stats[i].Wakeups) > latency.Buckets {
			stats[i].Wakeups = stats[i].Wakeups[:latency.Buckets]
		}
	}
	t.last = stats
	for len(t.gaps) < len(stats) {
		t.gaps = append(t.gaps, gaps{})
	}
	for i, s := range stats {
		t.gaps[i].ever = max(t.gaps[i].ever, s.Gap)
		t.gaps[i].step = max(t.gaps[i].step, s.Gap)
	}
}

// total returns what the workers have done since their start.
func (t *tally) total(r *Running) []Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Stats
	for i, s := range t.last {
		all = append(all, r.stats(s, wire.Stats{Now: s.Now - s.Age}, t.gaps[i].ever))
	}
	return all
}

// step returns what they have done since it was last called.
func (t *tally) step(r *Running) []Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []Stats
	for i, s := range t.last {
		before := wire.Stats{Now: s.Now - s.Age}
		if i < len(t.mark) {
			before = t.mark[i]
		}
		all = append(all, r.stats(s, before, t.gaps[i].step))
		t.gaps[i].step = 0
	}
	t.mark = t.last
	return all
}

// stats returns the difference between two measurements of a worker.
func (r *Running) stats(s, before wire.Stats, gap int64) Stats {
	return Stats{
		Workers: r.Workers.name(), Name: s.Comm, PID: s.PID, Cgroup: r.Workers.Cgroup, Ended: s.Ended,
		Elapsed:    time.Duration(max(s.Now-before.Now, 0)),
		Iterations: grown(s.Iterations, before.Iterations),
		Runtime:    time.Duration(grown(s.Runtime, before.Runtime)),
		Waited:     time.Duration(grown(s.Waited, before.Waited)),
		Switches:   grown(s.Switches, before.Switches),
		Wakeups:    Latencies{s.Wakeups}.since(before.Wakeups),
		LongestGap: time.Duration(gap),
	}
}

// grown returns by how much a counter has grown. That of a thread that ended is
// missing afterwards.
func grown(to, from uint64) uint64 { return to - min(from, to) }

func compare(a, b string) int { return cmp.Compare(a, b) }
