package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// conversation is a command and what it prints, as GENERATING.md shows them.
var conversation = regexp.MustCompile("(?s)```console\n\\$ ktgen ([^\n]*)\n(.*?)```")

func TestDocumentationShowsWhatCommandsPrint(t *testing.T) {
	document, err := os.ReadFile("../../gen/GENERATING.md")
	require.NoError(t, err)
	t.Chdir("../../example_sched")
	shown := conversation.FindAllSubmatch(document, -1)
	require.NotEmpty(t, shown)
	for _, c := range shown {
		var out, errs bytes.Buffer
		status := run(context.Background(), strings.Fields(string(c[1])), &out, &errs)
		require.Zero(t, status, "ktgen %s: %s", c[1], errs.String())
		require.Equal(t, string(c[2]), out.String(), "ktgen %s", c[1])
	}
}

// link is a relative link of Markdown: [text](path).
var link = regexp.MustCompile(`\]\(([^):#]+)[^):]*\)`)

// codeSpan is code in Markdown, where f[T](x) is no link.
var codeSpan = regexp.MustCompile("`[^`\n]*`")

func TestLinksOfTheDocumentationLeadSomewhere(t *testing.T) {
	var links int
	err := filepath.WalkDir("../..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, l := range link.FindAllSubmatch(codeSpan.ReplaceAll(text, nil), -1) {
			_, err := os.Stat(filepath.Join(filepath.Dir(path), string(l[1])))
			require.NoError(t, err, "%s links to it", path)
			links++
		}
		return err
	})
	require.NoError(t, err)
	require.NotZero(t, links)
}
