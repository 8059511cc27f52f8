package initramfs_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/initramfs"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// TestKernelRunsPackedPrograms boots a kernel whose init needs libraries that
// lie beside it, and starts such a program, too.
func TestKernelRunsPackedPrograms(t *testing.T) {
	image := bootable(t)
	program := compileProgram(t, "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib", "-Wl,--enable-new-dtags,-rpath,$ORIGIN")
	b := initramfs.New()
	require.NoError(t, b.Executable("/init", program))
	require.NoError(t, b.Executable("/opt/app/run", program))
	require.NoError(t, b.Directory("/proc"))
	path := filepath.Join(t.TempDir(), "root.cpio")
	require.NoError(t, os.WriteFile(path, archive(t, b), 0o644))

	console := boot(t, image, path)
	require.Contains(t, console, "process 1: outer says 3")
	require.Contains(t, console, "process 2: outer says 3")
}

// bootable returns a kernel, and skips the test where none can boot.
func bootable(t *testing.T) string {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("CI") == "true" {
		skip = t.Fatalf
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		skip("no machine to boot: %v", err)
	}
	k, err := kernel.Find(t.Context())
	if err != nil {
		skip("%v", err)
	}
	return k.Fastest().Path
}

// boot runs the kernel until its init has ended, which is a panic and ends the
// machine, and returns what it wrote.
func boot(t *testing.T, kernel, initramfs string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-M", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-m", "256M",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", kernel, "-initrd", initramfs, "-append", "console=ttyS0 panic=-1 quiet").CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}
