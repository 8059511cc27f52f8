package ktest_test

import (
	"os"
	"path/filepath"
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
