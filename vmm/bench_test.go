package vmm

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkBoot measures a boot until the guest answers, beside QEMU booting the
// same kernel and init without this package. The two take turns, since a machine's
// speed drifts more than they differ. Run it with -benchtime=5x.
func BenchmarkBoot(b *testing.B) {
	cfg := cold(b)
	var bare, ready, output []time.Duration
	for range b.N {
		bare = append(bare, bareBoot(b, cfg))
		vm := launchTest(b, cfg)
		ready = append(ready, vm.Timing().Ready)
		output = append(output, vm.Timing().FirstOutput)
		require.NoError(b, vm.Close())
	}
	report(b, "bare", bare)
	report(b, "output", output)
	report(b, "ready", ready)
	b.ReportMetric(median(ready).Seconds()/median(bare).Seconds(), "ready/bare")
}

// bareBoot returns the time from the start of QEMU until the kernel has
// started init.
func bareBoot(b *testing.B, cfg Config) time.Duration {
	qemu, err := findQEMU("")
	require.NoError(b, err)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max",
		"-m", fmt.Sprintf("%dM", DefaultMemory/MiB), "-smp", fmt.Sprint(DefaultCPUs),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio",
		"-kernel", cfg.Kernel, "-initrd", cfg.Initramfs, "-append", "console=ttyS0 panic=-1")
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	began := time.Now()
	require.NoError(b, cmd.Start())
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "guest: up") {
			return time.Since(began)
		}
	}
	b.Fatal("the bare guest did not come up")
	return 0
}

// BenchmarkRestore measures a start from a template until the guest answers.
func BenchmarkRestore(b *testing.B) {
	cfg := testConfig(b)
	require.NoError(b, launchTest(b, cfg).Close())
	phases := make(map[string][]time.Duration)
	for b.Loop() {
		vm := launchTest(b, cfg)
		require.True(b, vm.Origin().Restored)
		timing := vm.Timing()
		for name, d := range map[string]time.Duration{
			"qemu": timing.QEMU, "copy": timing.Copy, "devices": timing.Devices, "ready": timing.Total,
		} {
			phases[name] = append(phases[name], d)
		}
		require.NoError(b, vm.Close())
	}
	for name, d := range phases {
		report(b, name, d)
	}
}

// BenchmarkStopCont measures the floor under every pause: a bare round trip of
// stop and cont, with all vCPUs busy.
func BenchmarkStopCont(b *testing.B) {
	vm := launchTest(b, testConfig(b))
	mustAsk(b, vm, "busy 2")
	var stop, cont, both []time.Duration
	for b.Loop() {
		began := time.Now()
		require.NoError(b, vm.Pause(b.Context()))
		paused := time.Now()
		require.NoError(b, vm.Resume())
		resumed := time.Now()
		stop = append(stop, paused.Sub(began))
		cont = append(cont, resumed.Sub(paused))
		both = append(both, resumed.Sub(began))
		b.StopTimer()
		time.Sleep(2 * time.Millisecond) // the guest works between pauses
		b.StartTimer()
	}
	report(b, "stop", stop)
	report(b, "cont", cont)
	report(b, "both", both)
}

func report(b *testing.B, name string, d []time.Duration) {
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds())/1e3, name+"-p50-ms")
	b.ReportMetric(float64(d[len(d)*99/100].Microseconds())/1e3, name+"-p99-ms")
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
