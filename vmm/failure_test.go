package vmm

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command sends a command whose answer may never come.
func command(t *testing.T, vm *VM, line string) {
	t.Helper()
	_, err := io.WriteString(vm.Port(testPort), line+"\n")
	require.NoError(t, err)
}

func waitDone(t *testing.T, vm *VM) error {
	t.Helper()
	select {
	case <-vm.Done():
		return vm.Err()
	case <-time.After(20 * time.Second):
		require.Fail(t, "the VM is not done", "console:\n%s", vm.Console())
		return nil
	}
}

func TestPanicIsToldFromPowerOff(t *testing.T) {
	t.Run("crash", func(t *testing.T) {
		vm := launchTest(t, testConfig(t))
		command(t, vm, "crash")
		var died *GuestPanicError
		require.ErrorAs(t, waitDone(t, vm), &died)
		require.Equal(t, Panic, died.Complaint.Kind)
		require.Contains(t, died.Error(), "sysrq triggered crash")
		require.Contains(t, string(vm.Console()), "Kernel panic")
	})
	t.Run("init exits", func(t *testing.T) {
		vm := launchTest(t, testConfig(t))
		command(t, vm, "exit")
		var died *GuestPanicError
		require.ErrorAs(t, waitDone(t, vm), &died)
		require.Regexp(t, `(?s)the console where it died:.*last words of init\n.*Attempted to kill init.*Call Trace`, died.Error())
	})
	for way, want := range map[string]error{"poweroff": ErrPoweredOff, "reboot": ErrReset} {
		t.Run(way, func(t *testing.T) {
			vm := launchTest(t, testConfig(t))
			command(t, vm, way)
			require.ErrorIs(t, waitDone(t, vm), want)
		})
	}
	t.Run("killed", func(t *testing.T) {
		vm := launchTest(t, testConfig(t))
		require.NoError(t, syscall.Kill(vm.PID(), syscall.SIGKILL))
		var exit *ExitError
		require.ErrorAs(t, waitDone(t, vm), &exit)
	})
}

func TestMemoryIsReadableAfterAPanic(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	addr := counterAddr(t, vm)
	command(t, vm, "crash")
	waitDone(t, vm)
	require.NotZero(t, readWord(t, vm, addr))
}

func TestPortEndsWithTheGuest(t *testing.T) {
	vm := launchTest(t, testConfig(t))
	command(t, vm, "poweroff")
	_, err := io.Copy(io.Discard, vm.Port(testPort))
	require.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err)
	require.ErrorIs(t, waitDone(t, vm), ErrPoweredOff)
}

func TestContextEndsTheGuest(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	vm, err := Launch(ctx, testConfig(t), testHooks())
	require.NoError(t, err)
	defer vm.Close()
	reason := errors.New("interrupted")
	cancel(reason)
	require.ErrorIs(t, waitDone(t, vm), reason)
	require.ErrorIs(t, vm.Pause(t.Context()), reason)
	require.NoError(t, vm.Close())
}

func TestContextEndsALaunchAnywhere(t *testing.T) {
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		began := time.Now()
		_, err := Launch(ctx, cold(t), testHooks())
		require.ErrorIs(t, err, context.DeadlineExceeded, "after %v", after)
		require.Less(t, time.Since(began), after+2*time.Second)
		cancel()
	}
}

func TestContextEndsARestoreAnywhere(t *testing.T) {
	cfg := testConfig(t)
	require.NoError(t, launchTest(t, cfg).Close())
	for after := time.Duration(0); after < 150*time.Millisecond; after += 10 * time.Millisecond {
		ctx, cancel := context.WithTimeout(t.Context(), after)
		vm, err := Launch(ctx, cfg, testHooks())
		if err == nil {
			require.NoError(t, vm.Close())
		} else {
			require.ErrorIs(t, err, context.DeadlineExceeded, "after %v", after)
		}
		cancel()
	}
	require.True(t, launchTest(t, cfg).Origin().Restored, "the template survives launches that were given up")
}

func TestBootThatFailsSaysWhy(t *testing.T) {
	hang := Hooks{Ready: func(ctx context.Context, vm *VM) ([]byte, error) {
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}}
	refuse := errors.New("the agent is of another version")
	tests := map[string]struct {
		change func(*Config)
		hooks  Hooks
		phase  Phase
		check  func(*testing.T, error)
	}{
		"no init": {
			change: func(c *Config) { c.Args = []string{"rdinit=/nonexistent", "root=/dev/none"} },
			hooks:  testHooks(),
			phase:  PhaseReady,
			check: func(t *testing.T, err error) {
				require.True(t, is[*GuestPanicError](err), "%v", err)
				require.Contains(t, err.Error(), "Unable to mount root fs")
			},
		},
		"silent kernel": {
			change: func(c *Config) { c.Timeouts.FirstOutput = 150 * time.Millisecond },
			hooks:  testHooks(),
			phase:  PhaseSilent,
			check:  func(t *testing.T, err error) { require.ErrorContains(t, err, "no output within 150ms") },
		},
		"never ready": {
			change: func(c *Config) { c.Timeouts.Boot = 6 * time.Second },
			hooks:  hang,
			phase:  PhaseReady,
			check: func(t *testing.T, err error) {
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.ErrorContains(t, err, "the console ends with:\n\t[")
			},
		},
		"refused by the caller": {
			hooks: Hooks{Ready: func(context.Context, *VM) ([]byte, error) { return nil, refuse }},
			phase: PhaseReady,
			check: func(t *testing.T, err error) { require.ErrorIs(t, err, refuse) },
		},
		"QEMU refuses": {
			change: func(c *Config) { c.QEMU = script(t, "echo the machine is on strike >&2; exit 3") },
			hooks:  Hooks{},
			phase:  PhaseStart,
			check: func(t *testing.T, err error) {
				require.ErrorContains(t, err, "QEMU ended: exit status 3: the machine is on strike")
				require.True(t, is[*ExitError](err), "%v", err)
			},
		},
		"QEMU is of another trade": {
			change: func(c *Config) { c.QEMU = "/bin/cat" },
			phase:  PhaseStart,
			check:  func(t *testing.T, err error) { require.True(t, is[*ExitError](err), "%v", err) },
		},
		"too little memory": {
			change: func(c *Config) { c.Memory = 76 * MiB },
			hooks:  testHooks(),
			phase:  PhaseReady,
			check: func(t *testing.T, err error) {
				require.ErrorContains(t, err, "give the guest more memory than 76 MiB (Config.Memory)")
			},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := cold(t)
			if test.change != nil {
				test.change(&cfg)
			}
			vm, err := Launch(t.Context(), cfg, test.hooks)
			if err == nil {
				vm.Close()
			}
			var failed *BootError
			require.ErrorAs(t, err, &failed)
			t.Log(err)
			if test.phase != "" {
				require.Equal(t, test.phase, failed.Phase)
			}
			test.check(t, err)
		})
	}
}

func TestConfigurationsThatMakeNoSense(t *testing.T) {
	good := cold(t)
	noQEMU := filepath.Join(t.TempDir(), "qemu")
	tests := map[string]struct {
		change func(*Config)
		want   string
	}{
		"no kernel":          {func(c *Config) { c.Kernel = "" }, `the kernel "" cannot be booted: Config.Kernel is empty`},
		"kernel not there":   {func(c *Config) { c.Kernel = "/nonexistent" }, "no such file"},
		"kernel a directory": {func(c *Config) { c.Kernel = "/" }, "not a regular file"},
		"kernel a program":   {func(c *Config) { c.Kernel = "/proc/self/exe" }, "PVH"},
		"kernel a text":      {func(c *Config) { c.Kernel = "main_test.go" }, "neither an ELF file (vmlinux) nor a bzImage"},
		"kernel cut short":   {func(c *Config) { c.Kernel = truncated(t, c.Kernel) }, "cut short"},
		"no initramfs":       {func(c *Config) { c.Initramfs = "/nonexistent" }, `the initramfs "/nonexistent" cannot be booted`},
		"too many CPUs":      {func(c *Config) { c.CPUs = 1000 }, "vmm.Config.CPUs: 1000 is not between 1 and 255"},
		"little memory":      {func(c *Config) { c.Memory = 1 * MiB }, "vmm.Config.Memory: 1 MiB is too little for this kernel and initramfs, which take"},
		"huge memory":        {func(c *Config) { c.Memory = 1 << 20 * GiB }, "does not fit: the host's free memory leaves"},
		"odd memory":         {func(c *Config) { c.Memory = 128*MiB + 1 }, "not a multiple of 1 MiB"},
		"odd port":           {func(c *Config) { c.Ports = []string{"a,b"} }, `"a,b" is no port name`},
		"port twice":         {func(c *Config) { c.Ports = []string{"a", "a"} }, `"a" is there twice`},
		"unknown accel":      {func(c *Config) { c.Accel = "hvf" }, `"hvf" is none of "auto", "tcg", "kvm"`},
		"no QEMU":            {func(c *Config) { c.QEMU = noQEMU }, "apt-get install qemu-system-x86"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := good
			test.change(&cfg)
			_, err := Launch(t.Context(), cfg, testHooks())
			require.ErrorContains(t, err, test.want)
			t.Log(err)
		})
	}
}

// script returns the path of a shell script.
func script(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "script")
	require.NoError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700))
	return path
}

// truncated returns a copy of a file without its last tenth.
func truncated(t *testing.T, path string) string {
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	short := filepath.Join(t.TempDir(), "short")
	require.NoError(t, os.WriteFile(short, data[:len(data)/10*9], 0o600))
	return short
}

func TestConsoleIsCopiedAndComplaintsAreFound(t *testing.T) {
	cfg := cold(t)
	var copied strings.Builder
	cfg.Console = &copied
	vm := launchTest(t, cfg)
	mustAsk(t, vm, "print BUG: scheduling while atomic: test/1/0x00000002")
	require.Eventually(t, func() bool { return len(vm.Complaints()) == 1 }, 10*time.Second, 10*time.Millisecond)
	require.Equal(t, Complaint{Kind: Bug, Title: "BUG: scheduling while atomic: test/1/0x00000002"}, vm.Complaints()[0])
	require.NoError(t, vm.Close())
	require.Equal(t, string(vm.Console()), copied.String())
	require.Contains(t, copied.String(), "Linux version")
}
