package bpfload

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestWhatLibbpfRefusesIsRefusedWithAReason reads inputs of package parity, which has
// libbpf refuse them, too.
func TestWhatLibbpfRefusesIsRefusedWithAReason(t *testing.T) {
	for input, want := range map[string]string{
		"refused_version":      "section version: it has 8 bytes, and a kernel's version has 4",
		"refused_map_member":   "map m: its definition has color, which loaders do not know",
		"refused_map_values":   "map outer: its definition has values, and it is no map of maps and no program array",
		"refused_map_inner":    "map outer: a map inside of others cannot be pinned",
		"refused_map_order":    "map outer: its values are not the last member of its definition",
		"refused_arenas":       "map other: it is a second arena, beside pages: an object has one",
		"refused_map_declared": "map m: its value is struct elsewhere, which the object declares and does not define",
	} {
		t.Run(input, func(t *testing.T) {
			contents, err := os.ReadFile("../parity/testdata/inputs/" + input + ".bpf.o")
			require.NoError(t, err)
			_, err = Read(contents)
			require.ErrorContains(t, err, want)
		})
	}
}

func TestLicensesAreOfAnySize(t *testing.T) {
	contents, err := os.ReadFile("../parity/testdata/inputs/license.bpf.o")
	require.NoError(t, err)
	spec, err := Read(contents)
	require.NoError(t, err)
	require.Equal(t, "GPL v2", spec.Programs["count"].License)
}
