package bpfload

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// This file knows the sections of programs that cilium/ebpf v0.22 does not (section_defs
// in tools/lib/bpf/libbpf.c).

type programKind struct {
	program ebpf.ProgramType
	attach  ebpf.AttachType
	flags   uint32
}

// Members of enum bpf_attach_type (include/uapi/linux/bpf.h) behind the last one that
// cilium/ebpf names.
const (
	traceUprobeSession = ebpf.AttachTraceKprobeSession + 1 + iota
	traceFSession
	traceFEntryMulti
	traceFExitMulti
	traceFSessionMulti
)

// newKinds are by what is in front of the slash.
var newKinds = map[string]programKind{
	"fentry.multi":     {ebpf.Tracing, traceFEntryMulti, 0},
	"fentry.multi.s":   {ebpf.Tracing, traceFEntryMulti, unix.BPF_F_SLEEPABLE},
	"fexit.multi":      {ebpf.Tracing, traceFExitMulti, 0},
	"fexit.multi.s":    {ebpf.Tracing, traceFExitMulti, unix.BPF_F_SLEEPABLE},
	"fsession.multi":   {ebpf.Tracing, traceFSessionMulti, 0},
	"fsession.multi.s": {ebpf.Tracing, traceFSessionMulti, unix.BPF_F_SLEEPABLE},

	"tp.s":             {ebpf.TracePoint, 0, unix.BPF_F_SLEEPABLE},
	"tracepoint.s":     {ebpf.TracePoint, 0, unix.BPF_F_SLEEPABLE},
	"raw_tp.s":         {ebpf.RawTracepoint, 0, unix.BPF_F_SLEEPABLE},
	"raw_tracepoint.s": {ebpf.RawTracepoint, 0, unix.BPF_F_SLEEPABLE},

	"tp_btf.s": {ebpf.Tracing, ebpf.AttachTraceRawTp, unix.BPF_F_SLEEPABLE},

	"uprobe.session":   {ebpf.Kprobe, traceUprobeSession, 0},
	"uprobe.session.s": {ebpf.Kprobe, traceUprobeSession, unix.BPF_F_SLEEPABLE},

	// which libbpf makes uprobe.multi of, where the kernel has these
	"usdt":   {ebpf.Kprobe, ebpf.AttachTraceUprobeMulti, 0},
	"usdt.s": {ebpf.Kprobe, ebpf.AttachTraceUprobeMulti, unix.BPF_F_SLEEPABLE},
}

// setKind completes a program's type from its section.
func setKind(p *ebpf.ProgramSpec) {
	kind, to, _ := strings.Cut(strings.TrimPrefix(p.SectionName, "?"), "/")
	if k, ok := newKinds[kind]; ok {
		p.Type, p.AttachType, p.Flags, p.AttachTo = k.program, k.attach, k.flags, to
	}
}

// multi tells whether a program is attached to many functions, which it names only then.
func multi(p *ebpf.ProgramSpec) bool {
	return p.Type == ebpf.Tracing && p.AttachType >= traceFEntryMulti
}

// unknownKind says that a section is none of a program.
func unknownKind(p *ebpf.ProgramSpec) error {
	return fmt.Errorf("its section %q stands for no type of program: name one that libbpf knows, such as struct_ops, or tp_btf/NAME", p.SectionName)
}
