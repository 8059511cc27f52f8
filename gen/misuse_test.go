package gen_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
	"golang.org/x/tools/txtar"
)

// misuseDir is where the cases are to the compiler. It does not exist.
const misuseDir = "internal/misuse"

// misuses are the cases of testdata/misuse.txtar by name.
func misuses(t *testing.T) map[string]string {
	archive, err := txtar.ParseFile("testdata/misuse.txtar")
	require.NoError(t, err)
	cases := make(map[string]string)
	for _, f := range archive.Files {
		cases[strings.TrimSuffix(f.Name, ".go")] = string(f.Data)
	}
	return cases
}

// wants returns what a case expects: line and expression of a message.
func wants(src string) map[int]string {
	want := make(map[int]string)
	for i, line := range strings.Split(src, "\n") {
		if _, comment, found := strings.Cut(line, "// want \""); found {
			want[i+1] = strings.TrimSuffix(comment, "\"")
		}
	}
	return want
}

func TestMisuseDoesNotCompile(t *testing.T) {
	config := &packages.Config{
		Mode:    packages.NeedName | packages.NeedTypes | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile | packages.NeedSyntax | packages.NeedTypesInfo,
		Overlay: make(map[string][]byte),
	}
	var patterns []string
	cases := misuses(t)
	for name, src := range cases {
		file, err := filepath.Abs(filepath.Join(misuseDir, name, "case.go"))
		require.NoError(t, err)
		config.Overlay[file] = []byte(src)
		patterns = append(patterns, "./"+misuseDir+"/"+name)
	}
	pkgs, err := packages.Load(config, patterns...)
	require.NoError(t, err)
	require.Len(t, pkgs, len(cases))
	for _, pkg := range pkgs {
		name := filepath.Base(pkg.PkgPath)
		t.Run(name, func(t *testing.T) { requireMessages(t, wants(cases[name]), typeErrors(pkg)) })
	}
}

func typeErrors(pkg *packages.Package) []string {
	var messages []string
	for _, e := range pkg.Errors {
		if e.Kind == packages.TypeError {
			messages = append(messages, e.Pos+": "+e.Msg)
		}
	}
	return messages
}

// requireMessages matches messages, "path:line:column: text", with what is
// expected of the lines.
func requireMessages(t *testing.T, want map[int]string, got []string) {
	t.Helper()
	require.Len(t, got, len(want), "%q", got)
	for line, pattern := range want {
		matching := regexp.MustCompile(fmt.Sprintf(`:%d:\d+: .*%s`, line, pattern))
		require.Regexp(t, matching, strings.Join(got, "\n"))
	}
}

// What go/types says is what the compiler says.
func TestMisuseIsRefusedByTheCompiler(t *testing.T) {
	src := misuses(t)["at_before_cpu"]
	dir := t.TempDir()
	file, err := filepath.Abs(filepath.Join(misuseDir, "case.go"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "case.go"), []byte(src), 0o644))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{file: filepath.Join(dir, "case.go")}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o644))

	out, err := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "./"+misuseDir).CombinedOutput()
	require.Error(t, err)
	var messages []string
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "#") {
			messages = append(messages, strings.TrimSpace(line))
		}
	}
	requireMessages(t, wants(src), messages)
}
