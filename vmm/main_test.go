package vmm

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/ktgen/ktgen/vmm/kernel"
)

const testPort = "ktgen.test"

func TestMain(m *testing.M) {
	if os.Getenv(orphanEnv) != "" {
		orphanMain()
	}
	if victim := victims[os.Getenv(victimEnv)]; victim != nil {
		victim()
		os.Exit(0)
	}
	if os.Getpid() == 1 && os.Getenv(hostArg) != "" {
		hostMain()
	}
	scratch, err := os.MkdirTemp("", "vmm-test-")
	if err != nil {
		panic(err)
	}
	scratchDir = scratch
	files, qemus := openFiles(), children()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(scratch)
		if left := openFiles(); code == 0 && left != files {
			fmt.Fprintf(os.Stderr, "leaked: %d files were open before the tests, %d after\n", files, left)
			code = 1
		}
		if left := children(); code == 0 && left != qemus {
			fmt.Fprintf(os.Stderr, "leaked: %d children before the tests, %d after\n", qemus, left)
			code = 1
		}
		os.Exit(code)
	}))
}

// openFiles returns the number of descriptors of this process that are not the
// Go runtime's own.
func openFiles() (n int) {
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		panic(err)
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err == nil && !strings.HasPrefix(target, "anon_inode:") {
			n++
		}
	}
	return n
}

// children returns the number of child processes, zombies included.
func children() (n int) {
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		panic(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		n += len(strings.Fields(string(text)))
	}
	return n
}

// scratchDir is removed after all tests.
var scratchDir string

// needVM returns the kernel to boot. It skips a test where no VM can run, but
// not in CI.
func needVM(t testing.TB) *kernel.Kernel {
	t.Helper()
	skip := t.Skipf
	if os.Getenv("CI") == "true" {
		skip = t.Fatalf
	}
	if testing.Short() {
		t.Skip("short")
	}
	if _, err := findQEMU(os.Getenv(EnvQEMU)); err != nil {
		skip("%v", err)
	}
	k, err := findKernel()
	if err != nil {
		skip("%v", err)
	}
	return k
}

var findKernel = sync.OnceValues(func() (*kernel.Kernel, error) { return kernel.Find(context.Background()) })

// testInitramfs returns the path of an initramfs with testdata/guest as init.
var testInitramfs = sync.OnceValues(func() (string, error) {
	dir := scratchDir
	bin := filepath.Join(dir, "init")
	build := exec.Command("go", "build", "-ldflags=-s -w", "-o", bin, "./testdata/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the guest: %w: %s", err, out)
	}
	data, err := os.ReadFile(bin)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "initramfs")
	f, err := os.Create(path)
	if err != nil {
		return "", err
	}
	w := cpio.NewWriter(f)
	for _, d := range []string{"dev", "proc", "sys"} {
		if err := w.WriteHeader(&cpio.Header{Name: d, Mode: cpio.TypeDir | 0o755}); err != nil {
			return "", err
		}
	}
	if err := w.WriteHeader(&cpio.Header{Name: "init", Mode: cpio.TypeReg | 0o755, Size: int64(len(data))}); err != nil {
		return "", err
	}
	if _, err := w.Write(data); err != nil {
		return "", err
	}
	return path, errors.Join(w.Close(), f.Close())
})

// testConfig returns a configuration whose templates all tests share.
func testConfig(t testing.TB) Config {
	t.Helper()
	k := needVM(t)
	initramfs, err := testInitramfs()
	require.NoError(t, err)
	return Config{
		Kernel:    k.Fastest().Path,
		Initramfs: initramfs,
		Ports:     []string{testPort},
		CacheDir:  filepath.Join(scratchDir, "cache"),
		Accel:     TCG,
	}
}

// private is testConfig with a cache of the test's own.
func private(t testing.TB) Config {
	cfg := testConfig(t)
	cfg.CacheDir = t.TempDir()
	return cfg
}

// cold is testConfig with a boot and no template.
func cold(t testing.TB) Config {
	cfg := testConfig(t)
	cfg.Start = StartCold
	return cfg
}

// testHooks wait for the guest's "ready", and ping it when it is restored.
func testHooks() Hooks {
	return Hooks{
		Ready: func(ctx context.Context, vm *VM) ([]byte, error) {
			line, err := readLine(vm.Port(testPort))
			if err != nil {
				return nil, err
			}
			if line != "ready" {
				return nil, fmt.Errorf("got %q", line)
			}
			return []byte("state of the guest"), nil
		},
		Restored: func(ctx context.Context, vm *VM) error {
			_, err := ask(vm, "ping")
			return err
		},
	}
}

func launchTest(t testing.TB, cfg Config) *VM {
	t.Helper()
	vm, err := Launch(t.Context(), cfg, testHooks())
	require.NoError(t, err)
	t.Cleanup(func() { vm.Close() })
	return vm
}

// ask sends a command to the guest and returns its answer.
func ask(vm *VM, format string, args ...any) (string, error) {
	port := vm.Port(testPort)
	port.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := fmt.Fprintf(port, format+"\n", args...); err != nil {
		return "", err
	}
	return readLine(port)
}

func mustAsk(t testing.TB, vm *VM, format string, args ...any) string {
	t.Helper()
	answer, err := ask(vm, format, args...)
	require.NoError(t, err)
	require.False(t, strings.HasPrefix(answer, "error:"), answer)
	return answer
}

// readLine reads one line. The guest sends nothing after it that it was not
// asked for.
func readLine(port net.Conn) (string, error) {
	line, err := bufio.NewReader(port).ReadString('\n')
	return strings.TrimSpace(line), err
}
