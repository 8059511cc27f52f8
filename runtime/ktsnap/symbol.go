package ktsnap

import (
	"fmt"
	"slices"
)

// Symbol is a function of the guest's kernel, or code that the kernel has
// compiled for a BPF program.
type Symbol struct {
	Addr uint64 // of its first instruction
	Size uint64 // bytes; of the kernel's own functions as far as the snapshot refers to them
	Name string
}

// Frame is a place in the guest's code.
type Frame struct {
	Addr   Address
	Symbol string // the function that Addr is in; empty if the snapshot does not say
	Offset uint64 // from the function's start, in bytes
}

// String returns the place as the kernel writes it, schedule+0x10, or the
// address if the function is not known.
func (f Frame) String() string {
	if f.Symbol == "" {
		return f.Addr.String()
	}
	return fmt.Sprintf("%s+%#x", f.Symbol, f.Offset)
}

// Frame returns which of the snapshot's symbols an address is in.
func (s *Snapshot) Frame(addr Address) Frame {
	f := Frame{Addr: addr}
	i, exact := slices.BinarySearchFunc(s.Symbols, uint64(addr), func(s Symbol, addr uint64) int {
		switch {
		case s.Addr < addr:
			return -1
		case s.Addr > addr:
			return 1
		}
		return 0
	})
	if !exact {
		i--
	}
	if i < 0 {
		return f
	}
	if sym := &s.Symbols[i]; uint64(addr)-sym.Addr < sym.Size {
		f.Symbol, f.Offset = sym.Name, uint64(addr)-sym.Addr
	}
	return f
}
