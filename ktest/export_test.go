package ktest

import (
	"context"
	"encoding/binary"
	"fmt"
)

// PageTableEntry is the entry of the kernel's page table that maps a page of its, for tests to watch: an instant
// of which the kernel tells nobody.
func (vm *VM) PageTableEntry(ctx context.Context, page uint64) (Target, error) {
	f, err := vm.freezer(ctx)
	if err != nil {
		return Target{}, err
	}
	word := func(addr uint64) (v uint64) {
		var b [8]byte
		if e := f.Peek(addr, b[:]); e != nil && err == nil {
			err = e
		}
		return binary.LittleEndian.Uint64(b[:])
	}
	symbol := func(name string) (addr uint64) {
		addr, ok := f.Symbols().Lookup(name)
		if !ok && err == nil {
			err = fmt.Errorf("the kernel has no symbol %s", name)
		}
		return addr
	}
	direct, entry := word(symbol("page_offset_base")), uint64(0)
	table := symbol("init_top_pgt")
	shift := 39
	if addr, ok := f.Symbols().Lookup("pgdir_shift"); ok && uint32(word(addr)) == 48 {
		shift = 48 // five levels
	}
	for ; shift >= 12; shift -= 9 {
		entry = table + page>>shift%512*8
		table = direct + word(entry)&(1<<52-1)&^0xfff
		if shift > 12 && err == nil && word(entry)&1 == 0 {
			err = fmt.Errorf("the kernel has no page table for %#x", page)
		}
	}
	return Target{name: fmt.Sprintf("page table entry of %#x", page), addr: entry, size: 8}, err
}

// KernelMember is a member of the struct of the kernel at an address, for tests to watch.
func (vm *VM) KernelMember(ctx context.Context, addr uint64, of, path string) (Target, error) {
	f, err := vm.freezer(ctx)
	if err != nil {
		return Target{}, err
	}
	member, err := f.KernelMember(ctx, of, path)
	return Target{name: of + "." + path, addr: addr + uint64(member.Offset), size: member.Size}, err
}

// KernelPointer is what a member of the struct of the kernel at an address points to.
func (vm *VM) KernelPointer(ctx context.Context, addr uint64, of, path string) (uint64, error) {
	place, err := vm.KernelMember(ctx, addr, of, path)
	if err != nil {
		return 0, err
	}
	f, err := vm.freezer(ctx)
	if err != nil {
		return 0, err
	}
	var b [8]byte
	err = f.Peek(place.addr, b[:])
	return binary.LittleEndian.Uint64(b[:]), err
}

// Check says what no search can be made of.
func (s Seeds) Check() error { return s.check() }

// IsPrepared reports whether the guest is the one that a search keeps for its seeds.
func IsPrepared(vm *VM) bool { return vm.cfg.isPrepared() }

// AgentProgram builds the agent of guests in lockstep.
var AgentProgram = agentProgram

// Dead is how workers have died that the test has not looked at.
func Dead(vm *VM) []error { return vm.scenario.Died() }
