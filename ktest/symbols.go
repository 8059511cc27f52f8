package ktest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/guest"
)

// This file gets at the symbols of a guest's kernel. The kernel takes more than
// a second to print them under emulation, so that they are read once for each
// build of a kernel and kept: what differs from boot to boot is where KASLR puts
// the image, all of it by the same distance.

// symbolTables are those that this process has read, by build and address.
var symbolTables = struct {
	sync.Mutex
	tables map[string]*freeze.Symbols
}{tables: make(map[string]*freeze.Symbols)}

// symbols returns the symbols of the guest's kernel. Those of modules and BPF
// programs are not among them.
func symbols(ctx context.Context, client *guest.Client, k guest.Kernel) (*freeze.Symbols, error) {
	symbolTables.Lock()
	defer symbolTables.Unlock()
	key := fmt.Sprintf("%x at %x", k.BuildID, k.Text)
	if table := symbolTables.tables[key]; table != nil && len(k.BuildID) > 0 {
		return table, nil
	}

	text, err := symbolText(ctx, client, k)
	if err != nil {
		return nil, fmt.Errorf("read the symbols of the guest's kernel %s: %w", k.Release, err)
	}
	table, err := freeze.ParseKallsyms(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	symbolTables.tables[key] = table
	return table, nil
}

// symbol returns the address of a symbol of the guest's kernel, 0 if that is not known.
func (vm *VM) symbol(ctx context.Context, name string) uint64 {
	table, err := symbols(ctx, vm.agent, vm.kernel)
	if err != nil {
		return 0
	}
	addr, _ := table.Lookup(name)
	return addr
}

// keepSymbols reads the symbols of the guest's kernel unless they are kept
// already, so that a snapshot does not depend on what a guest can still tell
// when it is taken.
func keepSymbols(ctx context.Context, client *guest.Client, k guest.Kernel) error {
	if len(k.BuildID) == 0 {
		return nil
	}
	_, err := keptSymbols(ctx, client, k, false)
	return err
}

// keepSymbolsAnew is keepSymbols for a guest in lockstep: what it is asked decides what it
// does, and so must not depend on what is kept.
func keepSymbolsAnew(ctx context.Context, client *guest.Client, k guest.Kernel) error {
	if len(k.BuildID) == 0 {
		return nil
	}
	_, err := keptSymbols(ctx, client, k, true)
	return err
}

// keptSymbols returns the path of the symbols that are kept for a kernel with a
// build id. They are read from the guest if they are not kept, or anew.
func keptSymbols(ctx context.Context, client *guest.Client, k guest.Kernel, anew bool) (string, error) {
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, cache.Kallsyms, hex.EncodeToString(k.BuildID)+".zst")
	read := func() ([]byte, error) { return ownSymbols(ctx, client) }
	if anew {
		text, err := read()
		if err != nil {
			return "", err
		}
		read = func() ([]byte, error) { return text, nil }
	}
	return path, cache.Ensure(ctx, path, func(partial string) error {
		text, err := read()
		if err != nil {
			return err
		}
		return writeSymbols(partial, text, k.Text)
	})
}

// symbolText returns the lines of the kernel's own symbols in /proc/kallsyms.
func symbolText(ctx context.Context, client *guest.Client, k guest.Kernel) ([]byte, error) {
	if len(k.BuildID) == 0 {
		return ownSymbols(ctx, client)
	}
	path, err := keptSymbols(ctx, client, k, false)
	if err != nil {
		return nil, err
	}
	text, err := readSymbols(path, k.Text)
	if err == nil {
		return text, nil
	}
	// A damaged file is made anew by whoever comes next.
	if rmErr := cache.Remove(ctx, path); rmErr != nil {
		return nil, fmt.Errorf("%w; and remove it: %w", err, rmErr)
	}
	return ownSymbols(ctx, client)
}

// ownSymbols reads /proc/kallsyms in the guest. Symbols of modules and BPF
// programs end in "[name]" and are left out.
func ownSymbols(ctx context.Context, client *guest.Client) ([]byte, error) {
	all, err := client.ReadFile(ctx, "/proc/kallsyms")
	if err != nil {
		return nil, err
	}
	own := all[:0]
	for line := range bytes.Lines(all) {
		if !bytes.HasSuffix(line, []byte("]\n")) {
			own = append(own, line...)
		}
	}
	return own, nil
}

// maxSymbols bounds the size of a symbol table, in bytes; a distribution's
// kernel has 10 MB.
const maxSymbols = 256 << 20

// writeSymbols keeps symbols: the address of _text as the first line, then
// they, compressed.
func writeSymbols(path string, symbols []byte, text uint64) error {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault))
	if err != nil {
		return err
	}
	defer enc.Close()
	plain := append(fmt.Appendf(nil, "%016x\n", text), symbols...)
	return os.WriteFile(path, enc.EncodeAll(plain, nil), 0o644)
}

// readSymbols returns kept symbols, moved to where this kernel's _text is.
func readSymbols(path string, text uint64) ([]byte, error) {
	packed, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxSymbols))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	plain, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	first, symbols, _ := bytes.Cut(plain, []byte("\n"))
	from, err := strconv.ParseUint(string(first), 16, 64)
	if err != nil {
		return nil, fmt.Errorf("read %s: its first line: %w", path, err)
	}
	return moveSymbols(symbols, from, text)
}

// moveSymbols adds the distance between two addresses of _text to every
// address from there on. What is below is not an address in the image, such as the
// offsets of per-CPU variables.
func moveSymbols(symbols []byte, from, to uint64) ([]byte, error) {
	if from == to {
		return symbols, nil
	}
	out := make([]byte, 0, len(symbols))
	lines := bufio.NewScanner(bytes.NewReader(symbols))
	for lines.Scan() {
		hexAddr, rest, ok := bytes.Cut(lines.Bytes(), []byte(" "))
		addr, err := strconv.ParseUint(string(hexAddr), 16, 64)
		if err != nil || !ok {
			return nil, fmt.Errorf("%.80q is no symbol", lines.Bytes())
		}
		if addr >= from {
			addr += to - from
		}
		out = fmt.Appendf(out, "%016x %s\n", addr, rest)
	}
	return out, lines.Err()
}
