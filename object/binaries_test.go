package object_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

// This file finds objects in real executables, as loaders in C, Go and Rust
// carry them.

// carried are the objects in each of the executables, both compiled from
// fault.bpf.c.
var carried = map[string]string{
	"docile": "../ktest/testdata/docile.bpf.o",
	"stall":  "../ktest/testdata/stall.bpf.o",
}

// loaders build an executable at out with the objects in it. They skip the
// test if the machine lacks the tools.
var loaders = map[string]func(t *testing.T, dir, out string){
	"C, skeletons of bpftool": buildC,
	"Go, embedded files":      buildGo,
	"Rust, .bpf.objs":         buildRust,
}

func TestObjectsAreFoundInExecutables(t *testing.T) {
	for language, build := range loaders {
		t.Run(language, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "loader")
			build(t, t.TempDir(), out)
			for _, strip := range []bool{false, true} {
				if strip {
					run(t, ".", tool(t, "llvm-strip-19"), out)
				}
				requireCarried(t, out)
			}
		})
	}
}

func requireCarried(t *testing.T, path string) {
	t.Helper()
	_, err := object.Open(path)
	require.ErrorIs(t, err, object.ErrSeveral)
	var want, got []string
	for _, original := range carried {
		obj, err := object.Open(original)
		require.NoError(t, err)
		want = append(want, obj.Digest())
	}
	for _, name := range []string{"fault", "fault#2"} {
		obj, err := object.OpenNamed(path, name)
		require.NoError(t, err)
		got = append(got, obj.Digest())
	}
	require.ElementsMatch(t, want, got)
}

// tool returns the path of a program, and skips the test if there is none.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%v: scripts/setup test installs what Debian has", err)
	}
	return path
}

func run(t *testing.T, dir, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s %v: %s", name, args, &stderr)
	return out
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
}

func buildC(t *testing.T, dir, out string) {
	bpftool, cc := tool(t, "bpftool"), tool(t, "clang-19")
	if _, err := os.Stat("/usr/include/bpf/libbpf.h"); err != nil {
		t.Skipf("%v: scripts/setup test installs libbpf-dev", err)
	}
	var includes, uses strings.Builder
	for name, path := range carried {
		abs, err := filepath.Abs(path)
		require.NoError(t, err)
		write(t, dir, name+".skel.h", string(run(t, dir, bpftool, "gen", "skeleton", abs, "name", name)))
		fmt.Fprintf(&includes, "#include \"%s.skel.h\"\n", name)
		fmt.Fprintf(&uses, "\t%s__destroy(%[1]s__open());\n", name)
	}
	write(t, dir, "main.c", "typedef unsigned int u32;\ntypedef unsigned long long u64;\n"+includes.String()+"int main(void)\n{\n"+uses.String()+"\treturn 0;\n}\n")
	run(t, dir, cc, "-O2", "-o", out, "main.c", "-lbpf")
}

func buildGo(t *testing.T, dir, out string) {
	write(t, dir, "go.mod", "module loader\n\ngo 1.24\n")
	write(t, dir, "main.go", `package main

import (
	_ "embed"
	"os"
)

//go:embed stall.bpf.o
var stall []byte

//go:embed docile.bpf.o
var docile string

func main() { os.Stdout.Write(stall); os.Stdout.WriteString(docile) }
`)
	copyCarried(t, dir)
	run(t, dir, tool(t, "go"), "build", "-o", out, ".")
}

func buildRust(t *testing.T, dir, out string) {
	rustc := tool(t, "rustc")
	copyCarried(t, dir)
	source := ""
	for name, path := range carried {
		info, err := os.Stat(path)
		require.NoError(t, err)
		source += fmt.Sprintf("#[used]\n#[link_section = \".bpf.objs\"]\nstatic %s: [u8; %d] = *include_bytes!(\"%s.bpf.o\");\n",
			strings.ToUpper(name), info.Size(), name)
	}
	write(t, dir, "main.rs", source+"fn main() {}\n")
	run(t, dir, rustc, "-O", "-o", out, "main.rs")
}

func copyCarried(t *testing.T, dir string) {
	t.Helper()
	for name, path := range carried {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		write(t, dir, name+".bpf.o", string(b))
	}
}
