package vmm

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// The libraries in the repository were built of the source beside them: make notes the
// digests.
func TestLibrariesAreOfTheirSource(t *testing.T) {
	for _, library := range []string{"hold", "witness"} {
		sums, err := os.ReadFile(filepath.Join(library, library+".sum"))
		require.NoError(t, err)
		var want strings.Builder
		for _, name := range []string{library + ".c", "Makefile"} {
			text, err := os.ReadFile(filepath.Join(library, name))
			require.NoError(t, err)
			fmt.Fprintf(&want, "%x  %s\n", sha256.Sum256(text), name)
		}
		require.Equal(t, want.String(), string(sums), "make -C vmm/"+library)
	}
}
