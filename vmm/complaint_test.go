package vmm

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestComplaintsAreToldApart(t *testing.T) {
	tests := map[string]struct {
		console string
		want    []Complaint
	}{
		"nothing": {"[    0.000000] Linux version 7.3.4\n[    1.0] systemd[1]: Kernel panic is not our business\n", nil},
		"panic": {
			"[    1.859000] Kernel panic - not syncing: VFS: Unable to mount root fs\r\n",
			[]Complaint{{Kind: Panic, Title: "Kernel panic - not syncing: VFS: Unable to mount root fs"}},
		},
		"caller id": {
			"[    1.859000][    T1] Kernel panic - not syncing: x\n[    2.859000][   C0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:1]\n",
			[]Complaint{{Kind: Panic, Title: "Kernel panic - not syncing: x"}, {Kind: SoftLockup, Title: "watchdog: BUG: soft lockup - CPU#0 stuck for 26s! [init:1]"}},
		},
		"oops with place": {
			"[ 5.1] BUG: kernel NULL pointer dereference, address: 0000000000000010\n[ 5.1] #PF: supervisor read access in kernel mode\n[ 5.1] Oops: Oops: 0000 [#1] SMP NOPTI\n[ 5.1] RIP: 0010:scx_foo+0x12/0x40\n",
			[]Complaint{
				{Kind: Oops, Title: "BUG: kernel NULL pointer dereference, address: 0000000000000010"},
				{Kind: Oops, Title: "Oops: Oops: 0000 [#1] SMP NOPTI", Where: "scx_foo+0x12/0x40"},
			},
		},
		"hung task": {
			"[  242.6] INFO: task kworker/0:1:12 blocked for more than 120 seconds.\n",
			[]Complaint{{Kind: HungTask, Title: "INFO: task kworker/0:1:12 blocked for more than 120 seconds."}},
		},
		"RCU": {
			"[   21.0] rcu: INFO: rcu_preempt self-detected stall on CPU\n[   21.0] rcu: \t0-....: (2099 ticks this GP)\n[   22.0] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:\n",
			[]Complaint{{Kind: RCUStall, Title: "rcu: INFO: rcu_preempt self-detected stall on CPU"}, {Kind: RCUStall, Title: "rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:"}},
		},
		"warning": {
			"[    3.5] ------------[ cut here ]------------\n[    3.5] WARNING: kernel/sched/ext.c:123 at scx_foo+0x1/0x2, CPU#1: init/1\n",
			[]Complaint{{Kind: Warning, Title: "WARNING: kernel/sched/ext.c:123 at scx_foo+0x1/0x2, CPU#1: init/1"}},
		},
		"out of memory": {
			"[    9.5] Out of memory: Killed process 44 (stress) total-vm:1kB\n",
			[]Complaint{{Kind: OutOfMemory, Title: "Out of memory: Killed process 44 (stress) total-vm:1kB"}},
		},
		"without time stamps": {
			"kernel BUG at mm/slub.c:548!\nBUG: scheduling while atomic: init/1/0x00000002",
			[]Complaint{{Kind: Oops, Title: "kernel BUG at mm/slub.c:548!"}, {Kind: Bug, Title: "BUG: scheduling while atomic: init/1/0x00000002"}},
		},
		"quoted by a program": {"someone says: BUG: no\n[1.0] foo: Oops: none\n", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, test.want, ParseComplaints([]byte(test.console)))
		})
	}
}

func TestComplaintsAreFoundHoweverOutputIsCut(t *testing.T) {
	text := "[    1.0] rcu: INFO: rcu_sched self-detected stall on CPU\r\n[ 2.0] Kernel panic - not syncing: x\r\n"
	want := ParseComplaints([]byte(text))
	require.Len(t, want, 2)
	for size := 1; size < 30; size++ {
		var w complaintWatch
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			w.Write([]byte(rest[:min(size, len(rest))]))
		}
		require.Equal(t, want, w.list())
	}
}

func TestTheFirstFatalComplaintIsTheCauseOfDeath(t *testing.T) {
	complaints := ParseComplaints([]byte(strings.Join([]string{
		"[ 1.0] WARNING: CPU: 0 PID: 1 at x.c:1 f+0x1/0x2",
		"[ 1.0] RIP: 0010:f+0x1/0x2",
		"[ 1.1] BUG: unable to handle page fault for address: ffffffffdeadbeef",
		"[ 1.1] Oops: Oops: 0002 [#1] SMP",
		"[ 1.1] RIP: 0010:g+0x3/0x4",
		"[ 1.2] Kernel panic - not syncing: Fatal exception",
	}, "\n")))
	cause, ok := causeOfDeath(complaints)
	require.True(t, ok)
	require.Equal(t, Complaint{Kind: Oops, Title: "BUG: unable to handle page fault for address: ffffffffdeadbeef", Where: "g+0x3/0x4"}, cause)
	_, ok = causeOfDeath(complaints[:1])
	require.False(t, ok)
}

func TestTextPatchingCrashIsTheMachinesFault(t *testing.T) {
	console, err := os.ReadFile("testdata/textpatching.txt")
	require.NoError(t, err)
	require.True(t, isTextPatching(TCG, ParseComplaints(console)))
	require.False(t, isTextPatching(KVM, ParseComplaints(console)))
	require.False(t, isTextPatching(TCG, ParseComplaints([]byte("[ 1.0] Oops: Oops: 0002 [#1] SMP\n"))))
}

func FuzzParseComplaints(f *testing.F) {
	f.Add([]byte("[    1.0] Kernel panic - not syncing: x\n"))
	f.Add([]byte("RIP: 0010:f+0x1/0x2\nBUG: x"))
	f.Fuzz(func(t *testing.T, console []byte) {
		found := ParseComplaints(console)
		if len(found) > maxComplaints {
			t.Fatalf("%d complaints", len(found))
		}
		causeOfDeath(found)
	})
}
