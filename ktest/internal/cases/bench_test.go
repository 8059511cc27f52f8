package cases_test

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/libbpf"
)

// BenchmarkAttach starts a scheduler of 2 MB by turns as ktest loads it and by a program on
// libbpf, in one guest.
func BenchmarkAttach(b *testing.B) {
	loader, object := libbpf.Compile(b, "testdata/loader.c"), largeScheduler(b)
	vm := ktest.Boot(b, ktest.Config{CPUs: 2})
	contents, err := os.ReadFile(object)
	require.NoError(b, err)
	require.NoError(b, vm.WriteFile(b.Context(), guestObject, contents, 0o644))
	var spent [2]time.Duration
	schedulers := [2]ktest.Scheduler{ktest.Object(object), ktest.Binary(loader, guestObject)}
	for _, s := range schedulers { // brings what is used once into memory
		attachOnce(b, vm, s)
	}
	for b.Loop() {
		for i, s := range schedulers {
			spent[i] += attachOnce(b, vm, s)
		}
	}
	b.ReportMetric(float64(len(contents))/1e6, "MB-object")
	b.ReportMetric(float64(spent[0].Milliseconds())/float64(b.N), "ms-object")
	b.ReportMetric(float64(spent[1].Milliseconds())/float64(b.N), "ms-libbpf")
	b.ReportMetric(float64(spent[0])/float64(spent[1]), "times-libbpf")
}

func attachOnce(b *testing.B, vm *ktest.VM, s ktest.Scheduler) time.Duration {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	start := time.Now()
	require.NoError(b, vm.Attach(ctx, s))
	spent := time.Since(start)
	_, err := vm.Detach(ctx)
	require.NoError(b, err)
	return spent
}

// What the object of the benchmark is made of. Most of it is debugging information, as of
// real ones.
const (
	largeTypes    = 248
	largePrograms = 180
	largeMacros   = 9000
)

// largeScheduler compiles the scheduler of the benchmark.
func largeScheduler(b *testing.B) string {
	b.Helper()
	var c strings.Builder
	c.WriteString("#include \"scx.h\"\n")
	for i := range largeMacros {
		fmt.Fprintf(&c, "#define A_MACRO_WITH_A_NAME_THAT_IS_NOT_SHORT_%d (%[1]d * sizeof(struct item0) + %[1]d * sizeof(u64) - 1)\n", i)
	}
	for i := range largeTypes {
		fmt.Fprintf(&c, "struct item%d { struct item%d *owner; u32 few : 3, more : 7; u64 counts[%d]; char name[16]; union { u64 word; u32 half[2]; }; };\n", i, max(i-1, 0), 1+i%8)
		if i%10 == 9 {
			fmt.Fprintf(&c, "struct { int (*type)[2]; int (*max_entries)[8]; u32 *key; struct item%d *value; } map%[1]d SEC(\".maps\");\n", i)
		}
		fmt.Fprintf(&c, "struct item%d global%[1]d;\n", i)
	}
	for i := range largePrograms {
		fmt.Fprintf(&c, "SEC(\"syscall\") int program%d(void *ctx) {\n", i)
		for k := range 24 {
			item := (7*i + k) % largeTypes
			fmt.Fprintf(&c, "\tglobal%d.counts[0] += global%d.word ^ %d;\n", item, (item+1)%largeTypes, k)
		}
		c.WriteString("\treturn 0;\n}\n")
	}
	c.WriteString("#include \"base.h\"\nSEC(\".struct_ops.link\") struct sched_ext_ops large_ops = { .enqueue = (void *)enq, .name = \"large\" };\n")

	source, object := filepath.Join(b.TempDir(), "large.c"), filepath.Join(b.TempDir(), "large.bpf.o")
	require.NoError(b, os.WriteFile(source, []byte(c.String()), 0o644))
	clang := cmp.Or(os.Getenv("CLANG"), "clang-19")
	out, err := exec.Command(clang, "-g", "-O2", "-fdebug-macro", "-target", "bpf", "-mcpu=v3", "-Wno-everything", "-Itestdata", "-c", source, "-o", object).CombinedOutput()
	require.NoError(b, err, "%s", out)
	return object
}
