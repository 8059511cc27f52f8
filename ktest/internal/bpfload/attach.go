package bpfload

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// This file attaches programs to what their sections name, as libbpf does when a
// skeleton is attached (the attach functions of section_defs in tools/lib/bpf/libbpf.c).

// attacher attaches a program of c to what its section names behind the slash.
type attacher func(c *Collection, p *ebpf.Program, to string) (link.Link, error)

// attachers are those of the sections that name something, by what is in front of the slash
// without .s for programs that may sleep.
var attachers = map[string]attacher{
	"kprobe":      attachKprobe(link.Kprobe),
	"kretprobe":   atReturn(attachKprobe(link.Kretprobe)),
	"ksyscall":    attachSyscall(link.Kprobe),
	"kretsyscall": attachSyscall(link.Kretprobe),

	"kprobe.multi":    attachMulti(link.KprobeMulti, false),
	"kretprobe.multi": attachMulti(link.KretprobeMulti, false),
	"kprobe.session":  attachMulti(link.KprobeMulti, true),

	"uprobe":          attachUprobe((*link.Executable).Uprobe),
	"uretprobe":       atReturn(attachUprobe((*link.Executable).Uretprobe)),
	"uprobe.multi":    attachUprobes((*link.Executable).UprobeMulti),
	"uretprobe.multi": attachUprobes((*link.Executable).UretprobeMulti),
	"uprobe.session":  attachUprobeSession,
	"usdt":            attachUSDT,

	"tracepoint": attachTracepoint, "tp": attachTracepoint,
	"raw_tracepoint": attachRaw, "raw_tp": attachRaw, "raw_tracepoint.w": attachRaw, "raw_tp.w": attachRaw,
	"tp_btf": attachTraced, "fentry": attachTraced, "fexit": attachTraced, "fmod_ret": attachTraced, "fsession": attachTraced,
	"fentry.multi": attachMany(traceFEntryMulti), "fexit.multi": attachMany(traceFExitMulti), "fsession.multi": attachMany(traceFSessionMulti),
	"lsm": func(_ *Collection, p *ebpf.Program, _ string) (link.Link, error) {
		return link.AttachLSM(link.LSMOptions{Program: p})
	},
	"iter": attachIterator,
}

// Attached are the programs of a collection, once it has attached them.
type Attached struct {
	Links []io.Closer
	Left  []Unattached
}

// Unattached is a program that is loaded, and runs for nobody: its section does not say
// where.
type Unattached struct{ Program, Section string }

// Close detaches the programs.
func (a *Attached) Close() {
	for _, l := range a.Links {
		l.Close()
	}
}

// AttachPrograms attaches the collection's programs whose sections say to what, and the
// struct_ops maps that are no schedulers, such as those of congestion control. They
// stay attached until the result is closed. Programs of struct_ops are attached with
// their map, and those of section syscall run when a test runs them.
func (c *Collection) AttachPrograms() (*Attached, error) {
	a := new(Attached)
	for _, name := range sortedKeys(c.Programs) {
		l, err := c.Attach(name)
		if err != nil {
			a.Close()
			return nil, err
		}
		if l != nil {
			a.Links = append(a.Links, l)
		} else if t := c.Programs[name].Type(); t != ebpf.StructOps && t != ebpf.Syscall {
			a.Left = append(a.Left, Unattached{Program: name, Section: c.sections[name]})
		}
	}
	for _, name := range sortedKeys(c.ops) {
		if IsScheduler(c.ops[name]) {
			continue
		}
		l, err := c.AttachStructOps(name)
		if err != nil {
			a.Close()
			return nil, err
		}
		a.Links = append(a.Links, l)
	}
	return a, nil
}

// IsScheduler tells whether struct_ops maps of a type, such as sched_ext_ops, are schedulers.
func IsScheduler(opsType string) bool { return strings.HasPrefix(opsType, "sched_ext_ops") }

// Attach attaches one program to what its section names. It returns nil if the section
// names nothing that it could be attached to: programs on libbpf attach such a program themselves.
func (c *Collection) Attach(name string) (link.Link, error) {
	kind, to, named := strings.Cut(strings.TrimPrefix(c.sections[name], "?"), "/")
	attach := attachers[strings.TrimSuffix(kind, ".s")]
	if !named || attach == nil {
		return nil, nil
	}
	l, err := attach(c, c.Programs[name], to)
	if err != nil {
		return nil, fmt.Errorf("attaching program %s to what its section %s names: %w", name, c.sections[name], err)
	}
	return l, nil
}

func attachIterator(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
	l, err := link.AttachIter(link.IterOptions{Program: p})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EBADF) {
		return nil, fmt.Errorf("an iterator of %s takes a map or a cgroup, which only the scheduler's own program can name: start it by that (ktest.Binary), or leave the program out (Scheduler.Load) (%w)", to, err)
	}
	return l, err
}

func attachTraced(_ *Collection, p *ebpf.Program, _ string) (link.Link, error) {
	return link.AttachTracing(link.TracingOptions{Program: p})
}

func attachRaw(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: to, Program: p})
	if err != nil {
		return nil, absentTracepoint(err, "*", to)
	}
	return l, nil
}

func attachTracepoint(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
	category, name, ok := strings.Cut(to, "/")
	if !ok {
		return nil, errors.New("a tracepoint has a category and a name, as in SEC(\"tp/sched/sched_switch\")")
	}
	l, err := link.Tracepoint(category, name, p, nil)
	if err != nil {
		return nil, absentTracepoint(err, category, name)
	}
	return l, nil
}

type kprobe func(symbol string, p *ebpf.Program, opts *link.KprobeOptions) (link.Link, error)

// attachKprobe attaches to FUNCTION or FUNCTION+OFFSET.
func attachKprobe(probe kprobe) attacher {
	return func(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
		symbol, offset, err := splitOffset(to)
		if err != nil {
			return nil, err
		}
		l, err := probe(symbol, p, &link.KprobeOptions{Offset: offset})
		if err == nil {
			return l, nil
		}
		if err = absentFunction(err, symbol, ""); offset != 0 {
			err = fmt.Errorf("byte %#x of %s is not one that can be probed, the first of an instruction: %w", offset, symbol, err)
		}
		return nil, err
	}
}

// atReturn refuses an offset: a function is left from wherever it is, and libbpf refuses one.
func atReturn(attach attacher) attacher {
	return func(c *Collection, p *ebpf.Program, to string) (link.Link, error) {
		if _, offset, err := splitOffset(to); err != nil || offset != 0 {
			return nil, fmt.Errorf("it runs when %s returns, which has no offset: leave it out", strings.Split(to, "+")[0])
		}
		return attach(c, p, to)
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
	return func(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
		l, err := probe("sys_"+to, p, nil)
		if err != nil {
			return nil, absentFunction(err, to, "__x64_sys_")
		}
		return l, nil
	}
}

type kprobeMulti func(p *ebpf.Program, opts link.KprobeMultiOptions) (link.Link, error)

func attachMulti(probe kprobeMulti, session bool) attacher {
	return func(_ *Collection, p *ebpf.Program, to string) (link.Link, error) {
		symbols, err := traceable(to)
		if err != nil {
			return nil, err
		}
		l, err := probe(p, link.KprobeMultiOptions{Symbols: symbols, Session: session})
		if err != nil && len(symbols) == 1 {
			return nil, absentFunction(err, symbols[0], "")
		}
		return l, err
	}
}
