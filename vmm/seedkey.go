package vmm

import (
	"encoding/json"
	"fmt"
	"strings"
)

// SeedKey says what a run of a guest in lockstep depends on, beside its [Lockstep] and what is asked of
// it: hashes, cut to 6 digits. Runs of guests whose keys differ are not the same.
type SeedKey struct {
	QEMU    string // the program
	Kernel  string
	Files   string // the initramfs: the agent's program among them
	Machine string // vCPUs, memory, the kernel's command line, whether the guest is booted
	Begin   string // what was done to the guest that it begins with ([Config.Prepared]); empty if there is none
}

const seedKeyDigits = 6

// SeedKey returns the key of a guest.
func (vm *VM) SeedKey() (SeedKey, error) {
	cfg := vm.cfg
	var k SeedKey
	for _, part := range []struct {
		name *string
		file string
	}{{&k.QEMU, cfg.QEMU}, {&k.Kernel, cfg.Kernel}, {&k.Files, cfg.Initramfs}} {
		digest, err := digestFile(cfg.CacheDir, part.file)
		if err != nil {
			return k, fmt.Errorf("tell what a run depends on: %w", err)
		}
		*part.name = digest[:seedKeyDigits]
	}
	cfg.Kernel, cfg.Initramfs = "", ""
	text, err := json.Marshal(struct {
		Arguments []string
		Cold      bool
		Hold      string
		Preempt   string
		Rule      int
	}{cfg.arguments(vm.accel.Accel), cfg.Start == StartCold, cfg.holdDigest(), hashText(string(preemptPlugin)), cfg.Lockstep.rule()})
	if err != nil {
		return k, err
	}
	k.Machine = hashText(string(text))[:seedKeyDigits]
	if cfg.Prepared != nil {
		k.Begin = cfg.Prepared.digest[:seedKeyDigits]
	}
	return k, nil
}

func (k SeedKey) parts() []string {
	parts := []string{k.QEMU, k.Kernel, k.Files, k.Machine}
	if k.Begin != "" {
		parts = append(parts, k.Begin)
	}
	return parts
}

// String returns the hashes with dots in between.
func (k SeedKey) String() string { return strings.Join(k.parts(), ".") }

// seedKeyParts are the words for the parts of a key, in their order.
var seedKeyParts = []string{"QEMU", "the kernel", "the guest's files (of the agent, and Config.Files)", "the machine (CPUs, memory, kernel arguments, template or not)", "what is done before a seed begins (the scheduler's start, ktest.Seeds.Prepare)"}

// Differs says in what another key, as a text, differs; it is empty if that is the same.
func (k SeedKey) Differs(other string) string {
	theirs, ours := strings.Split(other, "."), k.parts()
	if n := len(theirs); n != len(seedKeyParts) && n != len(seedKeyParts)-1 {
		return fmt.Sprintf("%q is no key: one looks like %s", other, k)
	}
	var different []string
	for i := range max(len(theirs), len(ours)) {
		if i >= len(theirs) || i >= len(ours) || theirs[i] != ours[i] {
			different = append(different, seedKeyParts[i])
		}
	}
	return strings.Join(different, ", ")
}
