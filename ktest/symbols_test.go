package ktest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeptSymbolsMoveWithTheKernel(t *testing.T) {
	const kept = "0000000000001000 A percpu_offset\nffffffff81000000 T _text\nffffffff81000040 t odd name\n"
	path := filepath.Join(t.TempDir(), "symbols.zst")
	require.NoError(t, writeSymbols(path, []byte(kept), 0xffffffff81000000))

	same, err := readSymbols(path, 0xffffffff81000000)
	require.NoError(t, err)
	require.Equal(t, kept, string(same))
	moved, err := readSymbols(path, 0xffffffffa5000000)
	require.NoError(t, err)
	require.Equal(t, "0000000000001000 A percpu_offset\nffffffffa5000000 T _text\nffffffffa5000040 t odd name\n", string(moved))
	back, err := moveSymbols(moved, 0xffffffffa5000000, 0xffffffff81000000)
	require.NoError(t, err)
	require.Equal(t, kept, string(back))
}

func TestDamagedSymbolsAreErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "symbols.zst")
	require.NoError(t, writeSymbols(path, []byte("not a symbol\n"), 1))
	_, err := readSymbols(path, 2)
	require.Error(t, err)

	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for n := range whole {
		require.NoError(t, os.WriteFile(path, whole[:n], 0o600))
		_, err := readSymbols(path, 1)
		require.Error(t, err, "cut to %d bytes", n)
	}
}
