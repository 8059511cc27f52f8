package cast_test

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// TestInstructionsThatNoVerifierAcceptsAreGivenUpOn: analysis ends, and says
// what it gave up on.
func TestInstructionsThatNoVerifierAcceptsAreGivenUpOn(t *testing.T) {
	exit := object.Insn{Op: 0x95}
	wide := []object.Insn{{Op: 0x18, Dst: 1}, {}}
	for _, c := range []struct {
		name  string
		insns []object.Insn
		gap   string // empty: accepted, and nothing to say
	}{
		{"jump into a wide load", append([]object.Insn{{Op: 0x05, Off: 1}}, append(wide, exit)...), "which is no instruction"},
		{"jump out of the program", []object.Insn{{Op: 0x05, Off: 1000}, exit}, "which is no instruction"},
		{"jump back out of the program", []object.Insn{{Op: 0x15, Off: -1000}, exit}, "which is no instruction"},
		{"long jump out of the program", []object.Insn{{Op: 0x06, Imm: 1 << 30}, exit}, "which is no instruction"},
		{"half of a wide load at the end", []object.Insn{{Op: 0x18, Dst: 1}}, "runs off the end"},
		{"missing exit", []object.Insn{{Op: 0xb7}}, "runs off the end"},
		{"register above r10", []object.Insn{{Op: 0xbf, Dst: 11, Src: 1}, exit}, "above r10"},
		{"source above r10", []object.Insn{{Op: 0x79, Dst: 1, Src: 15}, exit}, "above r10"},
		{"unknown arithmetic", []object.Insn{{Op: 0xff}, exit}, "unknown opcode 0xff"},
		{"unknown load", []object.Insn{{Op: 0xb9, Dst: 1, Src: 1}, exit}, "unknown opcode 0xb9"},
		{"unknown jump", []object.Insn{{Op: 0xf5}, exit}, "unknown opcode 0xf5"},
		{"unknown atomic operation", []object.Insn{{Op: 0xdb, Dst: 10, Src: 1, Off: -8, Imm: 0x7777}, exit}, ""},
		{"call of itself", []object.Insn{{Op: 0x85, Src: 1, Imm: -1}, exit}, "calls itself"},
		{"call of nothing", []object.Insn{{Op: 0x85, Src: 1, Imm: 77}, exit}, "where no function starts"},
		{"call of an unknown kfunc", []object.Insn{{Op: 0x85, Src: 2, Imm: -1}, exit}, "does not describe"},
		{"unknown helper", []object.Insn{{Op: 0x85, Imm: 1 << 30}, exit}, ""},
		{"endless loop", []object.Insn{{Op: 0x07, Dst: 10, Imm: -8}, {Op: 0x7b, Dst: 10, Src: 10}, {Op: 0x05, Off: -3}}, ""},
		{"unreachable code", []object.Insn{exit, {Op: 0xbf, Dst: 1, Src: 2}, exit}, ""},
		{"long jump, accepted", []object.Insn{{Op: 0x06, Imm: 1}, {Op: 0xb7}, exit}, ""},
		{"conditional goto, accepted", []object.Insn{{Op: 0xe5, Off: 0}, exit}, ""},
		{"load-acquire and store-release, accepted", []object.Insn{
			{Op: 0xdb, Dst: 10, Src: 1, Off: -8, Imm: 0x110}, {Op: 0xdb, Dst: 0, Src: 10, Off: -8, Imm: 0x100}, exit}, ""},
		{"nothing at all", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			obj, err := object.Open(zoo)
			require.NoError(t, err)
			program(obj, c.insns)
			gaps := strings.Join(cast.Analyze(obj).Gaps, "\n")
			if c.gap == "" {
				require.Empty(t, gaps)
				return
			}
			require.Contains(t, gaps, c.gap)
		})
	}
}

// program makes insns the only program of an object.
func program(obj *object.Object, insns []object.Insn) {
	for i := range obj.Functions {
		fn := &obj.Functions[i]
		if !fn.Program() {
			continue
		}
		fn.Offset, fn.Size = 0, uint64(8*len(insns))
		for _, c := range obj.Code {
			if c.Section == fn.Section {
				c.Insns, c.Refs, c.Relos, c.Lines = insns, nil, nil, nil
			}
		}
	}
}

// TestTypesThatLieAreSurvived: func_info that names another function, or
// nothing, and BTF that has nothing to do with the instructions.
func TestTypesThatLieAreSurvived(t *testing.T) {
	u64 := &btf.Int{Name: "u64", Size: 8}
	loop := &btf.Struct{Name: "loop", Size: 8}
	loop.Members = []btf.Member{{Name: "loop", Type: &btf.Pointer{Target: loop}}}
	many := &btf.FuncProto{Return: &btf.Pointer{Target: loop}}
	for range 40 {
		many.Params = append(many.Params, btf.FuncParam{Name: "p", Type: &btf.Pointer{Target: loop}})
	}
	for name, typ := range map[string]*btf.Func{
		"none":             nil,
		"no prototype":     {Name: "f", Type: u64},
		"40 parameters":    {Name: "f", Type: many},
		"void parameter":   {Name: "f", Type: &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Type: &btf.Void{}}}}},
		"parameter by sum": {Name: "f", Type: &btf.FuncProto{Return: loop, Params: []btf.FuncParam{{Type: loop}}}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, source := range []string{"flows", "shapes", "nodes"} {
				obj, err := object.Open(compiled(t, source)[0])
				require.NoError(t, err)
				for i := range obj.Functions {
					obj.Functions[i].Type = typ
				}
				for i := range obj.Externs {
					obj.Externs[i].Type = typ
					if typ == nil {
						obj.Externs[i].Type = u64
					}
				}
				for i := range obj.Maps {
					obj.Maps[i].Key, obj.Maps[i].Value = loop, &btf.Array{Type: loop, Index: u64, Nelems: 1 << 31}
				}
				cast.Analyze(obj)
			}
		})
	}
}
