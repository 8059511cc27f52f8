package bpfload

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// This file attaches programs to what their sections name, as libbpf does when a
// skeleton is attached (the attach functions of section_defs in tools/lib/bpf/libbpf.c).

// attacher attaches a program to what its section names behind the slash.
type attacher func(p *ebpf.Program, to string) (link.Link, error)

// attachers are those of the sections that name something, by what is in front of the slash
// without .s for programs that may sleep.
var attachers = map[string]attacher{
	"kprobe":      attachKprobe(link.Kprobe),
	"kretprobe":   attachKprobe(link.Kretprobe),
	"ksyscall":    attachSyscall(link.Kprobe),
	"kretsyscall": attachSyscall(link.Kretprobe),

	"kprobe.multi":    attachMulti(link.KprobeMulti, false),
	"kretprobe.multi": attachMulti(link.KretprobeMulti, false),
	"kprobe.session":  attachMulti(link.KprobeMulti, true),

	"uprobe":    attachUprobe((*link.Executable).Uprobe),
	"uretprobe": attachUprobe((*link.Executable).Uretprobe),

	"tracepoint": attachTracepoint, "tp": attachTracepoint,
	"raw_tracepoint": attachRaw, "raw_tp": attachRaw, "raw_tracepoint.w": attachRaw, "raw_tp.w": attachRaw,
	"tp_btf": attachTraced, "fentry": attachTraced, "fexit": attachTraced, "fmod_ret": attachTraced, "fsession": attachTraced,
	"lsm": func(p *ebpf.Program, _ string) (link.Link, error) {
		return link.AttachLSM(link.LSMOptions{Program: p})
	},
	"iter": func(p *ebpf.Program, _ string) (link.Link, error) {
		return link.AttachIter(link.IterOptions{Program: p})
	},
}

// AttachPrograms attaches the collection's programs whose sections say to what. They
// stay attached until the links are closed. Programs of struct_ops are attached with
// their map; others, such as those that a test runs, are not attached.
func (c *Collection) AttachPrograms() ([]link.Link, error) {
	var links []link.Link
	for _, name := range sortedKeys(c.Programs) {
		kind, to, named := strings.Cut(strings.TrimPrefix(c.sections[name], "?"), "/")
		attach := attachers[strings.TrimSuffix(kind, ".s")]
		if !named || attach == nil {
			continue
		}
		l, err := attach(c.Programs[name], to)
		if err != nil {
			CloseLinks(links)
			return nil, fmt.Errorf("attaching program %s to what its section %s names: %w", name, c.sections[name], err)
		}
		links = append(links, l)
	}
	return links, nil
}

// CloseLinks detaches programs.
func CloseLinks(links []link.Link) {
	for _, l := range links {
		l.Close()
	}
}

func attachTraced(p *ebpf.Program, _ string) (link.Link, error) {
	return link.AttachTracing(link.TracingOptions{Program: p})
}

func attachRaw(p *ebpf.Program, to string) (link.Link, error) {
	return link.AttachRawTracepoint(link.RawTracepointOptions{Name: to, Program: p})
}

func attachTracepoint(p *ebpf.Program, to string) (link.Link, error) {
	category, name, _ := strings.Cut(to, "/")
	return link.Tracepoint(category, name, p, nil)
}

type kprobe func(symbol string, p *ebpf.Program, opts *link.KprobeOptions) (link.Link, error)

// attachKprobe attaches to FUNCTION or FUNCTION+OFFSET.
func attachKprobe(probe kprobe) attacher {
	return func(p *ebpf.Program, to string) (link.Link, error) {
		symbol, offset, err := splitOffset(to)
		if err != nil {
			return nil, err
		}
		return probe(symbol, p, &link.KprobeOptions{Offset: offset})
	}
}

func splitOffset(to string) (symbol string, offset uint64, err error) {
	symbol, number, has := strings.Cut(to, "+")
	if has {
		if offset, err = strconv.ParseUint(number, 0, 64); err != nil {
			return "", 0, fmt.Errorf("offset %q: %w", number, err)
		}
	}
	return symbol, offset, nil
}

// attachSyscall attaches to the function of a system call.
func attachSyscall(probe kprobe) attacher {
	return func(p *ebpf.Program, to string) (link.Link, error) { return probe("sys_"+to, p, nil) }
}

type kprobeMulti func(p *ebpf.Program, opts link.KprobeMultiOptions) (link.Link, error)

func attachMulti(probe kprobeMulti, session bool) attacher {
	return func(p *ebpf.Program, to string) (link.Link, error) {
		symbols, err := traceable(to)
		if err != nil {
			return nil, err
		}
		return probe(p, link.KprobeMultiOptions{Symbols: symbols, Session: session})
	}
}

type uprobe func(ex *link.Executable, symbol string, p *ebpf.Program, opts *link.UprobeOptions) (link.Link, error)

// attachUprobe attaches to PATH:FUNCTION or PATH:FUNCTION+OFFSET, of a file in the guest.
func attachUprobe(probe uprobe) attacher {
	return func(p *ebpf.Program, to string) (link.Link, error) {
		path, function, _ := strings.Cut(to, ":")
		symbol, offset, err := splitOffset(function)
		if err != nil {
			return nil, err
		}
		ex, err := link.OpenExecutable(path)
		if err != nil {
			return nil, err
		}
		return probe(ex, symbol, p, &link.UprobeOptions{Offset: offset})
	}
}
