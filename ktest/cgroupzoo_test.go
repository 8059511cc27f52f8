package ktest_test

// This file runs in the guest: it attaches a program to cgroups, which is what
// gives the deprecated kinds of cgroup storage their entries.

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// attachedKey is struct bpf_cgroup_storage_key (include/uapi/linux/bpf.h).
func attachedKey() *btf.Struct {
	return &btf.Struct{Name: "bpf_cgroup_storage_key", Size: 16, Members: []btf.Member{
		{Name: "cgroup_inode_id", Type: &btf.Int{Name: "u64", Size: 8}},
		{Name: "attach_type", Type: &btf.Int{Name: "u32", Size: 4}, Offset: 64},
	}}
}

// fillAttached attaches a program that has both kinds of storage to cgroups, and
// puts noise into what it has there.
func (k *keeper) fillAttached() error {
	maps := []*ebpf.Map{k.maps["attached"], k.maps["attached_cpu"]}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress, License: "GPL", Instructions: asm.Instructions{
		asm.LoadMapPtr(asm.R1, maps[0].FD()), asm.Mov.Imm(asm.R2, 0), asm.FnGetLocalStorage.Call(),
		asm.LoadMapPtr(asm.R1, maps[1].FD()), asm.Mov.Imm(asm.R2, 0), asm.FnGetLocalStorage.Call(),
		asm.Mov.Imm(asm.R0, 1), asm.Return(),
	}})
	if err != nil {
		return fmt.Errorf("load a program with cgroup storage: %w", err)
	}
	k.open = append(k.open, p)
	for i := range 5 {
		if err := k.attach(p, fmt.Sprintf("/sys/fs/cgroup/attached-%d", i), maps); err != nil {
			return err
		}
	}
	return nil
}

func (k *keeper) attach(p *ebpf.Program, dir string, maps []*ebpf.Map) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	l, err := link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInetEgress, Program: p})
	if err != nil {
		return fmt.Errorf("attach to %s: %w", dir, err)
	}
	k.open = append(k.open, l)
	cgroup, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer cgroup.Close()
	inode, err := inodeOf(int(cgroup.Fd()))
	if err != nil {
		return err
	}
	key := binary.LittleEndian.AppendUint64(nil, inode)
	key = binary.LittleEndian.AppendUint64(key, uint64(ebpf.AttachCGroupInetEgress))
	for _, m := range maps {
		if err := update(m, key[:m.KeySize()], noise(bufferSize(m))); err != nil {
			return fmt.Errorf("update what %s has of %v: %w", dir, m, err)
		}
	}
	return nil
}
