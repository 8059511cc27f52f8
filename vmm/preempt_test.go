package vmm

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPreemptionsThatCannotBeAreRefused(t *testing.T) {
	fine := Preemption{Begin: 1, End: 2, Mean: 1}
	require.NoError(t, fine.check())
	require.NoError(t, (*Preemption)(nil).check())
	for reason, change := range map[string]func(*Preemption){
		"has no instruction":              func(p *Preemption) { p.Begin = 2 },
		"after 0 instructions":            func(p *Preemption) { p.Mean = 0 },
		"between 1 and 1073741824":        func(p *Preemption) { p.Mean = 1<<30 + 1 },
		"up to 1m0s":                      func(p *Preemption) { p.Still = time.Minute },
		"up to -1ns: say between 0 and 1": func(p *Preemption) { p.Still = -1 },
	} {
		p := fine
		change(&p)
		err := Config{Accel: TCG, Lockstep: &Lockstep{Preemption: &p}}.checkLockstep()
		refused := (*ConfigError)(nil)
		require.ErrorAs(t, err, &refused, reason)
		require.ErrorContains(t, err, reason)
	}
}

// The longest time is told as a power of two that is not longer.
func TestPreemptionIsToldToThePlugin(t *testing.T) {
	for still, longest := range map[time.Duration]int{0: 0, 1: 0, 2: 1, 3: 1, 4: 2, time.Second: 29} {
		p := Preemption{Begin: 1 << 63, End: 1<<64 - 1, Seed: 5, Mean: 6, Still: still}
		args, env := p.wiring(7)
		require.Equal(t, []string{"-plugin", "/proc/self/fd/7"}, args)
		require.Equal(t, []string{fmt.Sprintf("KTGEN_PREEMPT=9223372036854775808,18446744073709551615,5,6,%d", longest)}, env)
	}
}

// A QEMU that cannot have the plugin runs its guests without.
func TestPreemptionNeedsPlugins(t *testing.T) {
	cfg := Config{QEMU: "/bin/true", Lockstep: &Lockstep{Preemption: &Preemption{Begin: 1, End: 2, Mean: 1}}}
	require.False(t, cfg.preempted())
	file, err := cfg.preemptFile()
	require.NoError(t, err)
	require.Nil(t, file)
	cfg.QEMU = "/nowhere"
	require.False(t, cfg.preempted())
}
