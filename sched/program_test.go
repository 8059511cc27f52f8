package sched_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/sched"
)

// shown is what bpftool prints of a program.
type shown struct {
	ID, Run_time_ns, Run_cnt, Recursion_misses, Bytes_xlated, Bytes_jited int // as bpftool names them
	Type, Name, Tag                                                       string
	Loaded_at                                                             int64
}

func TestProgramsEqualBpftools(t *testing.T) {
	path, err := exec.LookPath("/usr/sbin/bpftool")
	if err != nil {
		t.Fatal("no bpftool: scripts/setup test installs it")
	}
	vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object("testdata/queues.bpf.o"), Files: map[string]string{"/bin/bpftool": path}})
	ctx := bound(t, 2*time.Minute)
	require.NoError(t, vm.CountRuns(ctx, true))
	workers, err := vm.Work(ctx, ktest.Yield, 3)
	require.NoError(t, err)
	_, err = workers.Stop(ctx)
	require.NoError(t, err)
	require.NoError(t, vm.CountRuns(ctx, false)) // nothing counts any more
	out, err := vm.Exec(ctx, "/bin/bpftool", "-j", "prog", "show")
	require.NoError(t, err)
	var want []shown
	require.NoError(t, json.Unmarshal(out.Stdout, &want))
	require.NotEmpty(t, want)

	programs := sched.Bind(t, vm.Freeze("behind")).Programs()
	require.Len(t, programs, len(want))
	ran := 0
	for i, p := range programs {
		w := want[i]
		require.Equal(t, w.ID, p.ID)
		require.True(t, strings.HasPrefix(w.Name, p.Name), "%q is not the beginning of %q", p.Name, w.Name)
		require.Equal(t, w.Type, p.Type)
		require.Equal(t, w.Tag, p.Tag)
		require.Equal(t, w.Bytes_xlated, 8*p.Insns, p.Name)
		require.Equal(t, w.Bytes_jited, p.JITed, p.Name)
		require.EqualValues(t, w.Run_cnt, p.Runs, p.Name)
		require.EqualValues(t, w.Run_time_ns, p.RunTime, p.Name)
		require.EqualValues(t, w.Recursion_misses, p.Misses, p.Name)
		require.GreaterOrEqual(t, p.Verified, p.Functions)
		require.Positive(t, p.Verified)
		if !strings.HasPrefix(p.Name, "queues_") {
			require.Zero(t, p.Verification, p.Name)
			continue
		}
		require.Positive(t, p.Verification.Time, p.Name)
		require.Positive(t, p.Verification.States, p.Name)
		require.LessOrEqual(t, p.Verification.PeakStates, p.Verification.States, p.Name)
		if p.Runs > 0 {
			ran++
		}
	}
	require.GreaterOrEqual(t, ran, 2, "enqueue and dispatch have run")
}
