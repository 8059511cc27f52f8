package ktest_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// TestProgramsRunAtPointsOfAFile runs a program whose points testdata/points.bpf.c looks at,
// with arguments of each kind, and at whose functions, and functions of the kernel, others run.
func TestProgramsRunAtPointsOfAFile(t *testing.T) {
	program := filepath.Join(t.TempDir(), "points")
	out, err := exec.Command(cmp.Or(os.Getenv("CLANG"), "clang-19"), "-O2", "-Wall", "-Werror", "-o", program, "testdata/points.c").CombinedOutput()
	if err != nil && os.Getenv("CI") == "" {
		t.Skipf("the program cannot be compiled: apt-get install clang-19\n%v\n%s", err, out)
	}
	require.NoError(t, err, "%s", out)

	vm := ktest.Boot(t, ktest.Config{
		Files:     map[string]string{"/points": program},
		Scheduler: ktest.Object("testdata/points.bpf.o"),
	})
	_, err = vm.Exec(t.Context(), "/points")
	require.NoError(t, err, "the program fails if nobody has counted up the semaphore of its point")

	bss := vm.Freeze("after").Map("points.bss").At(0)
	got := make(map[string]int64)
	for i := range 10 {
		got[fmt.Sprintf("args[%d]", i)] = 0
	}
	for _, name := range []string{"nr_args", "constants", "nr_calls", "nr_sleeps", "nr_woken"} {
		got[name] = 0
	}
	for name := range got {
		got[name], err = bss.Get(name).Int64()
		require.NoError(t, err, name)
	}
	require.Equal(t, map[string]int64{
		"nr_args": 10,
		"args[0]": -0x123456789abcd7f, // 8@%r8
		"args[1]": 0x76543281,         // -4@%r8d
		"args[2]": 0x81,               // 1@%r8b
		"args[3]": -0x7f,              // -1@%r8b
		"args[4]": 0xfff81234,         // 4@4(%rdi)
		"args[5]": -0x7edcc,           // -4@(%rcx)
		"args[6]": 0xfff8,             // 2@-2(%rdi,%rsi,4)
		"args[7]": -8,                 // -2@(%rcx,%rdx)
		"args[8]": -9,                 // -4@$-9
		"args[9]": 5,                  // 8@$5
		// The other points have one each: 70, 700 and 70.
		"constants": 840,
		"nr_calls":  4, // of two calls and two returns
		"nr_sleeps": 1,
		"nr_woken":  1,
	}, got)
}
