package nearest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/nearest"
)

func TestNameIsTheOneWithTheFewestTypingErrors(t *testing.T) {
	names := []string{"weight", "height", "nr_dispatched", "tid"}
	for name, want := range map[string]string{
		"wieght":                 "weight", // two letters swapped are one error
		"WEIGHT":                 "weight",
		"heigt":                  "height",
		"nr_dispached":           "nr_dispatched",
		"tip":                    "tid",
		"ab":                     "",
		"":                       "",
		"level":                  "", // more than a third of it is wrong
		strings.Repeat("w", 129): "",
	} {
		require.Equal(t, want, nearest.Name(name, names), name)
	}
	require.Empty(t, nearest.Name("weight", nil))
	require.Empty(t, nearest.Name("weight", []string{strings.Repeat("w", 129)}))
}

func TestAdviceIsEmptyIfNothingIsNear(t *testing.T) {
	names := []string{"weight"}
	require.Equal(t, ` (did you mean "weight"?)`, nearest.Hint("wieght", names))
	require.Equal(t, `; did you mean "weight"?`, nearest.Advice("wieght", names))
	require.Equal(t, `; did you mean weight?`, nearest.BareAdvice("wieght", names))
	require.Empty(t, nearest.Hint("level", names)+nearest.Advice("level", names)+nearest.BareAdvice("level", names))
}
