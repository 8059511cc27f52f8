package sched

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
)

// This file shows a state to a person, in a terminal.

// Rows says how much of a state is shown.
type Rows struct {
	Tasks int // at most so many of those that run or wait; 0 is 20
}

// WriteText writes a state as tables: what starves, the scheduler, CPUs, queues, and the
// tasks that run or wait.
func (s *State) WriteText(w io.Writer, rows Rows) error {
	if rows.Tasks == 0 {
		rows.Tasks = 20
	}
	var b strings.Builder
	s.writeStarving(&b)
	s.writeScheduler(&b)
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	s.writeCPUs(t)
	s.writeQueues(t)
	s.writeTasks(t, rows.Tasks)
	t.Flush()
	for _, p := range s.problems {
		fmt.Fprintf(&b, "not known: %s\n", clean(p))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *State) writeStarving(b *strings.Builder) {
	const most = 3
	starving := s.Starving()
	for i, v := range starving {
		if i == most {
			fmt.Fprintf(b, "%d more tasks starve\n", len(starving)-most)
			break
		}
		fmt.Fprintln(b, clean(v.String()))
	}
}

func (s *State) writeScheduler(b *strings.Builder) {
	c := s.Scheduler()
	if c == nil {
		fmt.Fprintln(b, "no sched_ext scheduler")
		return
	}
	fmt.Fprintf(b, "scheduler %s, watchdog %v", clean(c.Name), c.Timeout)
	if c.BypassDepth != 0 {
		fmt.Fprintf(b, ", passed over (bypass depth %d)", c.BypassDepth)
	}
	if c.ExitKind != "NONE" {
		fmt.Fprintf(b, ", ends: %s", c.ExitKind)
	}
	if c.ExitCode != 0 {
		fmt.Fprintf(b, " (exit code %d)", c.ExitCode)
	}
	fmt.Fprintln(b)
	for _, e := range c.Events() {
		if e.Count != 0 {
			fmt.Fprintf(b, "  %s %d\n", clean(e.Name), e.Count)
		}
	}
}

func (s *State) writeCPUs(w io.Writer) {
	fmt.Fprintln(w, "\nCPU\tRUNS\tCLASS\tSLICE\tRUNNABLE\tLOCAL\tIDLE MASK")
	for _, c := range s.cpus {
		name, class, slice := "?", "", ""
		if t := c.Current(); t != nil {
			name, class = t.String(), t.Class
			if class == ClassExt {
				slice = sliceText(t.Ext.Slice)
			}
		}
		if !c.Online {
			name, class = "(offline)", ""
		}
		local := 0
		if c.local != nil {
			local = c.local.Len()
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%s\n", c.ID, clean(name), class, slice, c.NrRunning, local, yes(c.InIdleMask))
	}
}

func sliceText(d time.Duration) string {
	if d == endless {
		return "endless"
	}
	return d.String()
}

func yes(b bool) string {
	if b {
		return "idle"
	}
	return ""
}

// writeQueues shows those that schedulers have made, and of the others those with tasks.
func (s *State) writeQueues(w io.Writer) {
	fmt.Fprintln(w, "\nQUEUE\tTASKS\tEVER\tLONGEST WAIT\tFIRST")
	for _, d := range s.DSQs() {
		if !d.User && d.Len() == 0 {
			continue
		}
		var longest time.Duration
		for _, t := range d.tasks {
			longest = max(longest, t.RunnableFor())
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%v\t%s\n", clean(strings.TrimPrefix(d.Name(), "queue ")), d.Len(), d.Seq, longest, clean(names(d.tasks)))
	}
}

// writeTasks shows the runnable tasks, those that wait longest first.
func (s *State) writeTasks(w io.Writer, most int) {
	var tasks []*Task
	for _, t := range s.tasks {
		if t.IsRunnable() && !t.IsIdle() || t.IsCurrent() && !t.IsIdle() {
			tasks = append(tasks, t)
		}
	}
	slices.SortStableFunc(tasks, func(a, b *Task) int { return cmp.Compare(b.RunnableFor(), a.RunnableFor()) })
	fmt.Fprintf(w, "\nTASK (%d runnable of %d)\tCLASS\tWAITS\tWHERE\tSLICE\tVTIME\tWEIGHT\tMAY RUN ON\tHAS RUN\n", len(tasks), len(s.tasks))
	for i, t := range tasks {
		if i == most {
			fmt.Fprintf(w, "%d more\n", len(tasks)-most)
			break
		}
		fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%s\t%d\t%d\t%s\t%v\n", clean(t.String()), t.Class, t.RunnableFor(), clean(t.where()),
			sliceText(t.Ext.Slice), t.Ext.VTime, t.Ext.Weight, t.Allowed, t.Runtime)
	}
}

// where says where a runnable task is.
func (t *Task) where() string {
	switch {
	case t.IsCurrent():
		return fmt.Sprintf("on CPU %d", t.CPU)
	case t.dsq != nil:
		ahead, _ := t.dsq.Position(t)
		return fmt.Sprintf("%s, %d ahead", t.dsq, ahead)
	case t.Class == ClassExt && t.Ext.OpsState != "NONE":
		return "with the BPF scheduler"
	}
	return fmt.Sprintf("runqueue of CPU %d", t.CPU)
}

// clean keeps what a guest has named from speaking to the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return '?'
		}
		return r
	}, s)
}
