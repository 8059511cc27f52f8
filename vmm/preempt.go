package vmm

import (
	"cmp"
	"debug/elf"
	_ "embed"
	"fmt"
	"math/bits"
	"os"
	"sync"
	"time"
)

// This file has turns of vCPUs end at instructions of a part of the guest's memory, by a plugin in QEMU.

//go:generate make -s -C preempt

// preemptPlugin is loaded into QEMU: preempt/preempt.c says what it does there.
//
//go:embed preempt/preempt.so
var preemptPlugin []byte

// Preemption has turns of vCPUs end between any two instructions of some code, in a guest in lockstep. A
// QEMU without plugins, or without what this one needs of it, does without: see [VM.Preempted].
type Preemption struct {
	Begin, End uint64 // virtual addresses of the code
	Seed       uint64 // of the random numbers
	Mean       int    // how many instructions of the code vCPUs execute from one end to the next, on average
	// Still bounds for how long a vCPU executes nothing when its turn has ended so: half of
	// them go on with their next turn, the others at a random time up to a power of two of nanoseconds, which
	// is random itself. One vCPU at a time stands still.
	Still time.Duration
}

// maxPreemptionMean is what the plugin can count to.
const maxPreemptionMean = 1 << 30

func (p *Preemption) check() error {
	switch {
	case p == nil:
		return nil
	case p.Begin >= p.End:
		return &ConfigError{"Lockstep", fmt.Sprintf("turns are to end in the code from %#x to %#x, which has no instruction: Begin comes before End", p.Begin, p.End)}
	case p.Mean < 1 || p.Mean > maxPreemptionMean:
		return &ConfigError{"Lockstep", fmt.Sprintf("turns are to end after %d instructions: say between 1 and %d", p.Mean, maxPreemptionMean)}
	case p.Still < 0 || p.Still > time.Second:
		return &ConfigError{"Lockstep", fmt.Sprintf("a vCPU is to stand still for up to %v: say between 0 and 1 s", p.Still)}
	}
	return nil
}

// Preempted reports whether the guest's [Preemption] takes place. It does not if there is none, and in a QEMU
// that cannot.
func (vm *VM) Preempted() bool { return vm.cfg.preempted() }

func (c Config) preempted() bool {
	return c.Lockstep != nil && c.Lockstep.Preemption != nil && preempts(c.QEMU)
}

// preemptNeeds are the functions and variables of QEMU's that the plugin uses. One of the last two is there.
var preemptNeeds = []string{"qemu_plugin_register_vcpu_insn_exec_cb", "cpu_exit", "cpu_loop_exit_restore", "qemu_clock_get_ns", "current_cpu"}

// preempting is whether a QEMU can have the plugin, by its file.
var preempting sync.Map

func preempts(qemu string) bool {
	if known, ok := preempting.Load(qemu); ok {
		return known.(bool)
	}
	symbols, _ := symbolsOf(qemu)
	can := symbols["singlestep"] || symbols["one_insn_per_tb"]
	for _, name := range preemptNeeds {
		can = can && symbols[name]
	}
	preempting.Store(qemu, can)
	return can
}

// symbolsOf returns the names of what a program has for others.
func symbolsOf(program string) (names map[string]bool, err error) {
	f, err := elf.Open(program)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names = make(map[string]bool)
	symbols, _ := f.DynamicSymbols() // none of a file without any
	for _, s := range symbols {
		names[s.Name] = true
	}
	return names, nil
}

// preemptFile returns a file with the plugin, or nil if the guest is to be without.
func (c Config) preemptFile() (*os.File, error) {
	if !c.preempted() {
		return nil, nil
	}
	return memoryFile("ktgen-preempt", preemptPlugin)
}

// wiring returns arguments and variables of a QEMU whose descriptor of that number is the plugin.
func (p *Preemption) wiring(number int) (args, env []string) {
	longest := bits.Len64(uint64(cmp.Or(p.Still, 1))) - 1
	return []string{"-plugin", fmt.Sprintf("/proc/self/fd/%d", number)},
		[]string{fmt.Sprintf("KTGEN_PREEMPT=%d,%d,%d,%d,%d", p.Begin, p.End, p.Seed, p.Mean, longest)}
}
