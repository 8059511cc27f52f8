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

func TestVCPUThreadInACallIsToldByWhatItWaitsFor(t *testing.T) {
	require.True(t, sleeps("230 0x1 0x0 0x7ffd 0x0 0x0 0x0 0x7ffd 0x7f\n"))
	require.True(t, sleeps("35 0x7f 0x0"))
	require.False(t, sleeps("running\n"))
	require.False(t, sleeps("202 0x5 0x80"))
	require.False(t, sleeps(""))
}
