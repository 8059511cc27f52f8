package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// explained is a flag in what -h prints.
var explained = regexp.MustCompile(`(?m)^  (-[\w-]+)`)

// The list of commands names each flag that the help of a command explains.
func TestHelpNamesEveryFlag(t *testing.T) {
	flags := 0
	for _, c := range commands() {
		for _, f := range c.forms {
			words, _, _ := strings.Cut(f.synopsis, " [")
			var out bytes.Buffer
			run(t.Context(), append([]string{"help"}, strings.Fields(words)...), &out, &out)
			for _, flag := range explained.FindAllStringSubmatch(out.String(), -1) {
				require.Contains(t, f.synopsis, flag[1], "ktgen %s has that flag", words)
				flags++
			}
		}
	}
	require.Greater(t, flags, 20)
}
