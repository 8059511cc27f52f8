package object

// This file prints instructions as the kernel's verifier does, so that what it
// complains of can be compared.

import (
	"fmt"
	"strings"
	"unicode"

	"github.com/cilium/ebpf/asm"
)

// The parts of an opcode (include/uapi/linux/bpf.h).
const (
	classMask = 0x07
	classLD   = 0x00
	classLDX  = 0x01
	classST   = 0x02
	classSTX  = 0x03
	classALU  = 0x04
	classJMP  = 0x05
	classJMP2 = 0x06
	classALU8 = 0x07

	modeMask   = 0xe0
	modeMEMSX  = 0x80
	modeAtomic = 0xc0

	operationMask = 0xf0
	sourceMask    = 0x08
	opWide        = 0x18
	opExit        = 0x95
	opCallReg     = 0x8d
)

// sizes are the C types of memory accesses, by the bits of an opcode.
var sizes = [...]string{"u32", "u16", "u8", "u64"}

func (i Insn) size() string { return sizes[i.Op>>3&3] }

// operators of arithmetic, by the high bits of an opcode.
var operators = [16]string{"+=", "-=", "*=", "/=", "|=", "&=", "<<=", ">>=", "neg", "%=", "^=", "=", "s>>=", "swap"}

// comparisons of jumps, by the high bits of an opcode.
var comparisons = [16]string{"goto", "==", ">", ">=", "&", "!=", "s>", "s>=", "call", "exit", "<", "<=", "s<", "s<="}

// Text prints an instruction as the kernel's verifier does: "r6 = *(u64 *)(r1 +0)".
// What an instruction refers to is named where a relocation says it.
func (c *Code) Text(at int) string {
	i := c.Insns[at]
	switch i.Op & classMask {
	case classLD:
		return c.loadImmediate(at)
	case classLDX:
		return fmt.Sprintf("r%d = *(%s *)(r%d %+d)", i.Dst, i.loaded(), i.Src, i.Off)
	case classST:
		return fmt.Sprintf("*(%s *)(r%d %+d) = %d", i.size(), i.Dst, i.Off, i.Imm)
	case classSTX:
		return i.store()
	case classALU, classALU8:
		return i.arithmetic()
	}
	return c.jump(at)
}

func (i Insn) loaded() string {
	if i.Op&modeMask == modeMEMSX {
		return "s" + i.size()[1:]
	}
	return i.size()
}

func (c *Code) loadImmediate(at int) string {
	i := c.Insns[at]
	if i.Op != opWide {
		return fmt.Sprintf("r0 = *(%s *)skb[r%d %+d]", i.size(), i.Src, i.Imm)
	}
	if ref, ok := c.Refs[at]; ok {
		return fmt.Sprintf("r%d = %s ll", i.Dst, ref)
	}
	high := int32(0)
	if at+1 < len(c.Insns) {
		high = c.Insns[at+1].Imm
	}
	return fmt.Sprintf("r%d = %#x ll", i.Dst, uint64(uint32(high))<<32|uint64(uint32(i.Imm)))
}

// String names what is referred to: "&task_ctxs", ".bss+16".
func (r Ref) String() string {
	switch {
	case r.Kind == RefData && r.Data != nil:
		return fmt.Sprintf("%s%+d", r.Data.Name, r.Offset)
	case r.Kind == RefFunction && r.Offset != 0:
		return fmt.Sprintf("&%s%+d", r.Symbol, r.Offset)
	}
	return "&" + r.Symbol
}

// atomics are atomic operations, by immediate.
var atomics = map[int32]string{0x00: "+=", 0x40: "|=", 0x50: "&=", 0xa0: "^="}

func (i Insn) store() string {
	place := fmt.Sprintf("*(%s *)(r%d %+d)", i.size(), i.Dst, i.Off)
	if i.Op&modeMask != modeAtomic {
		return fmt.Sprintf("%s = r%d", place, i.Src)
	}
	switch i.Imm {
	case 0xe1:
		return fmt.Sprintf("r%d = atomic_xchg(%s, r%d)", i.Src, place, i.Src)
	case 0xf1:
		return fmt.Sprintf("r0 = atomic_cmpxchg(%s, r0, r%d)", place, i.Src)
	case 0x100:
		return fmt.Sprintf("r%d = load_acquire(*(%s *)(r%d %+d))", i.Dst, i.size(), i.Src, i.Off)
	case 0x110:
		return fmt.Sprintf("store_release(%s, r%d)", place, i.Src)
	}
	operator, ok := atomics[i.Imm&^1]
	switch {
	case !ok:
		return fmt.Sprintf("atomic_%#x(%s, r%d)", i.Imm, place, i.Src)
	case i.Imm&1 != 0:
		return fmt.Sprintf("r%d = atomic_fetch(%s %s r%d)", i.Src, place, operator, i.Src)
	}
	return fmt.Sprintf("lock %s %s r%d", place, operator, i.Src)
}

// operand is the right-hand side: a register, r or its lower half w, or a
// number.
func (i Insn) operand(prefix string) string {
	if i.Op&sourceMask != 0 {
		return fmt.Sprintf("%s%d", prefix, i.Src)
	}
	return fmt.Sprint(i.Imm)
}

// registers is what registers are called by the instructions of a class that
// works on 32 bits, or on 64.
func (i Insn) registers(wide uint8) string {
	if i.Op&classMask == wide {
		return "r"
	}
	return "w"
}

func (i Insn) arithmetic() string {
	reg := i.registers(classALU8)
	dst := fmt.Sprintf("%s%d", reg, i.Dst)
	operator := operators[i.Op>>4]
	switch {
	case operator == "":
		return fmt.Sprintf("unknown opcode %#02x", i.Op)
	case operator == "neg":
		return fmt.Sprintf("%s = -%s", dst, dst)
	case operator == "swap":
		return fmt.Sprintf("%s = bswap%d %s", dst, i.Imm, dst)
	case operator == "=" && i.Op&sourceMask != 0 && i.Off == 1 && reg == "r":
		return fmt.Sprintf("%s = addr_space_cast(%s, %d, %d)", dst, i.operand(reg), i.Imm>>16, i.Imm&0xffff)
	case operator == "=" && i.Off != 0:
		return fmt.Sprintf("%s = (s%d)%s", dst, i.Off, i.operand(reg))
	case (operator == "/=" || operator == "%=") && i.Off == 1:
		operator = "s" + operator
	}
	return fmt.Sprintf("%s %s %s", dst, operator, i.operand(reg))
}

func (c *Code) jump(at int) string {
	i := c.Insns[at]
	switch {
	case i.Op == opExit:
		return "exit"
	case i.Op == opCallReg:
		return fmt.Sprintf("callx r%d", i.Dst)
	case i.Op == opCall:
		return c.call(at)
	case i.Op&operationMask == 0 && i.Op&classMask == classJMP2:
		return fmt.Sprintf("gotol %+d", i.Imm)
	case i.Op&operationMask == 0:
		return fmt.Sprintf("goto %+d", i.Off)
	case comparisons[i.Op>>4] == "":
		return fmt.Sprintf("unknown opcode %#02x", i.Op)
	}
	reg := i.registers(classJMP)
	return fmt.Sprintf("if %s%d %s %s goto %+d", reg, i.Dst, comparisons[i.Op>>4], i.operand(reg), i.Off)
}

func (c *Code) call(at int) string {
	i := c.Insns[at]
	if ref, ok := c.Refs[at]; ok {
		return "call " + ref.Symbol
	}
	switch i.Src {
	case 0:
		return "call " + helperName(i.Imm)
	case 1:
		return fmt.Sprintf("call pc%+d", i.Imm)
	}
	return fmt.Sprintf("call kernel %d", i.Imm)
}

// helperName is what C calls a helper: "bpf_map_lookup_elem".
func helperName(id int32) string {
	name, known := strings.CutPrefix(asm.BuiltinFunc(id).String(), "Fn")
	if !known {
		return fmt.Sprintf("helper %d", id)
	}
	var b strings.Builder
	b.WriteString("bpf")
	for _, r := range name {
		if unicode.IsUpper(r) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
