package vmm

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A byte passes a gate only when one was taken from the other side. Who writes tries again
// and again, as QEMU does: one that sleeps is not woken before the socket is mostly empty.
func TestGateLetsOneByteThroughAtATime(t *testing.T) {
	ours, theirs, err := newGate()
	require.NoError(t, err)
	defer ours.Close()
	defer theirs.Close()
	try := func() error { return unix.Sendto(int(theirs.Fd()), []byte{1}, unix.MSG_DONTWAIT, nil) }
	for range 3 {
		require.ErrorIs(t, try(), unix.EAGAIN)
		require.NoError(t, ours.pass())
		require.NoError(t, try())
	}
}

func TestLockstepRefusesWhatItCannotRepeat(t *testing.T) {
	for reason, change := range map[string]func(*Config){
		"count instructions":        func(c *Config) { c.Accel = KVM },
		"leave Config.Ports empty":  func(c *Config) { c.Ports = []string{"a.port"} },
		"is not between 1 us and 1": func(c *Config) { c.Lockstep.Quanta = []time.Duration{time.Nanosecond} },
		"17 quanta are more than":   func(c *Config) { c.Lockstep.Quanta = make([]time.Duration, 17) },
	} {
		cfg := Config{CPUs: 2, Memory: DefaultMemory, Accel: TCG, Lockstep: new(Lockstep)}
		change(&cfg)
		err := cfg.checkLockstep()
		refused := (*ConfigError)(nil)
		require.ErrorAs(t, err, &refused, reason)
		require.Equal(t, "Lockstep", refused.Field)
		require.ErrorContains(t, err, reason)
	}
	require.NoError(t, Config{Accel: TCG, Lockstep: &Lockstep{Quanta: []time.Duration{time.Millisecond}}}.checkLockstep())
}

// A template serves all seeds: what they decide is not in its key.
func TestSeedsShareATemplate(t *testing.T) {
	cfg := Config{Kernel: "/proc/version", Initramfs: "/proc/version", QEMU: "/bin/sh", CPUs: 2, Memory: DefaultMemory, CacheDir: t.TempDir()}
	key := func(l *Lockstep) string {
		cfg.Lockstep = l
		key, err := templateKey(cfg, TCG)
		require.NoError(t, err)
		return key
	}
	require.Equal(t, key(&Lockstep{Random: 1}), key(&Lockstep{Random: 2, Offset: 3, Quanta: []time.Duration{time.Millisecond}}))
	require.NotEqual(t, key(nil), key(new(Lockstep)))
}

func TestSeedKeysSayWhatDiffers(t *testing.T) {
	k := SeedKey{"111111", "222222", "333333", "444444", ""}
	require.Empty(t, k.Differs(k.String()))
	require.Equal(t, "the kernel, the guest's files (of the agent, and Config.Files)", k.Differs("111111.aaaaaa.bbbbbb.444444"))
	require.Contains(t, k.Differs("37"), "is no key: one looks like 111111.222222.333333.444444")
}

// What decides a run is in the key; what a seed decides is not.
func TestSeedKeysAreOfWhatDecidesARun(t *testing.T) {
	cfg := Config{Kernel: "/proc/version", Initramfs: "/proc/version", QEMU: "/bin/sh", CPUs: 2, Memory: DefaultMemory, CacheDir: t.TempDir(), Lockstep: new(Lockstep)}
	key := func(change func(*Config)) SeedKey {
		changed := cfg
		change(&changed)
		k, err := (&VM{cfg: changed, accel: Accelerator{Accel: TCG}}).SeedKey()
		require.NoError(t, err)
		return k
	}
	plain := key(func(*Config) {})
	require.Equal(t, plain, key(func(c *Config) { c.Lockstep = &Lockstep{Random: 2, Offset: 3} }))
	for _, change := range []func(*Config){
		func(c *Config) { c.CPUs = 3 }, func(c *Config) { c.Memory *= 2 }, func(c *Config) { c.Args = []string{"x"} }, func(c *Config) { c.Start = StartCold },
		func(c *Config) { c.Lockstep = &Lockstep{Rule: 1} },
	} {
		require.Equal(t, seedKeyParts[3], plain.Differs(key(change).String()))
	}
	require.Equal(t, seedKeyParts[0], plain.Differs(key(func(c *Config) { c.QEMU = "/bin/ls" }).String()))
}
