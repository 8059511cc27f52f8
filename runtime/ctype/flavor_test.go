package ctype_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
)

func TestEssentialNamesAreThoseOfTheKernel(t *testing.T) {
	for name, want := range map[string]string{
		"task_struct":             "task_struct",
		"task_struct___old":       "task_struct",
		"task_struct___old___x86": "task_struct___old",
		"a___b":                   "a",
		"___hidden":               "___hidden",
		"four____in_a_row":        "four____in_a_row",
		"open___":                 "open___",
		"x__y":                    "x__y",
		"":                        "",
		"_":                       "_",
	} {
		require.Equal(t, want, ctype.EssentialName(name), name)
	}
}
