package ktest_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

var narrowSeeds = flag.Int("narrow.seeds", 2, "seeds that are tried for the race of narrow.bpf.c")

// Turns of vCPUs end between any two instructions of a program: an update is lost that another CPU's can only
// come between while a register is added to. The guest does the same when it is run again, and two stores of that
// line have raced.
func TestTurnsEndBetweenTwoInstructions(t *testing.T) {
	shown := 0
	for seed := range uint64(*narrowSeeds) {
		t.Run(fmt.Sprint("seed=", seed+1), func(t *testing.T) {
			vm := ktest.Boot(t, ktest.Config{Seed: seed + 1, Scheduler: fault("narrow")})
			if !vm.Machine().Preempted() {
				t.Skip("this QEMU has no plugins, or not what the one that ends turns needs")
			}
			work(t, vm, ktest.Yield, 4)
			require.NoError(t, vm.Hold(t.Context(), 50*time.Millisecond))
			bss := vm.Freeze("end").Map("narrow.bss").At(0)
			counted, err := bss.Get("counted").Uint64()
			require.NoError(t, err)
			enqueued, err := bss.Get("enqueued").Uint64()
			require.NoError(t, err)
			t.Logf("%d of %d updates are lost", enqueued-counted, enqueued)
			if counted == enqueued {
				return
			}
			if shown++; shown > 1 {
				return
			}
			blamed, err := vm.Blame(t.Context(), ktest.FieldOf(bss.Get("counted")))
			require.NoError(t, err)
			require.NotEmpty(t, blamed[0].Races, "%v", blamed[0])
			require.LessOrEqual(t, len(blamed[0].Races), int(enqueued-counted), "one store can undo several")
			for _, r := range blamed[0].Races {
				require.Equal(t, "narrow_enqueue", r.Second.Function.Source)
				require.Equal(t, r.First.Function.Line, r.Second.Function.Line)
			}
		})
	}
	require.NotZero(t, shown, "no seed of %d shows it", *narrowSeeds)
}
