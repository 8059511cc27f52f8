package bpfload

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// This file attaches one program to many functions of the kernel (fentry.multi and its like).

// attachMany attaches to PATTERN or MODULE:PATTERN, a pattern being one of functions with
// * and ?.
func attachMany(attach ebpf.AttachType) attacher {
	return func(c *Collection, p *ebpf.Program, to string) (link.Link, error) {
		types, pattern := c.kernel, to
		if in, rest, qualified := strings.Cut(to, ":"); qualified {
			var loaded modules
			defer loaded.Close()
			m, err := loaded.called(in, c.kernel)
			if err != nil {
				return nil, err
			}
			types, pattern = m.types, rest
		}
		ids, err := traceableIDs(types, pattern)
		if err != nil {
			return nil, err
		}
		return newLink(&linkTracedAttr{
			progFD: uint32(p.FD()), attachType: uint32(attach), ids: pointer(ids), cnt: uint32(len(ids)),
		})
	}
}

// ofModule notes the module whose functions a program is for, which the kernel has to know
// when it loads the program.
func (l *loader) ofModule(spec *ebpf.ProgramSpec, attr *progLoadAttr) error {
	name, _, qualified := strings.Cut(spec.AttachTo, ":")
	if !qualified {
		return nil
	}
	m, err := l.modules.called(name, l.kernel)
	if err != nil {
		return err
	}
	attr.attachBTFObjFD = uint32(m.btf.FD())
	return nil
}

// traceableIDs returns the ids of the functions that a pattern stands for, without those that
// the kernel cannot trace by their types.
func traceableIDs(types *btf.Spec, pattern string) ([]btf.TypeID, error) {
	names, err := traceable(pattern)
	if err != nil {
		return nil, err
	}
	var ids []btf.TypeID
	for _, name := range names {
		id, function, err := idOf[*btf.Func](types, name)
		switch {
		case errors.Is(err, btf.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("function %s: %w", name, err)
		case hasTraceableType(function):
			ids = append(ids, id)
		}
	}
	if ids != nil {
		return ids, nil
	}
	if err := absentFunction(fs.ErrNotExist, pattern, ""); names[0] == pattern && err != fs.ErrNotExist {
		return nil, err
	}
	return nil, fmt.Errorf("of %d functions like %s the kernel can trace none by its type, with at most 12 parameters of at most 16 bytes: name others", len(names), pattern)
}

// hasTraceableType tells whether the kernel can trace a function (btf_distill_func_proto,
// kernel/bpf/btf.c).
func hasTraceableType(f *btf.Func) bool {
	const most = 12 // MAX_BPF_FUNC_ARGS
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok || len(proto.Params) > most || !isVoid(proto.Return) && !isTraceable(proto.Return, false) {
		return false
	}
	return !slices.ContainsFunc(proto.Params, func(p btf.FuncParam) bool { return !isTraceable(p.Type, true) })
}

func isTraceable(t btf.Type, parameter bool) bool {
	const largest = 16 // bytes of a parameter
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Pointer, *btf.Int, *btf.Enum:
		return true
	case *btf.Struct:
		return parameter && t.Size > 0 && t.Size <= largest
	case *btf.Union:
		return parameter && t.Size > 0 && t.Size <= largest
	}
	return false
}
