package scx

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	ebtf "github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/btf"
)

// This file reads how the kernel notes the end of a scheduler: struct scx_exit_info
// (kernel/sched/ext/internal.h), which struct scx_sched points to. The kernel's log has the
// message of errors only, and the exit code of nothing.

// exitNote is where the kernel notes the end of one scheduler. The nil one knows nothing.
type exitNote struct {
	root uint64 // address of scx_root
	info int    // offset in struct scx_sched

	kind, code, reason, message int // offsets in struct scx_exit_info

	mu sync.Mutex
	at uint64 // the struct scx_exit_info; 0 until it is found
}

// newExitNote returns nil for a kernel that does not tell where that is: struct scx_sched
// and scx_root are in Linux from 6.16 on.
func newExitNote(root uint64, kernel *ebtf.Spec) *exitNote {
	if root == 0 || kernel == nil {
		return nil
	}
	n := &exitNote{root: root}
	for _, m := range []struct {
		at         *int
		of, member string
	}{
		{&n.info, "scx_sched", "exit_info"},
		{&n.kind, "scx_exit_info", "kind"}, {&n.code, "scx_exit_info", "exit_code"},
		{&n.reason, "scx_exit_info", "reason"}, {&n.message, "scx_exit_info", "msg"},
	} {
		f, err := btf.Find(kernel, m.of, m.member)
		if err != nil {
			return nil
		}
		*m.at = f.Offset
	}
	return n
}

// find finds the struct of the scheduler that is enabled.
func (n *exitNote) find() { n.address() }

// address returns where the struct of the scheduler is that is enabled, 0 if that is unknown.
func (n *exitNote) address() uint64 {
	if n == nil {
		return 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at != 0 {
		return n.at
	}
	_ = withMemory(func(mem *memory) error {
		sched, err := mem.uint64(n.root)
		if err != nil || sched == 0 {
			return err
		}
		n.at, err = mem.uint64(sched + uint64(n.info))
		return err
	})
	return n.at
}

// read returns what is noted of an end of some kind, [ExitNone] if that is not known; ok is false if
// nothing is, it cannot be read, or it tells nothing.
func (n *exitNote) read(kind ExitKind) (noted Exit, ok bool) {
	if kind == ExitUnreg {
		return noted, false // which has no message and no code
	}
	at := n.address()
	if at == 0 {
		return noted, false
	}
	err := withMemory(func(mem *memory) (err error) {
		read := func(offset int) (v uint64) {
			if err == nil {
				v, err = mem.uint64(at + uint64(offset))
			}
			return v
		}
		noted.Kind, noted.Code = ExitKind(read(n.kind)), int64(read(n.code))
		reason, message := read(n.reason), read(n.message)
		if err != nil {
			return err
		}
		noted.Message = mem.text(message)
		noted.Reason = mem.text(reason)
		return nil
	})
	return noted, err == nil && noted.Kind != ExitNone && noted.Reason != ""
}

// memory reads the kernel's memory, by BPF programs that are loaded for that alone: they are
// gone before a capture can see them.
type memory struct{ word, block *ebpf.Program }

// What the programs get is an address, and behind it the place for what they read there: 8 or
// blockSize bytes, by way of the stack, as some kernels let no helper write to the context.
const (
	blockSize   = 256
	memoryLimit = 1024 // of a text, in bytes: SCX_EXIT_MSG_LEN
)

// reader is a program that reads size bytes.
func reader(size int) (*ebpf.Program, error) {
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R3, asm.R1, 0, asm.DWord),
		asm.Mov.Imm(asm.R2, int32(size)),
		asm.Mov.Reg(asm.R1, asm.R10),
		asm.Add.Imm(asm.R1, -int32(size)),
		asm.FnProbeReadKernel.Call(),
	}
	for off := 0; off < size; off += 8 {
		code = append(code,
			asm.LoadMem(asm.R2, asm.R10, int16(off-size), asm.DWord),
			asm.StoreMem(asm.R6, int16(8+off), asm.R2, asm.DWord))
	}
	return ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Syscall, Flags: unix.BPF_F_SLEEPABLE, License: "GPL", Instructions: append(code, asm.Return()),
	})
}

// withMemory calls f with the kernel's memory.
func withMemory(f func(*memory) error) error {
	var m memory
	var err error
	if m.word, err = reader(8); err != nil {
		return err
	}
	defer m.word.Close()
	if m.block, err = reader(blockSize); err != nil {
		return err
	}
	defer m.block.Close()
	return f(&m)
}

// read fills dst, of the size that the program reads.
func read(program *ebpf.Program, addr uint64, dst []byte) error {
	args := make([]byte, 8+len(dst))
	binary.NativeEndian.PutUint64(args, addr)
	out := make([]byte, len(args))
	result, err := program.Run(&ebpf.RunOptions{Context: args, ContextOut: out})
	if err == nil && result != 0 {
		err = errors.New("it is not mapped")
	}
	if err != nil {
		return fmt.Errorf("read %d bytes of the kernel's memory at %#x: %w", len(dst), addr, err)
	}
	copy(dst, out[8:])
	return nil
}

func (m *memory) uint64(addr uint64) (uint64, error) {
	var raw [8]byte
	err := read(m.word, addr, raw[:])
	return binary.NativeEndian.Uint64(raw[:]), err
}

// text reads a string, as far as it can be read. Behind a block's end there may be no memory.
func (m *memory) text(addr uint64) string {
	var text []byte
	for addr != 0 && len(text) < memoryLimit {
		piece := make([]byte, blockSize)
		if read(m.block, addr+uint64(len(text)), piece) != nil {
			piece = piece[:8]
			if read(m.word, addr+uint64(len(text)), piece) != nil {
				break
			}
		}
		text = append(text, piece...)
		if end := bytes.IndexByte(text, 0); end >= 0 {
			return strings.ToValidUTF8(string(text[:end]), "?")
		}
	}
	return ""
}
