package scx

import (
	"bufio"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestKernelLogTellsHowASchedulerEnded(t *testing.T) {
	for name, row := range map[string]struct {
		lines []string
		want  Exit
	}{
		"unregistered": {
			lines: []string{`sched_ext: BPF scheduler "tally" enabled`, `sched_ext: BPF scheduler "tally" disabled (unregistered from user space)`},
			want:  Exit{Scheduler: "tally", Kind: ExitUnreg, Reason: "unregistered from user space"},
		},
		"stall": {
			lines: []string{
				`sched_ext: BPF scheduler "a (b) c" disabled (runnable task stall)`,
				`sched_ext: a (b) c: spin[93] failed to run for 2.004s`,
				`   check_rq_for_timeouts+0x112/0x130`,
			},
			want: Exit{Scheduler: "a (b) c", Kind: ExitErrorStall, Reason: "runnable task stall", Message: "spin[93] failed to run for 2.004s"},
		},
		"a kind of a later kernel is an error": {
			lines: []string{`sched_ext: BPF scheduler "x" disabled (rescue bandwidth overload)`},
			want:  Exit{Scheduler: "x", Kind: ExitErrorOther, Reason: "rescue bandwidth overload"},
		},
		"the first end counts": {
			lines: []string{`sched_ext: BPF scheduler "x" disabled (scx_bpf_error)`, `sched_ext: x: one`, `sched_ext: x: two`, `sched_ext: BPF scheduler "x" disabled (unregistered from user space)`},
			want:  Exit{Scheduler: "x", Kind: ExitErrorBPF, Reason: "scx_bpf_error", Message: "one"},
		},
		"messages about others are not its own": {
			lines: []string{`sched_ext: x: early`, `sched_ext: BPF scheduler "x" disabled (runtime error)`, `sched_ext: BPF sub-scheduler "y" disabled (runtime error)`},
			want:  Exit{Scheduler: "x", Kind: ExitError, Reason: "runtime error"},
		},
		"nothing": {lines: []string{"random: crng init done"}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMonitor(nil, (*exitNote)(nil))
			for _, line := range row.lines {
				m.take(line)
			}
			require.Equal(t, row.want, m.exit)
		})
	}
}

// slowNote is a note during whose reading others look at the monitor.
type slowNote struct {
	m     *monitor
	noted Exit
	found bool
}

func (n *slowNote) find() { n.found = n.m.wasEnabled() }

func (n *slowNote) read(ExitKind) (Exit, bool) { return n.noted, n.m.hasEnded() && !closed(n.m.over) }

// The monitor's state can be asked for while the kernel's memory is read, which takes long, and
// the end is told of only after that.
func TestKernelMemoryIsReadWithoutTheMonitorsLock(t *testing.T) {
	note := &slowNote{noted: Exit{Kind: ExitUnregBPF, Reason: "unregistered from BPF", Message: "bye", Code: 42}}
	m := newMonitor(nil, note)
	note.m = m
	done := make(chan struct{})
	go func() { // ends at once, unless it waits for the lock that it has
		defer close(done)
		m.take(`sched_ext: BPF scheduler "x" enabled`)
		m.take(`sched_ext: BPF scheduler "x" disabled (unregistered from BPF)`)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("the note is read with the lock held")
	}
	require.True(t, note.found)
	require.True(t, closed(m.over))
	require.Equal(t, Exit{Scheduler: "x", Kind: ExitUnregBPF, Reason: "unregistered from BPF", Message: "bye", Code: 42}, m.exit)
}

func TestKernelLogTellsThatASchedulerIsEnabled(t *testing.T) {
	m := newMonitor(nil, (*exitNote)(nil))
	m.take(`sched_ext: BPF scheduler "part" enabled (partial)`)
	m.take(`sched_ext: BPF scheduler "part" enabled (partial)`) // it has restarted itself
	require.Equal(t, enabled{Scheduler: "part", Partial: true}, <-m.enabled)
}

func TestDumpIsPickedOutOfTheTrace(t *testing.T) {
	trace := `# tracer: nop
#
           <...>-8       [001] d..3.    90.210000: sched_ext_dump: fault: root
   kworker/1:0H-17      [001] d..3.    90.210001: sched_ext_dump:   runnable task stall (a: sched_ext_dump: b)
           <...>-8       [001] d..3.    90.210002: sched_switch: prev_comm=x
           <...>-8       [001] d..3.    90.210003: sched_ext_dump: CPU states
`
	dump := parseDump(bufio.NewScanner(strings.NewReader(trace)))
	require.Equal(t, "fault: root\n  runnable task stall (a: sched_ext_dump: b)\nCPU states\n", dump)
}

func FuzzParseDump(f *testing.F) {
	f.Add("x: sched_ext_dump: y\n: sched_ext_dump: ")
	f.Fuzz(func(t *testing.T, s string) { parseDump(bufio.NewScanner(strings.NewReader(s))) })
}

func TestComplaintIsFoundInTheVerifiersLog(t *testing.T) {
	for name, row := range map[string]struct{ log, want string }{
		"last line before the statistics": {
			log:  "0: R1=ctx() R10=fp0\n1: (62) *(u32 *)(r2 +2872) = 1\nR2 cannot write\nprocessed 2 insns (limit 1000000)\n",
			want: "R2 cannot write",
		},
		"before the report of Linux 7.3": {
			log:  "4: (85) call x\nPossibly NULL pointer\n\nVerification failed: Call Type Safety\n\nSuggestion:\n  Add a NULL check.\n\nprocessed 4 insns\n",
			want: "Possibly NULL pointer",
		},
		"nothing": {log: "\nprocessed 0 insns\n", want: "it does not say why"},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, row.want, complaint(row.log)) })
	}
}

func TestLongVerifierLogsAreCutInMessagesOnly(t *testing.T) {
	log := strings.Repeat("insn\n", 1000) + "the complaint"
	e := &RejectedError{Program: "p", Reason: complaint(log), Log: log}
	require.Less(t, len(e.Error()), 1000)
	require.Contains(t, e.Error(), "951 lines come before")
	require.Contains(t, e.Error(), "the complaint")
}

func TestBeginningAndEndOfALongOutputAreShown(t *testing.T) {
	output := "it was asked for this\n" + strings.Repeat("line\n", 1000) + strings.Repeat("x", 1<<20) + "\nthe reason"
	e := &LoaderError{Args: []string{"/prog"}, Output: output}
	require.Less(t, len(e.Error()), 2000)
	require.Contains(t, e.Error(), "it wrote:\nit was asked for this\n")
	require.Contains(t, e.Error(), "\n(953 lines, 4765 bytes, are left out here)\n")
	require.True(t, strings.HasSuffix(e.Error(), "\nthe reason"))
}

func TestRejectionIsFoundInTheOutputOfALibbpfProgram(t *testing.T) {
	output := "hello\nlibbpf: prog 'qmap_dequeue': BPF program load failed: -EACCES\nlibbpf: prog 'qmap_dequeue': -- BEGIN PROG LOAD LOG --\n0: R1=ctx() R10=fp0\nR7 invalid mem access\nprocessed 71 insns\n-- END PROG LOAD LOG --\nlibbpf: failed\n"
	r := rejection(output)
	require.NotNil(t, r)
	require.Equal(t, "qmap_dequeue", r.Program)
	require.Equal(t, "R7 invalid mem access", r.Reason)
	require.Nil(t, rejection("libbpf: elf: no such file\n"))
}

// What the kernel has noted completes what its log says, unless it is of another end.
func TestNotesOfTheKernelCompleteItsLog(t *testing.T) {
	end := []string{`sched_ext: BPF scheduler "x" enabled`, `sched_ext: BPF scheduler "x" disabled (unregistered from BPF)`}
	noted := Exit{Kind: ExitUnregBPF, Reason: "unregistered from BPF", Message: "bye", Code: 42}
	for name, row := range map[string]struct {
		lines []string
		noted Exit
		want  Exit
	}{
		"an end":          {end, noted, Exit{Scheduler: "x", Kind: ExitUnregBPF, Reason: "unregistered from BPF", Message: "bye", Code: 42}},
		"another end":     {end, Exit{Kind: ExitError, Reason: "runtime error", Code: 1}, Exit{Scheduler: "x", Kind: ExitUnregBPF, Reason: "unregistered from BPF"}},
		"a log that lost": {end[:1], noted, Exit{Scheduler: "x", Kind: ExitUnregBPF, Reason: "unregistered from BPF", Message: "bye", Code: 42}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMonitor(nil, (*exitNote)(nil))
			for _, line := range row.lines {
				m.take(line)
			}
			m.complete(row.noted)
			require.Equal(t, row.want, m.exit)
		})
	}
}
