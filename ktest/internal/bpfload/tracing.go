package bpfload

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file loads the programs that come with a scheduler, such as the fentry
// program by which the kernel's sched_ext headers look how programs are entered.

// attachTarget says what in the kernel a program attaches to, of those whose target
// the verifier has to know. Others are loaded without one.
func (l *loader) attachTarget(spec *ebpf.ProgramSpec, attr *progLoadAttr) error {
	switch {
	case spec.Type == ebpf.StructOps:
		return l.attachMember(spec, attr)
	case spec.Type == ebpf.Extension:
		return errors.New("it replaces a function of another program, which its section cannot name: start such an object by its own program")
	case spec.Type != ebpf.Tracing && spec.Type != ebpf.LSM:
		return nil
	case multi(spec):
		return l.ofModule(spec, attr)
	case spec.AttachTo == "":
		return fmt.Errorf("its section %s does not say what it attaches to: name it, as in SEC(\"fentry/schedule\")", spec.SectionName)
	}
	return l.attachByType(spec, attr)
}

// attachByType finds what a program attaches to in the types of the kernel: a function,
// or what stands for a hook (btf_get_kernel_prefix_kind in tools/lib/bpf/libbpf.c).
func (l *loader) attachByType(spec *ebpf.ProgramSpec, attr *progLoadAttr) error {
	in, name, qualified := strings.Cut(spec.AttachTo, ":")
	if !qualified {
		in, name = "", spec.AttachTo
	}
	var at place
	var err error
	switch spec.AttachType {
	case ebpf.AttachTraceRawTp:
		at, _, err = find[*btf.Typedef](l, in, "btf_trace_"+name)
	case ebpf.AttachLSMMac, ebpf.AttachLSMCgroup:
		at, _, err = find[*btf.Func](l, in, "bpf_lsm_"+name)
	case ebpf.AttachTraceIter:
		at, _, err = find[*btf.Func](l, in, "bpf_iter_"+name)
	default:
		at, _, err = find[*btf.Func](l, in, name)
	}
	if errors.Is(err, btf.ErrNotFound) {
		return absentTarget(spec, name)
	}
	if err != nil {
		return err
	}
	attr.attachBTFID = uint32(at.id)
	if at.module != nil {
		attr.attachBTFObjFD = uint32(at.module.btf.FD())
	}
	return nil
}

// absentTarget says that the kernel does not have what a program attaches to, and what it has.
func absentTarget(spec *ebpf.ProgramSpec, name string) error {
	prefix, hint := "", ""
	switch spec.AttachType {
	case ebpf.AttachTraceRawTp, ebpf.AttachTraceIter: // which are no functions
	case ebpf.AttachLSMMac, ebpf.AttachLSMCgroup:
		prefix = "bpf_lsm_"
		fallthrough
	default:
		all, _ := traceables() // a kernel without ftrace has no list
		var names []string
		for _, function := range all {
			if own, ok := strings.CutPrefix(function, prefix); ok {
				names = append(names, own)
			}
		}
		hint = nearest.Hint(name, names)
	}
	return fmt.Errorf("it attaches to %q, which the kernel does not have among its types%s: name another in SEC, or leave the program out (Scheduler.Load)", spec.AttachTo, hint)
}
