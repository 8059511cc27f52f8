package cases_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// TestRefusedSchedulersSayWhatToChange attaches a scheduler whose timeout is above
// the kernel's limit, as ktest loads it and as libbpf does.
func TestRefusedSchedulersSayWhatToChange(t *testing.T) {
	loader := compileLoader(t)
	const object = "testdata/timeout.bpf.o"
	for how, row := range map[string]struct {
		scheduler ktest.Scheduler
		want      []string
	}{
		"object": {ktest.Object(object), []string{"struct_ops map s5_ops: timeout_ms 60000 is above the kernel's limit of 30000 (argument list too long)"}},
		"libbpf": {ktest.Binary(loader, guestObject), []string{"such as timeout_ms of sched_ext_ops"}},
	} {
		t.Run(how, func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{CPUs: 2})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			contents, err := os.ReadFile(object)
			require.NoError(t, err)
			require.NoError(t, vm.WriteFile(ctx, guestObject, contents, 0o644))
			err = vm.Attach(ctx, row.scheduler)
			t.Log(err)
			for _, want := range row.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}
