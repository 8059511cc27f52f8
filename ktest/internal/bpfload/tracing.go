package bpfload

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
)

// This file loads the tracing programs that come with a scheduler, such as the
// fentry program by which the kernel's sched_ext headers look how programs are
// entered.

// attachTarget says what in the kernel a program attaches to.
func (l *loader) attachTarget(spec *ebpf.ProgramSpec, attr *progLoadAttr) error {
	switch {
	case spec.Type == ebpf.StructOps:
		return l.attachMember(spec, attr)
	case spec.Type == ebpf.Tracing:
		return l.attachFunction(spec, attr)
	case spec.AttachTo != "":
		return fmt.Errorf("it attaches to %q: only struct_ops and tracing programs are attached", spec.AttachTo)
	}
	return nil
}

// attachFunction finds the function of vmlinux that a tracing program looks at,
// or, for a BTF tracepoint, the typedef that stands for it.
func (l *loader) attachFunction(spec *ebpf.ProgramSpec, attr *progLoadAttr) error {
	var target btf.Type
	var err error
	switch spec.AttachType {
	case ebpf.AttachTraceFEntry, ebpf.AttachTraceFExit, ebpf.AttachModifyReturn:
		var f *btf.Func
		err = l.kernel.TypeByName(spec.AttachTo, &f)
		target = f
	case ebpf.AttachTraceRawTp:
		var t *btf.Typedef
		err = l.kernel.TypeByName("btf_trace_"+spec.AttachTo, &t)
		target = t
	default:
		return fmt.Errorf("it is a tracing program of type %v: only fentry, fexit, fmod_ret and tp_btf are attached", spec.AttachType)
	}
	if errors.Is(err, btf.ErrNotFound) {
		return fmt.Errorf("it attaches to %q, which the kernel does not have", spec.AttachTo)
	}
	if err != nil {
		return err
	}
	id, err := l.kernel.TypeID(target)
	if err != nil {
		return err
	}
	attr.attachBTFID = uint32(id)
	return nil
}

// AttachTracing attaches the collection's tracing programs. They stay attached
// until the links are closed.
func (c *Collection) AttachTracing() ([]link.Link, error) {
	var links []link.Link
	for _, name := range sortedKeys(c.Programs) {
		if c.Programs[name].Type() != ebpf.Tracing {
			continue
		}
		l, err := link.AttachTracing(link.TracingOptions{Program: c.Programs[name]})
		if err != nil {
			for _, l := range links {
				l.Close()
			}
			return nil, fmt.Errorf("attaching program %s: %w", name, err)
		}
		links = append(links, l)
	}
	return links, nil
}
