package cast_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// TestSmallProgramsShowOneRuleEach compares what is found of them with what they hold.
func TestSmallProgramsShowOneRuleEach(t *testing.T) {
	for _, source := range programs(t, "testdata/small/*.bpf.c") {
		t.Run(programName(source), func(t *testing.T) {
			path := filepath.Join("testdata/small/objects", programName(source)+".o")
			requireLinesOf(t, path, source)
			obj, err := object.Open(path)
			require.NoError(t, err)
			found := findings(cast.Analyze(obj))
			require.Empty(t, missing(wants(t, source), found), "wanted, and not found")
			require.Empty(t, missing(found, wants(t, source)), "found, and not wanted")
		})
	}
}
