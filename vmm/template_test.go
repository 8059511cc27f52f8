package vmm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
)

// onlyTemplate returns the path of the one template in a cache.
func onlyTemplate(t *testing.T, cfg Config) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(cfg.CacheDir, "templates", "*"+templateSuffix))
	require.NoError(t, err)
	require.Len(t, found, 1)
	return found[0]
}

func TestDamagedTemplateLeadsToABoot(t *testing.T) {
	cfg := private(t)
	require.NoError(t, launchTest(t, cfg).Close())
	path := onlyTemplate(t, cfg)
	good, err := os.ReadFile(path)
	require.NoError(t, err)
	opened, err := openTemplate(path, DefaultMemory)
	require.NoError(t, err)
	defer opened.close()
	flip := func(at int64) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	tests := map[string]struct {
		damage func([]byte) []byte
		want   string
	}{
		"RAM":       {flip(opened.index.Extents[3].Offset + 5), "its RAM: the checksum"},
		"devices":   {flip(opened.index.Devices.Offset + 7), "its devices: the checksum"},
		"state":     {flip(opened.index.State.Offset), "its state: the checksum"},
		"index":     {flip(int64(len(good)) - 2), "its index: the checksum"},
		"header":    {flip(0), "not a template of this format"},
		"truncated": {func(b []byte) []byte { return b[:len(b)/2] }, "its index: "},
		"empty":     {func(b []byte) []byte { return nil }, "reading its header"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.WriteFile(path, test.damage(append([]byte(nil), good...)), 0o600))
			store, key, err := findTemplate(mustDefaults(t, cfg), TCG)
			require.NoError(t, err)
			require.Equal(t, path, store.path(key))
			_, err = restore(t.Context(), mustDefaults(t, cfg), Accelerator{Accel: TCG}, testHooks(), store, key)
			var failed *RestoreError
			require.ErrorAs(t, err, &failed)
			require.ErrorContains(t, err, test.want)
			require.NoFileExists(t, path)
		})
	}
	t.Run("launch", func(t *testing.T) {
		require.NoError(t, os.WriteFile(path, good[:len(good)/2], 0o600))
		vm := launchTest(t, cfg)
		require.False(t, vm.Origin().Restored)
		require.Contains(t, vm.Origin().String(), "booted (starting from the template")
		require.NoError(t, vm.Close())
		require.True(t, launchTest(t, cfg).Origin().Restored)
	})
}

func mustDefaults(t *testing.T, cfg Config) Config {
	t.Helper()
	cfg, err := cfg.withDefaults()
	require.NoError(t, err)
	return cfg
}

func TestGuestThatDoesNotAnswerAfterRestoreIsBooted(t *testing.T) {
	cfg := private(t)
	require.NoError(t, launchTest(t, cfg).Close())
	hooks := testHooks()
	hooks.Restored = func(context.Context, *VM) error { return errors.New("no answer") }
	vm, err := Launch(t.Context(), cfg, hooks)
	require.NoError(t, err)
	defer vm.Close()
	require.False(t, vm.Origin().Restored)
	require.Contains(t, vm.Origin().Note, "no answer")
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
}

// A QEMU that hangs is what a guest may not survive.
func TestGuestThatDoesNotSurviveItsTemplateIsBootedAgain(t *testing.T) {
	hooks := testHooks()
	ready, boots := hooks.Ready, 0
	hooks.Ready = func(ctx context.Context, vm *VM) ([]byte, error) {
		state, err := ready(ctx, vm)
		if boots++; boots == 1 {
			require.NoError(t, syscall.Kill(vm.PID(), syscall.SIGSTOP))
		}
		return state, err
	}
	vm, err := Launch(t.Context(), private(t), hooks)
	require.NoError(t, err)
	defer vm.Close()
	require.Equal(t, 2, boots)
	require.Contains(t, vm.Origin().String(), "booted (no template: the guest did not survive the making of one: ")
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
}

func TestGuestWithoutRoomForItsTemplateRunsOn(t *testing.T) {
	hooks := testHooks()
	ready := hooks.Ready
	hooks.Ready = func(ctx context.Context, vm *VM) ([]byte, error) {
		_, err := ready(ctx, vm)
		return make([]byte, maxState+1), err
	}
	cfg := private(t)
	vm, err := Launch(t.Context(), cfg, hooks)
	require.NoError(t, err)
	defer vm.Close()
	require.Contains(t, vm.Origin().String(), "booted (no template was kept: ")
	require.Equal(t, "pong", mustAsk(t, vm, "ping"))
	left, err := filepath.Glob(filepath.Join(cfg.CacheDir, "templates", "[^.]*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestTemplateThatTakesTooLongIsGivenUp(t *testing.T) {
	ram, err := newRAM(1 * MiB)
	require.NoError(t, err)
	defer ram.close()
	ram.mem[0] = 1
	store, err := openStore(t.TempDir())
	require.NoError(t, err)
	late := errors.New("not done within a minute")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(late)
	err = store.put("aa", func(f *os.File) error { return writeTemplate(ctx, f, ram, still{}) })
	require.ErrorIs(t, err, late)
	require.ErrorContains(t, err, "writing the guest's RAM, after ")
	entries, err := os.ReadDir(store.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestParallelLaunchesShareOneBoot(t *testing.T) {
	cfg := private(t)
	var mu sync.Mutex
	var booted int
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			vm, err := Launch(t.Context(), cfg, testHooks())
			if err != nil {
				t.Error(err)
				return
			}
			defer vm.Close()
			if answer, err := ask(vm, "ping"); err != nil || answer != "pong" {
				t.Errorf("got %q, %v", answer, err)
			}
			mu.Lock()
			defer mu.Unlock()
			if !vm.Origin().Restored {
				booted++
			}
		})
	}
	wg.Wait()
	require.Equal(t, 1, booted)
}

func TestEverythingThatMattersChangesTheTemplateKey(t *testing.T) {
	base := mustDefaults(t, testConfig(t))
	seen := make(map[string]string)
	other := filepath.Join(t.TempDir(), "initramfs")
	require.NoError(t, os.WriteFile(other, []byte("other"), 0o600))
	for name, change := range map[string]func(*Config){
		"base":      func(c *Config) {},
		"CPUs":      func(c *Config) { c.CPUs++ },
		"topology":  func(c *Config) { c.Topology = Topology{Sockets: 1, Dies: 1, Cores: c.CPUs, Threads: 1} },
		"nodes":     func(c *Config) { c.Topology.Nodes = []Node{{CPUs: []int{0, 1}, Memory: c.Memory}} },
		"setup":     func(c *Config) { c.Setup = "CPU 1 is offline" },
		"memory":    func(c *Config) { c.Memory *= 2 },
		"arguments": func(c *Config) { c.Args = []string{"quiet"} },
		"ports":     func(c *Config) { c.Ports = append(c.Ports, "another") },
		"initramfs": func(c *Config) { c.Initramfs = other },
		"kernel":    func(c *Config) { c.Kernel = other },
		"QEMU":      func(c *Config) { c.QEMU = other },
	} {
		cfg := base
		change(&cfg)
		key, err := templateKey(cfg, TCG)
		require.NoError(t, err)
		require.Emptyf(t, seen[key], "%s has the key of another", name)
		seen[key] = name
	}
	again, err := templateKey(base, TCG)
	require.NoError(t, err)
	require.Equal(t, "base", seen[again])
}

func TestStoreForgetsWhatWasNotUsedForLongest(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(cache.TemplatesEnv, "3")
	store, err := openStore(dir)
	require.NoError(t, err)
	put := func(key string, used time.Time) {
		require.NoError(t, store.put(key, func(f *os.File) error { return f.Truncate(int64(MiB)) }))
		require.NoError(t, os.Chtimes(store.path(key), used, used))
	}
	now := time.Now()
	put("aa", now.Add(-time.Minute))
	put("bb", now.Add(-time.Hour))
	put("cc", now.Add(-time.Second))
	put("dd", now)
	require.NoFileExists(t, store.path("bb"))
	for _, key := range []string{"aa", "cc", "dd"} {
		require.FileExists(t, store.path(key))
	}
	left, err := filepath.Glob(filepath.Join(dir, "templates", ".new-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestFailedTemplateLeavesNothing(t *testing.T) {
	store, err := openStore(t.TempDir())
	require.NoError(t, err)
	broken := errors.New("disk full")
	require.ErrorIs(t, store.put("aa", func(*os.File) error { return broken }), broken)
	entries, err := os.ReadDir(store.dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

func FuzzOpenTemplate(f *testing.F) {
	ram, err := newRAM(1 * MiB)
	require.NoError(f, err)
	defer ram.close()
	copy(ram.mem[300<<10:], "content")
	path := filepath.Join(f.TempDir(), "template")
	out, err := os.Create(path)
	require.NoError(f, err)
	require.NoError(f, writeTemplate(f.Context(), out, ram, still{state: []byte("state"), console: []byte("console"), devices: []byte("devices")}))
	require.NoError(f, out.Close())
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:headerSize])
	f.Add([]byte(templateMagic))

	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "fuzzed")
		require.NoError(t, os.WriteFile(path, data, 0o600))
		opened, err := openTemplate(path, 1*MiB)
		if err != nil {
			return
		}
		defer opened.close()
		into, err := newRAM(1 * MiB)
		require.NoError(t, err)
		defer into.close()
		if opened.copyRAM(into) == nil {
			_, _ = opened.still()
		}
	})
}

func TestTemplateRoundTrip(t *testing.T) {
	ram, err := newRAM(32 * MiB)
	require.NoError(t, err)
	defer ram.close()
	for i := range 200 {
		ram.mem[(i*7919*4096)%len(ram.mem)] = byte(i + 1)
	}
	for i := range ram.mem[8<<20 : 20<<20] {
		ram.mem[8<<20+i] = byte(i * 31)
	}
	path := filepath.Join(t.TempDir(), "template")
	f, err := os.Create(path)
	require.NoError(t, err)
	require.NoError(t, writeTemplate(t.Context(), f, ram, still{state: []byte("state")}))
	require.NoError(t, f.Close())

	opened, err := openTemplate(path, 32*MiB)
	require.NoError(t, err)
	defer opened.close()
	into, err := newRAM(32 * MiB)
	require.NoError(t, err)
	defer into.close()
	require.NoError(t, opened.copyRAM(into))
	require.Equal(t, ram.mem, into.mem)
	kept, err := opened.still()
	require.NoError(t, err)
	require.Equal(t, "state", string(kept.state))
	require.Empty(t, kept.devices)
}
