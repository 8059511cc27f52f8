package bpfload

import (
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

const opExit = 0x95

// functions makes an object of functions in .text, each of which calls others, but the
// first, which is a program.
func functions(calls map[string][]string, order ...string) *object.Object {
	obj := &object.Object{}
	starts := make(map[string]int)
	sections := map[string]*object.Code{}
	for i, name := range order {
		section := textSection
		if i == 0 {
			section = "syscall"
		}
		code := sections[section]
		if code == nil {
			code = &object.Code{Section: section, Refs: make(map[int]object.Ref)}
			sections[section] = code
			obj.Code = append(obj.Code, code)
		}
		starts[name] = len(code.Insns)
		for range calls[name] {
			code.Insns = append(code.Insns, object.Insn{Op: opCall, Src: pseudoCall, Imm: -1})
		}
		code.Insns = append(code.Insns, object.Insn{Op: opExit})
		obj.Functions = append(obj.Functions, object.Function{
			Name: name, Section: section, Offset: uint64(starts[name]) * insnSize, Size: uint64(len(calls[name])+1) * insnSize,
		})
	}
	for i := range obj.Functions {
		f := &obj.Functions[i]
		for n, name := range calls[f.Name] {
			callee := &obj.Functions[indexOf(order, name)]
			sections[f.Section].Refs[int(f.Offset/insnSize)+n] = object.Ref{Kind: object.RefFunction, Symbol: name, Function: callee}
		}
	}
	return obj
}

func indexOf(all []string, name string) int {
	for i := range all {
		if all[i] == name {
			return i
		}
	}
	panic(name)
}

func TestFunctionsFollowTheirFirstCall(t *testing.T) {
	obj := functions(map[string][]string{"main": {"a", "b", "a"}, "b": {"d"}, "a": {"c", "b"}, "d": {"a"}}, "main", "b", "a", "d", "c", "unused")
	c, err := newLinker(obj, nil).link(&obj.Functions[0], nil)
	require.NoError(t, err)
	var names []string
	starts := make(map[string]int)
	for _, p := range c.parts {
		names = append(names, p.fn.Name)
		starts[p.fn.Name] = p.start
	}
	require.Equal(t, []string{"main", "a", "c", "b", "d"}, names)
	require.EqualValues(t, starts["a"]-0-1, c.insns[0].Imm)
	require.EqualValues(t, starts["b"]-1-1, c.insns[1].Imm)
	require.EqualValues(t, starts["a"]-starts["d"]-1, c.insns[starts["d"]].Imm, "a call backwards")
	require.Empty(t, c.refs, "calls are settled")
	require.Equal(t, "c", c.partAt(starts["c"]).fn.Name)
	require.Equal(t, "a", c.partAt(starts["c"]-1).fn.Name)
}

func TestCallsWithoutRelocationAreWithinTheirSection(t *testing.T) {
	obj := functions(map[string][]string{"main": {"a"}, "a": {"b"}}, "main", "b", "a")
	text := obj.Code[1]
	delete(text.Refs, 1)
	text.Insns[1].Imm = -2 // a calls b, which is in front of it
	c, err := newLinker(obj, nil).link(&obj.Functions[0], nil)
	require.NoError(t, err)
	require.Len(t, c.parts, 3)
	require.EqualValues(t, 1, c.insns[2].Imm, "b is behind a")
}

func TestExceptionCallbacksAreLast(t *testing.T) {
	obj := functions(map[string][]string{"main": {"a"}}, "main", "a", "caught")
	obj.Functions[0].Type = &btf.Func{Name: "main", Tags: []string{callbackTag + "caught"}}
	callback, err := exceptionCallback(obj, &obj.Functions[0])
	require.NoError(t, err)
	c, err := newLinker(obj, nil).link(&obj.Functions[0], callback)
	require.NoError(t, err)
	require.Equal(t, "caught", c.parts[2].fn.Name)

	obj.Functions[2].Static = true
	_, err = exceptionCallback(obj, &obj.Functions[0])
	require.ErrorContains(t, err, "its exception callback caught is static or hidden: make it global")
	obj.Functions[0].Type.Tags = []string{callbackTag + "missing"}
	_, err = exceptionCallback(obj, &obj.Functions[0])
	require.ErrorContains(t, err, `its exception callback "missing" is no function of the object`)
}

func TestCallsOfWhatIsNoFunctionAreRefused(t *testing.T) {
	obj := functions(map[string][]string{"main": {"a"}}, "main", "a")
	obj.Functions[1].Section = "syscall"
	_, err := newLinker(obj, nil).link(&obj.Functions[0], nil)
	require.ErrorContains(t, err, "it calls a, which is a program in section syscall")

	obj = functions(map[string][]string{"main": {"a"}}, "main", "a")
	obj.Code[0].Refs[0] = object.Ref{Kind: object.RefFunction, Symbol: "a", Function: &obj.Functions[1], Offset: 8}
	_, err = newLinker(obj, nil).link(&obj.Functions[0], nil)
	require.ErrorContains(t, err, "it calls what is no function, or the middle of one")
}

func TestSectionsStandForTypesOfPrograms(t *testing.T) {
	for section, want := range map[string]string{
		"fentry.s/schedule": "Tracing TraceFEntry 0x10 schedule", "?struct_ops.s/enqueue": "StructOps  0x10 ", "xdp": "XDP XDP 0x0 ",
		"tp_btf/sched_switch": "Tracing TraceRawTp 0x0 sched_switch", "kprobe": "Kprobe  0x0 ", "cgroup/dev": "CGroupDevice CGroupDevice 0x0 ",
		"kprobe.s/x": "", "xdp_prog": "", "tcx": "", "fentryx/a": "", "": "",
	} {
		kind, to := kindOf(section)
		if want == "" {
			require.Zero(t, kind, section)
			continue
		}
		require.Contains(t, want, kind.program.String(), section)
		require.Contains(t, want, " "+to, section)
		require.Equal(t, kind.flags != 0, kind.flags == 0x10, section)
	}
}
