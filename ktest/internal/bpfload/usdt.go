package bpfload

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file attaches programs to probe points of files (USDT), which the note section
// .note.stapsdt lists. Where the arguments of a point are is in an entry of a map
// of the object, and the program finds the entry by its cookie (usdt.bpf.h and usdt.c in
// tools/lib/bpf).

// usdtSpecsMap is the map by which a program finds arguments.
const usdtSpecsMap = "__bpf_usdt_specs"

// probePoint is one of the places at which a program says that something happens.
type probePoint struct {
	provider, name, args      string
	location, base, semaphore uint64 // addresses in the file
}

// attachUSDT attaches to FILE:PROVIDER:NAME.
func attachUSDT(c *Collection, p *ebpf.Program, to string) (link.Link, error) {
	parts := strings.Split(to, ":")
	if len(parts) != 3 {
		return nil, errors.New("it names no file, provider and point: name them, as in SEC(\"usdt/libc.so.6:libc:setjmp\")")
	}
	if c.usdtSpec == nil || c.Maps[usdtSpecsMap] == nil {
		return nil, fmt.Errorf("the object has no map %s for the arguments: include bpf/usdt.bpf.h", usdtSpecsMap)
	}
	file, err := findFile(parts[0])
	if err != nil {
		return nil, err
	}
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	points, err := pointsOf(f, file, parts[1], parts[2])
	if err != nil {
		return nil, err
	}
	opts, err := c.placePoints(f, points)
	if err != nil {
		return nil, fmt.Errorf("point %s:%s of %s: %w", parts[1], parts[2], file, err)
	}
	ex, err := link.OpenExecutable(file)
	if err != nil {
		return nil, err
	}
	return ex.UprobeMulti(nil, p, opts)
}

// placePoints says where in the file points are, and by which cookies programs find
// their arguments.
func (c *Collection) placePoints(f *elf.File, points []probePoint) (*link.UprobeMultiOptions, error) {
	opts := new(link.UprobeMultiOptions)
	specs := make(map[string]uint64) // by what the note says of the arguments
	var moved uint64                 // by which the file has been linked anew since its notes were made
	if s := f.Section(".stapsdt.base"); s != nil && points[0].base != 0 {
		moved = s.Addr - points[0].base
	}
	for _, point := range points {
		at, err := fileOffset(f, point.location+moved, elf.PF_X)
		if err != nil {
			return nil, err
		}
		var counter uint64
		if point.semaphore != 0 {
			if counter, err = fileOffset(f, point.semaphore+moved, elf.PF_W); err != nil {
				return nil, fmt.Errorf("its semaphore: %w", err)
			}
		}
		cookie, known := specs[point.args]
		if !known {
			if cookie, err = c.describe(point.args); err != nil {
				return nil, err
			}
			specs[point.args] = cookie
		}
		opts.Addresses = append(opts.Addresses, at)
		opts.RefCtrOffsets = append(opts.RefCtrOffsets, counter)
		opts.Cookies = append(opts.Cookies, cookie)
	}
	return opts, nil
}

// pointsOf returns the points of a file that have a name.
func pointsOf(f *elf.File, file, provider, name string) ([]probePoint, error) {
	section := f.Section(".note.stapsdt")
	if section == nil {
		return nil, fmt.Errorf("%s has no probe points (section .note.stapsdt): take one that was built with them (sys/sdt.h)", file)
	}
	if f.Class != elf.ELFCLASS64 || f.ByteOrder != binary.ByteOrder(binary.LittleEndian) {
		return nil, fmt.Errorf("%s is for another machine, and guests are x86-64: take one for that", file)
	}
	notes, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("read the probe points of %s: %w", file, err)
	}
	all, err := parsePoints(notes)
	if err != nil {
		return nil, fmt.Errorf("read the probe points of %s: %w", file, err)
	}
	var points []probePoint
	names := make([]string, len(all))
	for i, point := range all {
		names[i] = point.provider + ":" + point.name
		if point.provider == provider && point.name == name {
			points = append(points, point)
		}
	}
	if points == nil {
		return nil, fmt.Errorf("%s has no probe point %s:%s%s", file, provider, name, nearest.Hint(provider+":"+name, names))
	}
	return points, nil
}

// parsePoints reads the notes of a file: the length of the owner's name, that of the
// description, a type, name and description, both filled up to 4 bytes.
func parsePoints(notes []byte) ([]probePoint, error) {
	const header, stapsdt, pointType = 12, "stapsdt\x00", 3
	var points []probePoint
	for rest := notes; len(rest) > 0; {
		if len(rest) < header {
			return nil, fmt.Errorf("a note of %d bytes", len(rest))
		}
		nameSize, size := uint64(native.Uint32(rest)), uint64(native.Uint32(rest[4:]))
		start := header + (nameSize+3)&^3
		end := start + size
		if end > uint64(len(rest)) {
			return nil, fmt.Errorf("a note ends at byte %d of %d", end, len(rest))
		}
		if native.Uint32(rest[8:]) == pointType && string(rest[header:header+nameSize]) == stapsdt {
			point, err := parsePoint(rest[start:end])
			if err != nil {
				return nil, err
			}
			points = append(points, point)
		}
		rest = rest[min((end+3)&^3, uint64(len(rest))):]
	}
	return points, nil
}

// parsePoint reads a description: three addresses and three strings.
func parsePoint(b []byte) (point probePoint, err error) {
	const addresses = 3 * 8
	if len(b) < addresses {
		return point, fmt.Errorf("a point of %d bytes", len(b))
	}
	words := bytes.SplitN(b[addresses:], []byte{0}, 4)
	if len(words) != 4 {
		return point, errors.New("a point without a provider, a name and arguments")
	}
	point = probePoint{
		location: native.Uint64(b), base: native.Uint64(b[8:]), semaphore: native.Uint64(b[16:]),
		provider: string(words[0]), name: string(words[1]), args: string(words[2]),
	}
	if strings.HasPrefix(point.args, ":") {
		point.args = ""
	}
	return point, nil
}

// describe puts what a note says of arguments into the next entry of the object's map, and
// returns the entry's number.
func (c *Collection) describe(args string) (uint64, error) {
	specs := c.Maps[usdtSpecsMap]
	if c.usdtSpecs >= specs.MaxEntries() {
		return 0, fmt.Errorf("map %s has room for the arguments of %d points: define BPF_USDT_MAX_SPEC_CNT as more", usdtSpecsMap, specs.MaxEntries())
	}
	value, err := encodeArgs(c.usdtSpec, args)
	if err != nil {
		return 0, fmt.Errorf("arguments %q: %w", args, err)
	}
	if err := specs.Put(c.usdtSpecs, value); err != nil {
		return 0, fmt.Errorf("put the arguments into map %s: %w", usdtSpecsMap, err)
	}
	c.usdtSpecs++
	return uint64(c.usdtSpecs - 1), nil
}

// argument is what a note says of one: SIZE@$CONSTANT, SIZE@%REGISTER or
// SIZE@OFFSET(%BASE,%INDEX,SCALE), in which OFFSET, INDEX and SCALE may lack. A negative
// size is that of a signed number.
var argument = regexp.MustCompile(`^\s*(-?\d+)@(?:\$(-?\d+)|%(\w+)|(-?\d+)?\(%(\w+)(?:,%(\w+)(?:,(\d+))?)?\))(?:\s+|$)`)

// enum __bpf_usdt_arg_type of usdt.bpf.h.
const (
	argConst = iota
	argRegister
	argMemory
	argIndexed
)

// encodeArgs makes a struct __bpf_usdt_spec of what a note says of arguments, with
// the members that the object's struct has: it has changed with libbpf 1.7.
func encodeArgs(spec btf.Type, args string) ([]byte, error) {
	own, _ := btf.As[*btf.Struct](spec)
	if own == nil {
		return nil, fmt.Errorf("map %s has no struct as its value: define it as bpf/usdt.bpf.h does", usdtSpecsMap)
	}
	value := make([]byte, own.Size)
	array, slots, err := argSlots(own)
	if err != nil {
		return nil, err
	}
	n := 0
	for rest := args; strings.TrimSpace(rest) != ""; n++ {
		found := argument.FindStringSubmatch(rest)
		if found == nil {
			return nil, fmt.Errorf("%q is no number that is in a register, in memory at one, or constant", rest)
		}
		rest = rest[len(found[0]):]
		if n >= len(slots) {
			return nil, fmt.Errorf("they are more than the %d that the object has room for", len(slots))
		}
		members, err := parseArgument(found)
		if err != nil {
			return nil, err
		}
		if err := setNumbers(array, slots[n], value, members); err != nil {
			return nil, err
		}
	}
	return value, setNumbers(own, 0, value, map[string]int64{"arg_cnt": int64(n)})
}

// argSlots returns the struct of an argument, and where in the value each is.
func argSlots(spec *btf.Struct) (arg *btf.Struct, offsets []uint32, err error) {
	for _, m := range spec.Members {
		array, _ := btf.As[*btf.Array](m.Type)
		if m.Name != "args" || array == nil {
			continue
		}
		arg, _ = btf.As[*btf.Struct](array.Type)
		if arg == nil || uint64(m.Offset.Bytes())+uint64(arg.Size)*uint64(array.Nelems) > uint64(spec.Size) {
			break
		}
		for i := range array.Nelems {
			offsets = append(offsets, m.Offset.Bytes()+i*arg.Size)
		}
		return arg, offsets, nil
	}
	return nil, nil, fmt.Errorf("struct %s has no array args of structs", spec.Name)
}

// parseArgument returns the members of struct __bpf_usdt_arg_spec for a match of argument.
func parseArgument(found []string) (map[string]int64, error) {
	size, err := strconv.ParseInt(found[1], 10, 8)
	if err != nil || !slices.Contains([]int64{1, 2, 4, 8}, max(size, -size)) {
		return nil, fmt.Errorf("an argument has %s bytes, and can have 1, 2, 4 or 8", found[1])
	}
	members, err := argumentPlace(found)
	if err != nil {
		return nil, err
	}
	members["arg_bitshift"] = 64 - 8*max(size, -size)
	if size < 0 {
		members["arg_signed"] = 1
	}
	return members, nil
}

// argumentPlace returns the members that say where the argument is.
func argumentPlace(found []string) (members map[string]int64, err error) {
	members = make(map[string]int64)
	number := func(member, digits string) {
		if digits != "" && err == nil {
			members[member], err = strconv.ParseInt(digits, 10, 64)
		}
	}
	register := func(member, name string) {
		if err == nil {
			members[member], err = registerOffset(name)
		}
	}
	switch constant, reg, offset, base, index, scale := found[2], found[3], found[4], found[5], found[6], found[7]; {
	case constant != "":
		number("val_off", constant)
	case reg != "":
		members["arg_type"] = argRegister
		register("reg_off", reg)
	case index == "":
		members["arg_type"] = argMemory
		register("reg_off", base)
		number("val_off", offset)
	default:
		members["arg_type"] = argIndexed
		register("reg_off", base)
		register("idx_reg_off", index)
		number("val_off", offset)
		shift := slices.Index([]string{"1", "2", "4", "8"}, scale)
		if scale != "" && shift < 0 {
			return nil, fmt.Errorf("scale %s is none of 1, 2, 4 and 8", scale)
		}
		members["scale_bitshift"] = int64(max(shift, 0))
	}
	return members, err
}

// setNumbers sets numbers of a struct that is at an offset of a value. Members that the object's
// version of the struct lacks can only be 0.
func setNumbers(s *btf.Struct, at uint32, value []byte, members map[string]int64) error {
	for _, name := range sortedKeys(members) {
		i := slices.IndexFunc(s.Members, func(m btf.Member) bool { return m.Name == name })
		if i < 0 {
			if members[name] != 0 {
				return fmt.Errorf("struct %s of the object has no member %s, which they need: compile it with a newer bpf/usdt.bpf.h", s.Name, name)
			}
			continue
		}
		m := s.Members[i]
		size, err := btf.Sizeof(m.Type)
		if err != nil {
			return fmt.Errorf("member %s: %w", name, err)
		}
		bits := uint64(m.BitfieldSize)
		if bits == 0 {
			bits = uint64(size) * 8
		}
		for bit := range min(bits, 64) {
			to := uint64(at)*8 + uint64(m.Offset) + bit
			if to/8 >= uint64(len(value)) {
				return fmt.Errorf("member %s is not in the %d bytes of the value", name, len(value))
			}
			value[to/8] |= byte(members[name]>>bit&1) << (to % 8)
		}
	}
	return nil
}

// registers are those of x86-64 by their names for 8, 4, 2 and 1 bytes, in the order of struct
// pt_regs (arch/x86/include/asm/ptrace.h); what is between them is not for arguments.
var registers = [][]string{
	{"r15", "r15d", "r15w", "r15b"},
	{"r14", "r14d", "r14w", "r14b"},
	{"r13", "r13d", "r13w", "r13b"},
	{"r12", "r12d", "r12w", "r12b"},
	{"rbp", "ebp", "bp", "bpl"},
	{"rbx", "ebx", "bx", "bl"},
	{"r11", "r11d", "r11w", "r11b"},
	{"r10", "r10d", "r10w", "r10b"},
	{"r9", "r9d", "r9w", "r9b"},
	{"r8", "r8d", "r8w", "r8b"},
	{"rax", "eax", "ax", "al"},
	{"rcx", "ecx", "cx", "cl"},
	{"rdx", "edx", "dx", "dl"},
	{"rsi", "esi", "si", "sil"},
	{"rdi", "edi", "di", "dil"},
	{}, // orig_rax
	{"rip", "eip"},
	{}, // cs
	{}, // eflags
	{"rsp", "esp", "sp", "spl"},
}

// registerOffset returns where in struct pt_regs a register is, in bytes.
func registerOffset(name string) (int64, error) {
	for i, names := range registers {
		if slices.Contains(names, name) {
			return int64(i) * 8, nil
		}
	}
	return 0, fmt.Errorf("there is no register %s for whole numbers", name)
}
