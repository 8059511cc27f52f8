package freeze

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/bits"
	"slices"
	"sort"
	"strconv"
	"sync"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// Symbols are the symbols of a running kernel.
type Symbols struct {
	names  []byte   // "\nname\nname\n...\n"
	starts []uint32 // where in names each name starts, ascending
	addrs  []uint64

	indexing sync.Once
	seed     maphash.Seed
	byName   []uint32 // by the hash of the name, the number of the symbol plus 1; 0 is none

	sorting sync.Once
	sorted  []uint32 // indices of addrs, ascending by address
}

// Limits of /proc/kallsyms. A distribution's kernel has about 200,000 symbols
// with 5 MB of names.
const (
	maxSymbols     = 1 << 22
	maxSymbolBytes = 1 << 28
	maxSymbolLine  = 4 << 10
)

// ErrHiddenAddresses says that the kernel hid its symbols' addresses from
// whoever read them.
var ErrHiddenAddresses = errors.New("all addresses in kallsyms are zero: " +
	"read /proc/kallsyms as root with /proc/sys/kernel/kptr_restrict at 0 or 1")

// SymbolError reports a line that is not as /proc/kallsyms has them.
type SymbolError struct {
	Line int // from 1
	Text string
	Err  error
}

func (e *SymbolError) Error() string {
	return fmt.Sprintf("kallsyms line %d: %v: %q", e.Line, e.Err, e.Text)
}

func (e *SymbolError) Unwrap() error { return e.Err }

// ParseKallsyms reads symbols in the format of /proc/kallsyms. Errors are
// [SymbolError], [ErrHiddenAddresses] and those of r.
func ParseKallsyms(r io.Reader) (*Symbols, error) {
	s := &Symbols{names: []byte{'\n'}}
	visible := false
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, maxSymbolLine), maxSymbolLine)
	for lines.Scan() {
		addr, name, err := parseSymbol(lines.Bytes())
		if err == nil && (len(s.addrs) == maxSymbols || len(s.names) > maxSymbolBytes) {
			err = errors.New("too many symbols")
		}
		if err != nil {
			return nil, &SymbolError{Line: len(s.addrs) + 1, Text: lines.Text(), Err: err}
		}
		visible = visible || addr != 0
		s.starts = append(s.starts, uint32(len(s.names)))
		s.names = append(append(s.names, name...), '\n')
		s.addrs = append(s.addrs, addr)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read kallsyms after line %d: %w", len(s.addrs), err)
	}
	if len(s.addrs) == 0 {
		return nil, fmt.Errorf("read kallsyms: %w", io.ErrUnexpectedEOF)
	}
	if !visible {
		return nil, ErrHiddenAddresses
	}
	return s, nil
}

// parseSymbol splits "ffffffff81000000 T _text" or, in a module,
// "ffffffffc0201000 t name\t[module]".
func parseSymbol(line []byte) (addr uint64, name []byte, err error) {
	hex, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || len(rest) < 3 || rest[1] != ' ' {
		return 0, nil, errors.New("not an address, a type and a name")
	}
	if addr, err = strconv.ParseUint(string(hex), 16, 64); err != nil {
		return 0, nil, errors.New("the address is no hexadecimal number")
	}
	name, _, _ = bytes.Cut(rest[2:], []byte{'\t'})
	return addr, name, nil
}

// Len is the number of symbols.
func (s *Symbols) Len() int { return len(s.addrs) }

// Lookup returns the address of the first symbol called name, which is the
// kernel's own if a module has one of the same name.
func (s *Symbols) Lookup(name string) (addr uint64, ok bool) {
	s.indexing.Do(s.index)
	if i := s.byName[s.slot([]byte(name))]; i != 0 && name != "" {
		return s.addrs[i-1], true
	}
	return 0, false
}

// index hashes the names. Captures of a guest look up some sixty, and a scan for one
// takes more than a millisecond.
func (s *Symbols) index() {
	s.seed = maphash.MakeSeed()
	s.byName = make([]uint32, 1<<bits.Len(uint(2*len(s.addrs))))
	for i := range s.addrs {
		if at := s.slot(s.name(i)); s.byName[at] == 0 {
			s.byName[at] = uint32(i + 1)
		}
	}
}

// slot is where in byName a name is, or would be: at least half of them are empty.
func (s *Symbols) slot(name []byte) uint64 {
	last := uint64(len(s.byName) - 1)
	at := maphash.Bytes(s.seed, name) & last
	for s.byName[at] != 0 && !bytes.Equal(s.name(int(s.byName[at]-1)), name) {
		at = (at + 1) & last
	}
	return at
}

// name returns the name of symbol i.
func (s *Symbols) name(i int) []byte {
	end := len(s.names)
	if i+1 < len(s.starts) {
		end = int(s.starts[i+1])
	}
	return s.names[s.starts[i] : end-1]
}

// Before returns the last symbol that is not after addr, and how far it is
// away. Of several at one address it is the first. name is empty if there is
// none.
func (s *Symbols) Before(addr uint64) (name string, offset uint64) {
	s.sorting.Do(func() {
		s.sorted = make([]uint32, len(s.addrs))
		for i := range s.sorted {
			s.sorted[i] = uint32(i)
		}
		slices.SortStableFunc(s.sorted, func(a, b uint32) int { return cmp.Compare(s.addrs[a], s.addrs[b]) })
	})
	after := sort.Search(len(s.sorted), func(i int) bool { return s.addrs[s.sorted[i]] > addr })
	if after == 0 {
		return "", 0
	}
	at := s.addrs[s.sorted[after-1]]
	first := sort.Search(after, func(i int) bool { return s.addrs[s.sorted[i]] >= at })
	start := s.starts[s.sorted[first]]
	length := bytes.IndexByte(s.names[start:], '\n')
	return string(s.names[start : int(start)+length]), addr - at
}

// Nearest returns the symbol that name was probably meant to be, or the empty
// string.
func (s *Symbols) Nearest(name string) string {
	var near []string
	for candidate := range bytes.SplitSeq(s.names, []byte{'\n'}) {
		if d := len(candidate) - len(name); len(candidate) > 0 && d <= len(name)/3 && -d <= len(name)/3 {
			near = append(near, string(candidate))
		}
	}
	return nearest.Name(name, near)
}
