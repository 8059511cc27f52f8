package ktest_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/vmm/guest"
)

// Programs of schedulers find the machine that they are written for.
func TestProgramsFindAMachine(t *testing.T) {
	hosts := filepath.Join(t.TempDir(), "hosts")
	require.NoError(t, os.WriteFile(hosts, []byte("127.0.0.1 ours\n"), 0o644))
	vm := ktest.Boot(t, ktest.Config{KernelArgs: []string{"hugepages=2"}, Files: map[string]string{"/etc/hosts": hosts}})
	require.Empty(t, vm.Kernel().Notes)
	ctx := bound(t, time.Minute)
	read := func(path string) string {
		text, err := vm.ReadFile(ctx, path)
		require.NoError(t, err)
		return string(text)
	}
	require.Contains(t, read("/etc/passwd"), "root:x:0:0:")
	require.Equal(t, "127.0.0.1 ours\n", read("/etc/hosts"), "the test's own file stays")
	require.Regexp(t, `(?m)^HugePages_Total:\s+2$`, read("/proc/meminfo"))
	require.Contains(t, read("/boot/config-"+vm.Kernel().Release), "CONFIG_BPF=y")
	require.Regexp(t, `(?m)^Max open files\s+524288\s+524288 `, read("/proc/self/limits"))
	mounted := read("/proc/mounts")
	for _, mount := range []string{
		"cgroup2 /sys/fs/cgroup cgroup2 ", "bpf /sys/fs/bpf bpf ", "debugfs /sys/kernel/debug debugfs ",
		"tracefs /sys/kernel/tracing tracefs ", "hugetlbfs /dev/hugepages hugetlbfs ", "tmpfs /tmp tmpfs ", "tmpfs /run tmpfs ",
	} {
		require.Contains(t, mounted, mount)
	}
	home, err := vm.Agent().Stat(ctx, "/root")
	require.NoError(t, err)
	require.True(t, home.Mode.IsDir())

	// This binary talks to itself over the loopback interface.
	var out strings.Builder
	exit, err := vm.Agent().Exec(ctx, guest.Command{Args: []string{"/proc/self/exe"}, Env: []string{zooEnv + "=loopback"}}, guest.Streams{Out: &out, Err: os.Stderr})
	require.NoError(t, err)
	require.Zero(t, exit)
	require.Equal(t, "hello over loopback", out.String())
}

// talkToItself sends a text over a TCP connection of the guest with itself.
func talkToItself() int {
	const text = "hello over loopback"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	go func() {
		if conn, err := net.Dial("tcp", listener.Addr().String()); err == nil {
			_, _ = io.WriteString(conn, text)
			conn.Close()
		}
	}()
	conn, err := listener.Accept()
	if err == nil {
		_, err = io.Copy(os.Stdout, conn)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
