package kernel_test

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel"
)

// TestImagesBootWithAndWithoutKASLR boots both images of the kernel that Find
// returns, without a root: the panic that follows says where the kernel is.
func TestImagesBootWithAndWithoutKASLR(t *testing.T) {
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

	fastest := boot(t, k.Fastest())
	require.Contains(t, fastest, "Linux version "+k.Release+" ")
	if k.Fastest().Protocol == kernel.PVH {
		require.Contains(t, fastest, "Kernel Offset: disabled")
	}
	random, err := k.Randomized()
	if err != nil {
		t.Skipf("half of the test is left out: %v", err)
	}
	randomized := boot(t, random)
	require.Contains(t, randomized, "Linux version "+k.Release+" ")
	require.Regexp(t, `Kernel Offset: 0x[0-9a-f]+ from`, randomized)
}

// boot returns what the kernel writes until it panics.
func boot(t *testing.T, image kernel.Image) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "qemu-system-x86_64",
		"-M", "q35", "-accel", "tcg,thread=single", "-cpu", "max", "-m", "512M",
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", image.Path, "-append", "console=ttyS0 panic=-1").CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}
