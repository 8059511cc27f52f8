package freeze

// This file names the code that the values of maps hold addresses of.

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/ktgen/ktgen/freeze/internal/bpfmap"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// compiledCode lists the functions that the kernel has translated from BPF, and
// the trampolines to them. What was found before an error is returned with it.
func (f *Freezer) compiledCode() ([]ktsnap.Symbol, error) {
	var code []ktsnap.Symbol
	name := make([]byte, f.ksyms.nameSize)
	err := f.eachKsym(func(ksym kmem.Addr, start, end uint64) (bool, error) {
		if err := f.stopped.Read(ksym+kmem.Addr(f.ksyms.name), name); err != nil {
			return false, fmt.Errorf("read the name of struct bpf_ksym at %v: %w", ksym, err)
		}
		if text, _, _ := bytes.Cut(name, []byte{0}); end > start {
			code = append(code, ktsnap.Symbol{Addr: start, Size: end - start, Name: string(text)})
		}
		return true, nil
	})
	slices.SortFunc(code, byAddr)
	return code, err
}

func byAddr(a, b ktsnap.Symbol) int { return cmp.Compare(a.Addr, b.Addr) }

// symbolise returns the functions that stack traces and operations refer to, by
// address. compiled are those that are not in kallsyms, as that was read before
// the programs were loaded.
func (f *Freezer) symbolise(maps []*bpfmap.Map, compiled []ktsnap.Symbol) []ktsnap.Symbol {
	found := make(map[uint64]ktsnap.Symbol)
	for _, m := range maps {
		if !m.HasCode() {
			continue
		}
		const word = 8
		for at := 0; at+word <= len(m.Values); at += word {
			addr := binary.LittleEndian.Uint64(m.Values[at:])
			if s, ok := symbolAt(compiled, addr); ok {
				found[s.Addr] = s
				continue
			}
			if !f.stopped.Text.Contains(kmem.Addr(addr)) {
				continue
			}
			if name, offset := f.symbols.Before(addr); name != "" {
				s := ktsnap.Symbol{Addr: addr - offset, Size: offset + 1, Name: name}
				s.Size = max(s.Size, found[s.Addr].Size)
				found[s.Addr] = s
			}
		}
	}
	var symbols []ktsnap.Symbol
	for _, s := range found {
		symbols = append(symbols, s)
	}
	slices.SortFunc(symbols, byAddr)
	return symbols
}

// symbolAt returns the function that an address is in.
func symbolAt(symbols []ktsnap.Symbol, addr uint64) (s ktsnap.Symbol, ok bool) {
	i, exact := slices.BinarySearchFunc(symbols, ktsnap.Symbol{Addr: addr}, byAddr)
	if !exact {
		i--
	}
	if i < 0 || addr-symbols[i].Addr >= symbols[i].Size {
		return s, false
	}
	return symbols[i], true
}
