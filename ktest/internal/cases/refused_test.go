package cases_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/libbpf"
)

// refusals are schedulers whose objects the kernel does not take, and what is said
// of them, as ktest loads them and as libbpf does.
var refusals = map[string]struct{ object, libbpf string }{
	"timeout": {
		"struct_ops map s5_ops: timeout_ms 60000 is above the kernel's limit of 30000 (argument list too long)",
		"such as timeout_ms of sched_ext_ops",
	},
	"atomic_global": {
		"the kernel does not take the object's BTF: variable live of .data has no size in it, where clang makes void of _Atomic types",
		"the kernel does not take the object's BTF: variable live has no size in it, where clang makes void of _Atomic types",
	},
	"atomic_member": {
		"the kernel does not take the object's BTF: member hits of struct counters has no size in it, where clang makes void of _Atomic types",
		"the kernel does not take the object's BTF: member hits of struct counters has no size in it, where clang makes void of _Atomic types",
	},
	"kept_bits": {
		"the kernel does not take the object's BTF: it looks for kptrs, locks, lists and trees in struct kept, which has mask, and takes no bitfield there that begins within a byte, as of.seen does",
		"Error loading .BTF into kernel",
	},
	"percpu_wide": {
		"creating map wide_ones (PerCPUArray): a value has 40000 bytes, above the kernel's limit of 32768 in a map that is per CPU",
		`the kernel does not make the map "wide_ones": E2BIG, a number of it is too large: the size of its values (32768 bytes in a map that is per CPU), of its keys, or max_entries`,
	},
}

func TestRefusedSchedulersSayWhatToChange(t *testing.T) {
	loader := libbpf.Compile(t, "testdata/loader.c")
	for name, want := range refusals {
		object := filepath.Join("testdata", name+".bpf.o")
		t.Run(name+"/object", func(t *testing.T) { requireRefused(t, object, ktest.Object(object), want.object) })
		t.Run(name+"/libbpf", func(t *testing.T) {
			requireRefused(t, object, ktest.Binary(loader, guestObject), want.libbpf)
		})
	}
}

func requireRefused(t *testing.T, object string, scheduler ktest.Scheduler, said string) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	contents, err := os.ReadFile(object)
	require.NoError(t, err)
	require.NoError(t, vm.WriteFile(ctx, guestObject, contents, 0o644))
	err = vm.Attach(ctx, scheduler)
	t.Log(err)
	require.ErrorContains(t, err, said)
}
