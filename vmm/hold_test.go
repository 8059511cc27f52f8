package vmm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// A program that loads the library says so; one that does not is refused.
func TestProgramThatDoesNotLoadTheLibraryIsRefused(t *testing.T) {
	h, err := newHold()
	require.NoError(t, err)
	defer h.unmap()
	defer h.library.Close()
	defer h.shared.Close()

	refused := (*ConfigError)(nil)
	require.ErrorAs(t, h.check("/opt/qemu"), &refused)
	require.Equal(t, "QEMU", refused.Field)
	require.ErrorContains(t, refused, "/opt/qemu does not load the library")

	program := exec.Command("/bin/true")
	program.Env = append(os.Environ(), holdEnvironment(4, 3, 1)...)
	program.ExtraFiles = []*os.File{h.shared, h.library}
	out, err := program.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, out)
	require.NoError(t, h.check("/bin/true"))
}

// What is in the repository is what its source says.
func TestLibraryIsOfItsSource(t *testing.T) {
	if _, err := exec.LookPath("clang-19"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	for _, name := range []string{"hold.c", "Makefile"} {
		text, err := os.ReadFile(filepath.Join("hold", name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), text, 0o644))
	}
	out, err := exec.Command("make", "-s", "-C", dir).CombinedOutput()
	require.NoError(t, err, "%s", out)
	built, err := os.ReadFile(filepath.Join(dir, "hold.so"))
	require.NoError(t, err)
	require.Equal(t, holdLibrary, built)
}
