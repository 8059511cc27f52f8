package ktest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
)

// What is no program is told before a guest is booted.
func TestFilesThatAreNoProgramsAreRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, contents string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(contents), 0o755))
		return path
	}
	self, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	arm, unlinked := string(self), string(self)
	arm = arm[:18] + "\xb7\x00" + arm[20:]                // e_machine: EM_AARCH64
	unlinked = unlinked[:16] + "\x01\x00" + unlinked[18:] // e_type: ET_REL
	for path, want := range map[string]string{
		filepath.Join(dir, "nothing"):   "no such file or directory: build it before the test",
		"testdata/docile.bpf.o":         "is a BPF object and no program: start it with ktest.Object",
		write("text", "int main(void)"): "is no program",
		write("arm", arm):               "EM_AARCH64, and guests are x86-64",
		write("unlinked", unlinked):     "ET_REL: link it",
		write("empty", ""):              "is no program",
		dir:                             "is no program",
	} {
		require.ErrorContains(t, ktest.Binary(path).Check(), want, path)
	}
	for _, path := range []string{"/proc/self/exe", write("script", "#!/bin/sh\n")} {
		require.NoError(t, ktest.Binary(path).Check())
	}
}

// What an object cannot start with, or has not, is told before a guest is booted, in words of the object.
func TestMistakesInWhatAnObjectStartsWithAreTold(t *testing.T) {
	o := ktest.Object("testdata/race.bpf.o")
	name := func(name string) error { return o.Set("race_ops.name", name).Check() }
	none := `: the object has no such map or section; it has race_ops, .bss`
	takes := `and a scheduler's name has letters, digits, _ and ., at least one, and fewer than 128: give it another one in the object, or by Scheduler.Set("race_ops.name", ...)`
	for want, err := range map[string]error{
		`has no scheduler "nope": those that it has are race_ops`: o.Ops("nope").Check(),
		"map1" + none: o.Resize("map1", 4).Check(),
		"map2" + none: o.Fill("map2", 4).Check(),
		"map3" + none: o.Set("map3[3]", 1).Check(),
		`race_op: the object has no such map or section (did you mean "race_ops"?)`: o.Set("race_op.name", "x").Check(),
		`race_ops.name is "xx`:               name(strings.Repeat("x", 128)),
		`race_ops.name is "a b", ` + takes:   name("a b"),
		`race_ops.name is "", ` + takes:      name(""),
		`refused_ops.name is "a b", and a s`: fault("nameless").Check(),
	} {
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "snapshot")
	}
	require.NoError(t, name("_0.z"))
	require.NoError(t, name(strings.Repeat("x", 127)))
}
