package ktest_test

// This file runs in the guest: it loads a program whose instructions a map
// follows.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	goruntime "runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

const insnCount = 6

// insnProgram is a program of insnCount instructions. One is left out by the
// kernel, and one becomes several.
var insnProgram = asm.Instructions{
	asm.Mov.Imm(asm.R0, 2),
	asm.Ja.Label("next"),
	asm.FnJiffies64.Call().WithSymbol("next"),
	asm.Mov.Imm(asm.R0, 1),
	asm.Mov.Imm(asm.R0, 0),
	asm.Return(),
}

// insnValue is struct bpf_insn_array_value (include/uapi/linux/bpf.h).
func insnValue() *btf.Struct {
	s := &btf.Struct{Name: "bpf_insn_array_value", Size: 16}
	for i, name := range []string{"orig_off", "xlated_off", "jitted_off"} {
		s.Members = append(s.Members, btf.Member{Name: name, Type: &btf.Int{Name: "u32", Size: 4}, Offset: btf.Bits(32 * i)})
	}
	return s
}

// fillInsns has the map follow every instruction of a program.
func (k *keeper) fillInsns() error {
	m := k.maps["insns"]
	if m == nil {
		return nil
	}
	for i := range insnCount {
		value := make([]byte, m.ValueSize())
		binary.LittleEndian.PutUint32(value, uint32(i)) // orig_off
		if err := update(m, key(m, i), value); err != nil {
			return fmt.Errorf("update insns: %w", err)
		}
	}
	if err := m.Freeze(); err != nil {
		return err
	}
	fd, err := loadFollowed(insnProgram, m)
	if err != nil {
		return fmt.Errorf("load a program whose instructions are followed: %w", err)
	}
	k.open = append(k.open, fd)
	return nil
}

// followed is a file descriptor of a program.
type followed int

func (f followed) Close() error { return unix.Close(int(f)) }

// loadAttr is the part of union bpf_attr that BPF_PROG_LOAD takes up to
// fd_array_cnt, which cilium/ebpf does not set.
type loadAttr struct {
	progType, insnCnt uint32
	insns, license    uint64
	_                 [96]byte // from log_level on
	fdArray           uint64
	_                 [20]byte // from core_relos on
	fdArrayCnt        uint32
}

// loadFollowed loads a program together with a map that follows it.
func loadFollowed(insns asm.Instructions, m *ebpf.Map) (followed, error) {
	var code bytes.Buffer
	if err := insns.Marshal(&code, binary.LittleEndian); err != nil {
		return 0, err
	}
	license, fds := []byte("GPL\x00"), []uint32{uint32(m.FD())}
	var pin goruntime.Pinner
	defer pin.Unpin()
	address := func(p unsafe.Pointer) uint64 { pin.Pin(p); return uint64(uintptr(p)) }
	attr := loadAttr{
		progType: uint32(ebpf.SocketFilter), insnCnt: uint32(code.Len() / asm.InstructionSize),
		insns: address(unsafe.Pointer(&code.Bytes()[0])), license: address(unsafe.Pointer(&license[0])),
		fdArray: address(unsafe.Pointer(&fds[0])), fdArrayCnt: 1,
	}
	const progLoad = 5 // BPF_PROG_LOAD
	fd, _, e := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if e != 0 {
		return 0, e
	}
	return followed(fd), nil
}
