package vmm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/initramfs"
)

// A guest is where a test can run out of memory: its init is this test's program, and
// starts processes in a cgroup as a host starts QEMU.

const (
	hostArg   = "VMM_HOST" // on the kernel's command line: be that init
	victimEnv = "VMM_VICTIM"
	victimMiB = 128
)

// victims are the processes that the init starts.
var victims = map[string]func(){
	"eats": func() {
		eaten := make([]byte, victimMiB<<20)
		for i := 0; i < len(eaten); i += 4096 {
			eaten[i] = 1
		}
	},
	"is killed": func() { _ = syscall.Kill(os.Getpid(), syscall.SIGKILL) },
}

func hostMain() {
	if err := hostRun(); err != nil {
		fmt.Println("error:", err)
	}
	_ = syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
}

func hostRun() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"cgroup2", cgroupRoot}} {
		if err := syscall.Mount(m[0], m[1], m[0], 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m[0], err)
		}
	}
	const job = cgroupRoot + "/ci/job"
	if err := os.MkdirAll(job, 0o755); err != nil {
		return err
	}
	for _, w := range [][2]string{
		{cgroupRoot + "/cgroup.subtree_control", "+memory"},
		{cgroupRoot + "/ci/cgroup.subtree_control", "+memory"},
		{job + "/cgroup.procs", "1"},
		{cgroupRoot + "/ci/memory.max", strconv.Itoa(victimMiB << 19)},
	} {
		if err := os.WriteFile(w[0], []byte(w[1]), 0); err != nil {
			return err
		}
	}
	for _, what := range []string{"is killed", "eats"} {
		os.Setenv(victimEnv, what)
		p, err := startProcess("/init", nil, nil, nil)
		if err != nil {
			return err
		}
		<-p.exited
		fmt.Printf("one that %s: %v\n", what, p.exitError())
	}
	return nil
}

func TestProcessThatIsKilledForMemorySaysSo(t *testing.T) {
	cfg := cold(t)
	cfg.Initramfs = ownInitramfs(t)
	cfg.Args = []string{hostArg + "=1"}
	vm, err := Launch(t.Context(), cfg, Hooks{})
	require.NoError(t, err)
	t.Cleanup(func() { vm.Close() })
	select {
	case <-vm.Done():
	case <-time.After(2 * time.Minute):
		t.Fatalf("the guest does not end; console:\n%s", vm.Console())
	}
	said := strings.ReplaceAll(string(vm.Console()), "\r", "")
	require.Contains(t, said, "one that is killed: QEMU ended: signal: killed; its cgroup has counted no kill for memory")
	require.Contains(t, said, "one that eats: QEMU ended: signal: killed; the kernel has killed it because the cgroup "+
		"/sys/fs/cgroup/ci reached its limit of memory of 64 MiB; raise the limit, give guests less memory (Config.Memory)")
}

// ownInitramfs has this test's program as init.
func ownInitramfs(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	b := initramfs.New()
	require.NoError(t, b.Executable("/init", self))
	for _, dir := range []string{"/proc", "/sys", "/tmp"} {
		require.NoError(t, b.Directory(dir))
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "initramfs"))
	require.NoError(t, err)
	_, err = b.WriteTo(f)
	require.NoError(t, errors.Join(err, f.Close()))
	return f.Name()
}

func TestKillsForMemoryAreToldByTheirCgroup(t *testing.T) {
	const selfV2, selfV1 = "0::/ci/job\n", "9:name=systemd:/\n4:cpu,memory:/ci/job\n0::/\n"
	events := func(oom, kill int) string { return fmt.Sprintf("max 9\noom %d\noom_kill %d\n", oom, kill) }
	control := func(kill int) string { return fmt.Sprintf("under_oom 0\noom_kill %d\n", kill) }
	type files map[string]string
	for name, test := range map[string]struct {
		self          string
		before, after files
		want          error
	}{
		"its own limit": {
			self:   selfV2,
			before: files{"ci/job/memory.events": events(0, 0), "ci/memory.events": events(0, 0), "ci/job/memory.max": "1073741824\n"},
			after:  files{"ci/job/memory.events": events(1, 2), "ci/memory.events": events(1, 2)},
			want:   &OutOfMemoryError{Cgroup: "ci/job", Limit: GiB, Kills: 2},
		},
		"one above": {
			self:   selfV2,
			before: files{"ci/job/memory.events": events(3, 3), "ci/memory.events": events(3, 3), "ci/memory.max": "max\n"},
			after:  files{"ci/job/memory.events": events(3, 4), "ci/memory.events": events(4, 4)},
			want:   &OutOfMemoryError{Cgroup: "ci", Kills: 1},
		},
		"the host": {
			self:   selfV2,
			before: files{"ci/job/memory.events": events(0, 0)},
			after:  files{"ci/job/memory.events": events(0, 1)},
			want:   &OutOfMemoryError{Kills: 1},
		},
		"a process of a sibling": {
			self:   selfV2,
			before: files{"ci/job/memory.events": events(0, 0), "ci/memory.events": events(0, 0)},
			after:  files{"ci/memory.events": events(1, 1)},
		},
		"version 1": {
			self: selfV1,
			before: files{
				"memory/ci/job/memory.oom_control": control(0), "memory/ci/job/memory.failcnt": "0\n",
				"memory/ci/memory.oom_control": control(0), "memory/ci/memory.failcnt": "7\n", "memory/ci/memory.limit_in_bytes": "1073741824\n",
			},
			after: files{"memory/ci/job/memory.oom_control": control(1), "memory/ci/memory.failcnt": "8\n"},
			want:  &OutOfMemoryError{Cgroup: "memory/ci", Limit: GiB, Kills: 1},
		},
		"a container that shows its root only": {
			self:   selfV2,
			before: files{"memory.events": events(0, 0), "memory.max": "1073741824\n"},
			after:  files{"memory.events": events(1, 1)},
			want:   &OutOfMemoryError{Cgroup: ".", Limit: GiB, Kills: 1},
		},
		"nothing counts": {self: selfV2},
	} {
		t.Run(name, func(t *testing.T) {
			root, self := t.TempDir(), filepath.Join(t.TempDir(), "self")
			require.NoError(t, os.WriteFile(self, []byte(test.self), 0o600))
			count := func(all files) memoryCounts {
				for path, text := range all {
					path = filepath.Join(root, path)
					require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
					require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
				}
				return countMemory(root, self)
			}
			before := count(test.before)
			got := before.outOfMemory(count(test.after))
			if e, ok := got.(*OutOfMemoryError); ok && e.Cgroup != "" {
				e.Cgroup, _ = filepath.Rel(root, e.Cgroup)
			}
			require.Equal(t, test.want, got)
		})
	}
}
