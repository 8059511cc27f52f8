package vmm

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// Registers are some registers of a vCPU, those that say where it is and how it
// translates addresses.
type Registers struct {
	RIP, RSP, RFLAGS   uint64
	CR0, CR2, CR3, CR4 uint64
	EFER               uint64
	CPL                int
}

// Registers returns the registers of the vCPU with an index from 0 on. They
// are of one moment only if the guest is paused.
func (vm *VM) Registers(ctx context.Context, cpu int) (Registers, error) {
	if vm.calls != nil {
		return Registers{}, fmt.Errorf("reading the registers of vCPU %d: a guest in lockstep stands inside an instruction, where QEMU tells none", cpu)
	}
	args := struct {
		Line string `json:"command-line"`
		CPU  int    `json:"cpu-index"`
	}{"info registers", cpu}
	var text string
	if err := vm.mon.Do(ctx, "human-monitor-command", args, &text); err != nil {
		return Registers{}, fmt.Errorf("reading the registers of vCPU %d: %w", cpu, vm.gone(err))
	}
	regs, err := parseRegisters(text)
	if err != nil {
		return Registers{}, fmt.Errorf("reading the registers of vCPU %d: %w", cpu, err)
	}
	return regs, nil
}

// registerValue matches one register in QEMU's text, such as "CR3=0000000003a1c000"
// (target/i386/cpu-dump.c).
var registerValue = regexp.MustCompile(`\b(RIP|RSP|RFL|CR0|CR2|CR3|CR4|EFER|CPL)=([0-9a-f]+)`)

func parseRegisters(text string) (Registers, error) {
	values := make(map[string]uint64)
	for _, match := range registerValue.FindAllStringSubmatch(text, -1) {
		value, err := strconv.ParseUint(match[2], 16, 64)
		if err != nil {
			return Registers{}, fmt.Errorf("QEMU's %q: %w", match[0], err)
		}
		values[match[1]] = value
	}
	for _, name := range []string{"RIP", "RSP", "RFL", "CR0", "CR2", "CR3", "CR4", "EFER", "CPL"} {
		if _, ok := values[name]; !ok {
			return Registers{}, fmt.Errorf("QEMU does not print %s (is the vCPU in 64-bit mode?)", name)
		}
	}
	return Registers{
		RIP: values["RIP"], RSP: values["RSP"], RFLAGS: values["RFL"],
		CR0: values["CR0"], CR2: values["CR2"], CR3: values["CR3"], CR4: values["CR4"],
		EFER: values["EFER"], CPL: int(values["CPL"]),
	}, nil
}
