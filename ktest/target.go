package ktest

import (
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file says what can be watched.

// Target is what [VM.Watch] and [VM.Blame] look at: a place of a snapshot ([Field]), one that is
// named before there is a snapshot ([FieldAt]), or a symbol of the kernel ([Symbol]).
type Target struct {
	name string
	addr uint64 // of what is watched: 1, 2, 4 or 8 bytes, aligned to as many
	size int

	shift, bits int // a bitfield's place in the watched bytes; bits is 0 for all others

	kind kind        // of what is there
	of   *ktsnap.Map // that the place is in; nil if it is in none

	large error // why it cannot be watched while the guest runs freely; nil if it can

	symbol string // of the kernel, which has addr
	percpu bool
	cpu    int
	err    error

	find func(*ktsnap.Snapshot) (Target, error) // makes one with an address; nil if it has one
}

func (t Target) String() string { return t.name }

// Field is the value that p points to, which was read through snap, or a field
// of it, such as
//
//	ktest.Field(snap, &snap.Bss().NrDispatched)
//
// To be watched ([VM.Watch]) it has 1, 2, 4 or 8 bytes, or is a bitfield: of that all bytes that hold it
// are watched.
func Field[T any](snap runtime.Bound, p *T) Target {
	return place(runtime.LocationOf(snap, p))
}

// FieldOf is [Field] for a value that was found by its path.
func FieldOf(v ktsnap.Value) Target {
	at, err := v.Location()
	if err != nil {
		return Target{name: v.Path(), err: err}
	}
	return place(at)
}

func place(p ktsnap.Location) Target {
	t := Target{name: p.Path, addr: p.Addr, size: p.Size, kind: kind{p.Shape, p.Bits}, of: p.Map}
	if p.Bits == 0 {
		if t.size > 8 || t.size&(t.size-1) != 0 {
			t.large = fmt.Errorf("it is a %s of %d bytes, and 1, 2, 4 or 8 can be watched: choose a member", ctype.Spell(p.Shape), p.Size)
		}
		return t
	}
	for t.size = 1; t.size <= 8; t.size *= 2 {
		t.addr = p.Addr &^ uint64(t.size-1)
		if p.Addr+uint64(p.Size) <= t.addr+uint64(t.size) {
			t.bits = p.Bits
			t.shift = 8*int(p.Addr-t.addr) + p.BitOffset
			return t
		}
	}
	t.large = fmt.Errorf("it is a bitfield in %d bytes at %#x, which no 8 aligned bytes hold: watch a member beside it that is written with it", p.Size, p.Addr)
	t.addr, t.size = p.Addr, p.Size
	return t
}

// value returns the target's own bits of the watched bytes.
func (t *Target) value(raw uint64) uint64 {
	if t.bits == 0 {
		return raw
	}
	return raw >> t.shift & (1<<t.bits - 1)
}

// Symbol is a variable of the kernel by its name in kallsyms, of which size
// bytes are watched.
func Symbol(name string, size int) Target {
	return Target{name: name, symbol: name, size: size}
}

// CPU makes of a per-CPU variable of the kernel its copy for one CPU.
func (t Target) CPU(cpu int) Target {
	if t.symbol == "" {
		t.err = errors.New("CPU chooses the copy of a per-CPU symbol; a per-CPU map is narrowed where it is read")
		return t
	}
	t.percpu, t.cpu = true, cpu
	t.name = fmt.Sprintf("%s of CPU %d", t.symbol, cpu)
	return t
}

// SymbolNotFoundError reports a symbol that the guest's kernel does not have.
type SymbolNotFoundError struct {
	Requested string
	Release   string // of the kernel
	Nearest   string // may be empty
}

func (e *SymbolNotFoundError) Error() string {
	s := fmt.Sprintf("the guest's kernel %s has no symbol %q", e.Release, e.Requested)
	if e.Nearest != "" {
		s += fmt.Sprintf(" (did you mean %q?)", e.Nearest)
	}
	return s + "; static variables can be optimised away, and members have no symbol: watch a place of a snapshot with ktest.Field, or look into /proc/kallsyms in the guest"
}

// PerCPUSymbolError reports a per-CPU variable of which no copy was chosen.
type PerCPUSymbolError struct{ Symbol string }

func (e *PerCPUSymbolError) Error() string {
	return fmt.Sprintf("%s is a per-CPU variable, which each CPU has a copy of: choose one with ktest.Symbol(%q, size).CPU(n)", e.Symbol, e.Symbol)
}

// locate returns the address of a target.
func (vm *VM) locate(f *freeze.Freezer, t Target) (uint64, error) {
	if t.err != nil || t.symbol == "" {
		return t.addr, t.err
	}
	addr, ok := f.Symbols().Lookup(t.symbol)
	if !ok {
		return 0, &SymbolNotFoundError{Requested: t.symbol, Release: vm.kernel.Release, Nearest: f.Symbols().Nearest(t.symbol)}
	}
	switch percpu := f.IsPerCPU(addr); {
	case percpu && !t.percpu:
		return 0, &PerCPUSymbolError{Symbol: t.symbol}
	case percpu:
		return f.OnCPU(addr, t.cpu)
	case t.percpu:
		return 0, fmt.Errorf("it is no per-CPU variable: leave out CPU(%d)", t.cpu)
	}
	return addr, nil
}
