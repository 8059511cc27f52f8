package several_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen/internal/several"
	ktrt "github.com/ktgen/ktgen/runtime"
)

// total reads a map that both objects have, of a type that both have alike.
func total(runs ktrt.Hash[int32, several.Run]) (sum uint64) {
	for _, run := range runs.All() {
		sum += run.RuntimeNs
	}
	return sum
}

func TestObjectsOfOnePackageAreReadEachByItsOwn(t *testing.T) {
	first := several.FirstFixture{
		Runs:   map[int32]*several.Run{1: {RuntimeNs: 3}, 2: {RuntimeNs: 4, Policy: several.POLICY_EXT}},
		Limits: []several.FirstLimits{{Config: several.FirstConfig{SliceNs: 7}, Max: 8}},
	}.Bind(t)
	second := several.SecondFixture{
		Bss:    several.SecondBss{List: &several.Node{Value: 1, Next: &several.Node{Value: 2}}},
		Runs:   map[int32]*several.Run{9: {RuntimeNs: 10}},
		Layers: []several.SecondLimits{{Config: several.SecondConfig{SliceNs: 7, NrLayers: 5}, Max: 8}},
	}.Bind(t)

	require.EqualValues(t, 7, total(first.Runs()))
	require.EqualValues(t, 10, total(second.Runs()))
	require.Equal(t, several.FirstLimits{Config: several.FirstConfig{SliceNs: 7}, Max: 8}, *first.Limits().At(0))
	require.Equal(t, several.SecondLimits{Config: several.SecondConfig{SliceNs: 7, NrLayers: 5}, Max: 8}, *second.Layers().At(0))
	require.EqualValues(t, 2, second.Bss().List.Next.Value)
}

// A snapshot of one object is not taken for the other.
func TestAnObjectIsNotReadAsItsSibling(t *testing.T) {
	_, err := several.OpenSecond(several.FirstFixture{Limits: make([]several.FirstLimits, 1)}.Snapshot(t))
	require.ErrorContains(t, err, "nr_layers")
}
