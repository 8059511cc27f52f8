package ktest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/vmm"
	"github.com/ktgen/ktgen/vmm/guest"
)

func TestProgramsInTheGuestFailAsTheyWouldHere(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Files: map[string]string{"/bin/sh": "/bin/sh", "/bin/sleep": "/bin/sleep"}})
	ctx := bound(t, time.Minute)

	out, err := vm.Exec(ctx, "sh", "-c", "echo out; echo err >&2")
	require.NoError(t, err)
	require.Equal(t, "out\n", string(out.Stdout))
	require.Equal(t, "err\n", string(out.Stderr))

	var failed *ktest.ExecError
	_, err = vm.Exec(ctx, "sh", "-c", "echo because >&2; exit 7")
	require.ErrorAs(t, err, &failed)
	require.Equal(t, guest.Exit{Code: 7}, failed.Exit)
	require.ErrorContains(t, err, "because")
	_, err = vm.Exec(ctx, "sh", "-c", "kill -TERM $$")
	require.ErrorAs(t, err, &failed)
	require.Equal(t, "SIGTERM", failed.Exit.Signal)

	_, err = vm.Exec(ctx, "no-such-program")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "add it to the guest's files")
	_, err = vm.Exec(ctx)
	require.ErrorContains(t, err, "no program")
	_, err = vm.ReadFile(ctx, "/no/such/file")
	require.ErrorIs(t, err, fs.ErrNotExist)

	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err = vm.Exec(short, "sleep", "1000")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Eventually(t, func() bool { return !running(vm, "sleep") }, 10*time.Second, 20*time.Millisecond,
		"a program is killed with its context")
}

// running reports whether a process of that name is in the guest.
func running(vm *ktest.VM, name string) bool {
	for pid := 2; pid < 500; pid++ {
		comm, err := vm.ReadFile(context.Background(), fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(comm)) == name {
			return true
		}
	}
	return false
}

func TestOrphansAreReapedAndChildrenAreNot(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Files: map[string]string{"/bin/sh": "/bin/sh", "/bin/sleep": "/bin/sleep"}})
	ctx := bound(t, time.Minute)
	for i := range 20 {
		_, err := vm.Exec(ctx, "sh", "-c", fmt.Sprintf("(sleep 0.0%d; exit 3) </dev/null >/dev/null 2>&1 & exit 0", i%10))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return !running(vm, "sh") && !running(vm, "sleep") }, 10*time.Second, 50*time.Millisecond,
		"zombies keep their names until they are reaped")
}

func TestFilesGoInAndOut(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Files: map[string]string{"/data/config": "config.go"}})
	want, err := os.ReadFile("config.go")
	require.NoError(t, err)
	got, err := vm.ReadFile(t.Context(), "/data/config")
	require.NoError(t, err)
	require.Equal(t, want, got)

	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<18) // 4 MiB
	require.NoError(t, vm.WriteFile(t.Context(), "/deep/down/file", big, 0o640))
	got, err = vm.ReadFile(t.Context(), "/deep/down/file")
	require.NoError(t, err)
	require.True(t, bytes.Equal(big, got))
	info, err := vm.Agent().Stat(t.Context(), "/deep/down/file")
	require.NoError(t, err)
	require.EqualValues(t, 0o640, info.Mode.Perm())

	require.NoError(t, vm.WriteFile(t.Context(), "/proc/sys/kernel/hostname", []byte("box\n"), 0o644))
	name, err := vm.ReadFile(t.Context(), "/proc/sys/kernel/hostname")
	require.NoError(t, err)
	require.Equal(t, "box\n", string(name))
}

func TestGuestThatPanicsIsToldByEveryCall(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile"), ExpectExit: true})
	ctx := bound(t, time.Minute)
	before, err := vm.TryFreeze(ctx, "before")
	require.NoError(t, err)
	err = vm.WriteFile(ctx, "/proc/sysrq-trigger", []byte("c"), 0)

	var panicked *vmm.GuestPanicError
	require.ErrorAs(t, err, &panicked)
	require.Contains(t, panicked.Error(), "sysrq")
	_, err = vm.Exec(ctx, "anything")
	require.ErrorAs(t, err, &panicked)
	_, err = vm.TryFreeze(ctx, "after")
	require.ErrorAs(t, err, &panicked)
	_, err = vm.AwaitExit(ctx)
	require.ErrorAs(t, err, &panicked)
	require.ErrorAs(t, vm.Attach(ctx, fault("docile")), &panicked)
	require.NotEmpty(t, before.Maps, "snapshots outlive their guest")
}

func TestAgentThatDiesIsToldWithItsLastWords(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, time.Minute)
	err := vm.Agent().Signal(ctx, 1, unix.SIGQUIT) // Go's runtime prints all goroutines and exits
	for !errors.Is(err, guest.ErrLost) && ctx.Err() == nil {
		_, err = vm.Exec(ctx, "anything") // it may answer until it is gone
	}
	require.ErrorIs(t, err, guest.ErrLost)
	<-vm.Machine().Done()
	_, err = vm.Exec(ctx, "anything")
	var died *ktest.AgentError
	require.ErrorAs(t, err, &died)
	require.ErrorContains(t, err, "SIGQUIT: quit")
}

func TestGuestThatSwitchesItselfOff(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	ctx := bound(t, time.Minute)
	require.NoError(t, vm.Agent().PowerOff(ctx))
	_, err := vm.Exec(ctx, "anything")
	require.ErrorIs(t, err, vmm.ErrPoweredOff)
}

func TestQEMUThatIsKilled(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	require.NoError(t, unix.Kill(vm.Machine().PID(), unix.SIGKILL))
	var exited *vmm.ExitError
	_, err := vm.Exec(bound(t, time.Minute), "anything")
	require.ErrorAs(t, err, &exited)
	_, err = vm.TryFreeze(bound(t, time.Minute), "after")
	require.ErrorAs(t, err, &exited)
}

func TestCallsIntoAGuestThatHangsEndWithTheirContext(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	require.NoError(t, vm.Machine().Pause(t.Context())) // a guest in which nothing runs any more
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for name, call := range map[string]func() error{
		"exec":   func() error { _, err := vm.Exec(ctx, "anything"); return err },
		"write":  func() error { return vm.WriteFile(ctx, "/tmp/x", make([]byte, 16<<20), 0o600) },
		"attach": func() error { return vm.Attach(ctx, fault("docile")) },
	} {
		require.ErrorIs(t, call(), context.DeadlineExceeded, name)
	}
	require.NoError(t, vm.Machine().Resume())
	_, err := vm.ReadFile(bound(t, time.Minute), "/proc/version")
	require.NoError(t, err, "what was given up does not disturb what follows")
}

func TestTimeoutsNameWhatTheKernelComplainsAbout(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	line := "<3>INFO: task hog:42 blocked for more than 120 seconds.\n" // as kernel/hung_task.c prints it
	require.NoError(t, vm.WriteFile(t.Context(), "/dev/kmsg", []byte(line), 0))
	require.Eventually(t, func() bool { return len(vm.Machine().Complaints()) > 0 }, 10*time.Second, 10*time.Millisecond)

	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := vm.Exec(ctx, "/proc/self/exe") // the agent's program, which does not end
	var hung *ktest.HungError
	require.ErrorAs(t, err, &hung)
	require.Equal(t, vmm.HungTask, hung.Complaint.Kind)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// victimEnv makes TestVictim do something to itself.
const victimEnv = "KTEST_VICTIM"

// TestVictim is run by the tests below, in a process of its own.
func TestVictim(t *testing.T) {
	deed := os.Getenv(victimEnv)
	if deed == "" {
		t.Skip("runs as a part of other tests")
	}
	if cfg, ok := vain[deed]; ok {
		ktest.Boot(t, cfg)
		t.Fatal("it was to fail")
	}
	vm := ktest.Boot(t, ktest.Config{Scheduler: fault("docile")})
	vm.Freeze("the last one")
	fmt.Printf("qemu=%d\n", vm.Machine().PID())
	switch deed {
	case "fail":
		t.FailNow()
	case "panic":
		panic("the test has a bug")
	case "wait":
		select {}
	case "scheduler":
		_, err := vm.Detach(t.Context())
		require.NoError(t, err)
		require.NoError(t, vm.Attach(t.Context(), fault("error")))
		_, err = vm.Work(t.Context(), ktest.Spin, 1)
		require.NoError(t, err)
		<-vm.Exited()
	case "stall":
		_, err := vm.Detach(t.Context())
		require.NoError(t, err)
		require.NoError(t, vm.Attach(t.Context(), fault("stall")))
		_, _ = vm.Work(t.Context(), ktest.Spin, 1) // returns when the scheduler has been thrown out
		<-vm.Exited()
	}
}

// vain are boots that fail, each with its own last words.
var vain = map[string]ktest.Config{
	"loud": {
		Files:     map[string]string{"/bin/sh": "/bin/sh", "/bin/seq": "/bin/seq"},
		Scheduler: ktest.Binary("/bin/sh", "-c", "echo it begins; seq 400000; echo no such knob >&2; exit 1"),
	},
	"isolated": {KernelArgs: []string{"isolcpus=1"}, Scheduler: fault("docile")},
	"rejected": {Scheduler: fault("reject")},
	"panicked": {KernelArgs: []string{"init=/no/such", "rdinit=/no/such"}, NoTemplate: true},
}

// What a boot in vain leaves is read to its end before the guest is gone, and kept.
func TestBootThatFailsLeavesItsLastWords(t *testing.T) {
	for deed, want := range map[string]struct {
		message []string
		files   map[string][]string
	}{
		"loud": {
			[]string{"ended before it had enabled a scheduler (exit status 1); it wrote:\n", "it begins\n", "lines, ", "bytes, are left out here)\n", "400000\n", "no such knob\n"},
			map[string][]string{"scheduler.log": {"it begins\n1\n2\n", "bytes are left out here)", "400000\nno such knob\n"}, "exit.txt": {"no such knob"}, "kernel.log": {"Linux version"}, "console.log": nil},
		},
		"isolated": {
			[]string{"the kernel wrote meanwhile:\n", "Not compatible with \"isolcpus=\""},
			map[string][]string{"exit.txt": {"Not compatible with"}, "kernel.log": {"Not compatible with"}},
		},
		"rejected": {
			[]string{"the guest's verifier rejects program fault_enqueue"},
			map[string][]string{"exit.txt": {"rejects program fault_enqueue"}, "verifier.log": {"cannot write into"}},
		},
		"panicked": {
			[]string{"panic"},
			map[string][]string{"exit.txt": {"panic"}, "console.log": {"panic"}},
		},
	} {
		t.Run(deed, func(t *testing.T) {
			artifacts := t.TempDir()
			cmd, output := victim(t, deed, ktest.EnvArtifacts+"="+artifacts)
			require.Error(t, cmd.Wait())
			if strings.Contains(output.String(), "--- SKIP") {
				t.Skip("no guest can boot here")
			}
			for _, text := range want.message {
				require.Contains(t, output.String(), strings.ReplaceAll(text, "\n", ""))
			}
			require.Contains(t, output.String(), "artifacts of this test are in "+artifacts)
			for name, texts := range want.files {
				found, err := filepath.Glob(filepath.Join(artifacts, "TestVictim-*", name))
				require.NoError(t, err)
				require.Len(t, found, 1, name)
				contents, err := os.ReadFile(found[0])
				require.NoError(t, err)
				for _, text := range texts {
					require.Contains(t, string(contents), text, name)
				}
			}
		})
	}
}

// victim starts TestVictim.
func victim(t *testing.T, deed string, env ...string) (*exec.Cmd, *buffer) {
	t.Helper()
	var output buffer
	cmd := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	cmd.Env = append(append(os.Environ(), victimEnv+"="+deed), env...)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	return cmd, &output
}

// qemuOf waits until the victim has said which process its QEMU is. It returns
// 0 if it ends without.
func qemuOf(t *testing.T, output *buffer) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, rest, ok := strings.Cut(output.String(), "qemu=")
		if !ok || !strings.Contains(rest, "\n") {
			return strings.Contains(output.String(), "--- SKIP")
		}
		_, err := fmt.Sscanf(rest, "%d", &pid)
		return err == nil
	}, time.Minute, 10*time.Millisecond, "output:\n%s", output)
	if pid == 0 {
		t.Skip("no guest can boot here")
	}
	return pid
}

func requireGone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return errors.Is(unix.Kill(pid, 0), unix.ESRCH) }, 10*time.Second, 10*time.Millisecond,
		"QEMU is left behind")
}

func TestNothingIsLeftBehind(t *testing.T) {
	for _, deed := range []string{"fail", "panic"} {
		t.Run(deed, func(t *testing.T) {
			artifacts := t.TempDir()
			cmd, output := victim(t, deed, ktest.EnvArtifacts+"="+artifacts)
			pid := qemuOf(t, output)
			require.Error(t, cmd.Wait())
			requireGone(t, pid)

			require.Contains(t, output.String(), "artifacts of this test are in "+artifacts)
			require.Contains(t, output.String(), "captures: 2, the last is test_failure (+")
			for _, name := range []string{"console.log", "kernel.log", "01-the_last_one.ktsnap", "02-test_failure.ktsnap", "02-test_failure.txt", "captures.html"} {
				found, err := filepath.Glob(filepath.Join(artifacts, "TestVictim-*", name))
				require.NoError(t, err)
				require.Len(t, found, 1, name)
			}
		})
	}
	signal.Notify(make(chan os.Signal, 1), unix.SIGINT) // whoever started this process in the background may have it ignored, and what it starts would, too
	t.Cleanup(func() { signal.Reset(unix.SIGINT) })
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGKILL} {
		t.Run(unix.SignalName(sig), func(t *testing.T) {
			cmd, output := victim(t, "wait")
			pid := qemuOf(t, output)
			require.NoError(t, unix.Kill(-cmd.Process.Pid, sig)) // as a terminal does
			require.Error(t, cmd.Wait())
			requireGone(t, pid)
		})
	}
}

func TestSchedulerThatIsThrownOutFailsTheTest(t *testing.T) {
	artifacts := t.TempDir()
	cmd, output := victim(t, "scheduler", ktest.EnvArtifacts+"="+artifacts)
	qemuOf(t, output)
	require.Error(t, cmd.Wait())
	require.Contains(t, output.String(), "the kernel has ended the scheduler")
	require.Contains(t, output.String(), "--- FAIL: TestVictim")
	found, err := filepath.Glob(filepath.Join(artifacts, "TestVictim-*", "exit.txt"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	exit, err := os.ReadFile(found[0])
	require.NoError(t, err)
	require.Contains(t, string(exit), "the fault was asked for")
	require.Contains(t, string(exit), "CPU states", "the kernel's dump")
	require.Contains(t, output.String(), "\tscheduler \"fault\": scx_bpf_error: the fault was asked for")
	found, err = filepath.Glob(filepath.Join(artifacts, "TestVictim-*", "*-scheduler_exit.ktsnap"))
	require.NoError(t, err)
	require.Len(t, found, 1)
	snap, err := ktsnap.ReadFile(found[0])
	require.NoError(t, err)
	require.NotEmpty(t, snap.Maps)
}

func TestFailureOfATestSaysWhichTasksStarvedAndWhy(t *testing.T) {
	cmd, output := victim(t, "stall", ktest.EnvArtifacts+"="+t.TempDir())
	qemuOf(t, output)
	require.Error(t, cmd.Wait())
	require.Regexp(t, `starving in \w+: \S+\[\d+\] has been runnable for \S+ of 2s without running: the BPF scheduler has taken it in ops.enqueue and not dispatched it; CPU `,
		output.String())
}

func TestArtifactsThatCannotBeWrittenCostANoteOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	cmd, output := victim(t, "fail", ktest.EnvArtifacts+"="+file+"/below")
	requireGone(t, qemuOf(t, output))
	require.Error(t, cmd.Wait())
	require.Contains(t, output.String(), "not all artifacts could be written")
	require.Contains(t, output.String(), "--- FAIL: TestVictim")
	require.NotContains(t, output.String(), "panic")
}

// The result of the test is what it is without the disk: nothing is left of
// files that are of no use in part.
func TestArtifactsOnAFullDiskCostANoteOnly(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount a small tmpfs (needs root): %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	cmd, output := victim(t, "fail", ktest.EnvArtifacts+"="+dir)
	requireGone(t, qemuOf(t, output))
	require.Error(t, cmd.Wait())
	require.Contains(t, output.String(), "not all artifacts could be written, which changes nothing else: ")
	require.Contains(t, output.String(), "no space left on device")
	require.Contains(t, output.String(), "--- FAIL: TestVictim")
	require.NotContains(t, output.String(), "panic")
	snapshots, err := filepath.Glob(filepath.Join(dir, "TestVictim-*", "*.ktsnap"))
	require.NoError(t, err)
	for _, path := range snapshots {
		_, err := ktsnap.ReadFile(path)
		require.NoError(t, err, "a snapshot is there as a whole or not at all")
	}
}

func TestNoGuestIsASkipAndInCIAFailure(t *testing.T) {
	nothing := t.TempDir()
	noQEMU := []string{"PATH=" + nothing, "KTGEN_QEMU="}
	noKernel := []string{"KTGEN_CACHE=" + nothing, "KTGEN_KERNEL="}
	if _, err := os.Stat("/usr/libexec/qemu-kvm"); err == nil {
		t.Skip("QEMU cannot be hidden here")
	}
	for name, row := range map[string]struct {
		env  []string
		want []string
	}{
		"no QEMU":                  {env: noQEMU, want: []string{"--- SKIP: TestVictim", "install it"}},
		"no QEMU, CI says false":   {env: append(noQEMU, "CI=false"), want: []string{"--- SKIP: TestVictim"}},
		"no QEMU in CI":            {env: append(noQEMU, "CI=true"), want: []string{"--- FAIL: TestVictim", "install it"}},
		"no kernel":                {env: noKernel, want: []string{"--- SKIP: TestVictim", "ktgen kernel fetch"}},
		"no kernel in CI":          {env: append(noKernel, "CI=1"), want: []string{"--- FAIL: TestVictim", "ktgen kernel fetch"}},
		"a QEMU that is not there": {env: []string{"KTGEN_QEMU=" + nothing + "/qemu"}, want: []string{"--- FAIL: TestVictim", nothing + "/qemu"}},
		"a kernel that is no more": {env: []string{"KTGEN_KERNEL=" + nothing + "/bzImage"}, want: []string{"--- FAIL: TestVictim", nothing + "/bzImage"}},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, output := victim(t, "fail", append([]string{"CI="}, row.env...)...)
			_ = cmd.Wait() // its output says it all
			if strings.Contains(output.String(), "qemu=") {
				t.Skip("a guest boots all the same: this machine's own kernel is fit")
			}
			for _, want := range row.want {
				require.Contains(t, output.String(), want)
			}
		})
	}
}
