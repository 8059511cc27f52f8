package templates_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
	"golang.org/x/mod/modfile"

	"github.com/ktgen/ktgen/templates"
)

// full has something in each field, so that what a template leaves out of its
// output is what the template does not use.
var full = templates.Repository{
	Module:    "example.com/fifo",
	Go:        templates.Go,
	Package:   "fifo",
	Object:    "bpf/fifo.bpf.o",
	Source:    "bpf/fifo.bpf.c",
	Header:    "bpf/bpf.h",
	Scheduler: `ktest.Object("bpf/fifo.bpf.o")`,
	Reads:     []string{"\tt.Log(snap)"},
	Prefix:    "ktgen-",
	Make:      "make -C sched",
	GoMod:     "go.mod",
	Packages:  "git make",
}

// data is what the template called name is filled with.
func data(name string) any {
	if strings.HasPrefix(name, "read_") {
		return templates.Read{Accessor: "Tasks", Name: "tasks", Vars: []string{"NrRuns", "NrTasks"}}
	}
	return full
}

// render renders a template, which must not fail.
func render(t *testing.T, name string) string {
	t.Helper()
	text, err := templates.Render(name, data(name))
	require.NoError(t, err)
	return string(text)
}

func TestEveryTemplateIsAWholeTextFile(t *testing.T) {
	paths, err := filepath.Glob("*.tmpl")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		name := strings.TrimSuffix(path, ".tmpl")
		t.Run(name, func(t *testing.T) {
			text := render(t, name)
			require.True(t, strings.HasSuffix(text, "\n"), "the last line ends")
			for i, line := range strings.Split(text, "\n") {
				require.Equal(t, strings.TrimRight(line, " \t"), line, "line %d ends in white space", i+1)
				require.NotContains(t, line, "{{", "line %d", i+1)
			}
		})
	}
}

func TestTemplatesDecideNothing(t *testing.T) {
	paths, err := filepath.Glob("*.tmpl")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotRegexp(t, `\{\{-?\s*(if|with|else)\b`, string(text), "%s: a condition is a field that the model lacks", path)
	}
}

func TestWorkflowIsWhatGitHubUnderstands(t *testing.T) {
	var workflow struct {
		On          []string
		Permissions map[string]string
		Jobs        map[string]struct {
			RunsOn    string `yaml:"runs-on"`
			Container string
			Steps     []struct{ Name, Run, Uses string }
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(render(t, "workflow.yml")))
	require.NoError(t, decoder.Decode(&workflow))

	require.Equal(t, []string{"push", "pull_request"}, workflow.On)
	require.Equal(t, map[string]string{"contents": "read"}, workflow.Permissions)
	require.Len(t, workflow.Jobs, 1)
	for _, step := range workflow.Jobs["test"].Steps {
		require.NotEqual(t, step.Run == "", step.Uses == "", "step %q runs a script or uses an action", step.Name)
		require.NotContains(t, step.Run, "${{", "a script of a step can be run elsewhere")
	}
}

func TestNewModulesAskForTheGoThatThisModuleNeeds(t *testing.T) {
	ours, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	us, err := modfile.Parse("../go.mod", ours, nil)
	require.NoError(t, err)
	new, err := modfile.Parse("go.mod", []byte(render(t, "go.mod")), nil)
	require.NoError(t, err)
	require.Equal(t, us.Go.Version, new.Go.Version)
}

func TestUnknownTemplatesAndWrongModelsAreErrors(t *testing.T) {
	_, err := templates.Render("nothing", full)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "nothing")

	_, err = templates.Render("doc.go", templates.Read{})
	require.ErrorContains(t, err, "Package")

	_, err = templates.Render("doc.go", templates.Repository{Package: "no package name"})
	require.ErrorContains(t, err, "doc.go")
}
