package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel"
)

// TestKernelTypesTheArgumentsOfTracingPrograms gives ktgen casts the types of
// the kernel that tests boot.
func TestKernelTypesTheArgumentsOfTracingPrograms(t *testing.T) {
	k, err := kernel.Find(t.Context())
	if errors.Is(err, kernel.ErrNoKernel) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	raw, err := k.BTF()
	require.NoError(t, err)
	vmlinux := filepath.Join(t.TempDir(), "vmlinux")
	require.NoError(t, os.WriteFile(vmlinux, raw, 0o600))

	casts := func(args ...string) string {
		var out, wrong bytes.Buffer
		require.Zero(t, run(context.Background(), append([]string{"casts"}, args...), &out, &wrong), wrong.String())
		require.Empty(t, wrong.String())
		return out.String()
	}
	objects, err := filepath.Glob("../../cast/testdata/objects/traced.*.o")
	require.NoError(t, err)
	require.NotEmpty(t, objects)
	for _, object := range objects {
		require.Contains(t, casts(object), "no integer of the program's own types is seen to hold pointers")
		var found []string
		for _, m := range regexp.MustCompile(`(?m)^(traced\.\w+ +struct \w+ +kernel +proven)`).FindAllString(casts("-btf", vmlinux, object), -1) {
			found = append(found, regexp.MustCompile(` +`).ReplaceAllString(m, " "))
		}
		require.Equal(t, []string{
			"traced.prev struct task_struct kernel proven",
			"traced.next struct task_struct kernel proven",
			"traced.created struct task_struct kernel proven",
			"traced.file struct file kernel proven",
			"traced.child struct task_struct kernel proven",
		}, found)
	}
}
