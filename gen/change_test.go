package gen_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
)

// Generated files are read in reviews: what changes in one is what was changed in
// the C.

// mostChanged is how many lines may be added to or taken from a generated file if a
// u64 is put at the front of a struct. The line with the object's digest is two.
const mostChanged = 25

func TestAMemberInFrontChangesFewLines(t *testing.T) {
	for file, structs := range map[string][]string{
		"testdata/change.bpf.c":            {"plain", "point", "bitfields", "overlaid", "squeezed", "pointing", "ending", "bss"},
		"../example_sched/bpf/sched.bpf.c": {"struct ctx {", "struct task_stats {", "struct task_ctx {", "struct cpu_run {", "struct task_state {", "struct exit_record {"},
	} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		before := generatedOf(t, filepath.Dir(file), string(source))
		for _, s := range structs {
			t.Run(filepath.Base(file)+"/"+strings.Trim(s, " {"), func(t *testing.T) {
				after := generatedOf(t, filepath.Dir(file), withMember(t, string(source), s))
				require.Contains(t, after, "Added ")
				changed := diff(t, before, after)
				require.LessOrEqual(t, len(changed), mostChanged, "%s", strings.Join(changed, ""))
				t.Logf("%d lines", len(changed))
			})
		}
	}
}

// withMember puts a member behind what begins a struct.
func withMember(t *testing.T, source, front string) string {
	t.Helper()
	member := "u64 added;"
	if front == "bss" {
		member = "u64 added = 0;" // in front of those that are not initialised
	}
	if !strings.HasSuffix(front, "{") {
		front = "/* front of " + front + " */"
	}
	require.Equal(t, 1, strings.Count(source, front), front)
	return strings.Replace(source, front, front+"\n"+member, 1)
}

// generatedOf returns what is generated for a program that lies in a directory.
func generatedOf(t *testing.T, dir, source string) string {
	t.Helper()
	model := modelOf(t, dir, source)
	src, err := model.Render()
	require.NoError(t, err)
	return string(src)
}

func modelOf(t *testing.T, dir, source string) *gen.Package {
	t.Helper()
	clang := cmp.Or(os.Getenv("CLANG"), "clang-19")
	if _, err := exec.LookPath(clang); err != nil && os.Getenv("CI") == "" {
		t.Skipf("no %s to compile a scheduler with: apt-get install clang-19", clang)
	}
	name := filepath.Join(t.TempDir(), "sched.bpf.o")
	cc := exec.Command(clang, "-g", "-O2", "-target", "bpf", "-mcpu=v4", "-I", dir, "-x", "c", "-", "-c", "-o", name)
	cc.Stdin = strings.NewReader(source)
	out, err := cc.CombinedOutput()
	require.NoError(t, err, "%s", out)
	obj, err := object.Open(name)
	require.NoError(t, err)
	model, err := gen.Build(obj, gen.Options{Package: "sched"})
	require.NoError(t, err)
	return model
}

// A tag of a ring buffer names a type that clang leaves out unless a global leads to it.
func TestRecordTypesThatAreNotInTheObjectAreSaid(t *testing.T) {
	const source = `#define SEC(name) __attribute__((section(name), used))
struct event { int pid; };
struct {
	int (*type)[27]; /* BPF_MAP_TYPE_RINGBUF */
	int (*max_entries)[4096];
} events SEC(".maps") __attribute__((btf_decl_tag("ktgen:record:event")));
static void *(*reserve)(void *ring, unsigned long size, unsigned long flags) = (void *)131;
static void (*submit)(void *record, unsigned long flags) = (void *)132;
SEC("tc") int program(void *ctx)
{
	struct event *e = reserve(&events, sizeof(*e), 0);
	if (e) {
		e->pid = 1;
		submit(e, 0);
	}
	return 0;
}
`
	require.Contains(t, fmt.Sprint(modelOf(t, ".", source).Warnings()), "map events is read as bytes: its tag names the type event, which is not in the object: clang leaves out")
	kept := modelOf(t, ".", source+"const struct event *unused_event __attribute__((unused));\n")
	require.NotContains(t, fmt.Sprint(kept.Warnings()), "map events")
}

// diff returns the lines that are in one of two texts only, with "-" or "+" in front.
func diff(t *testing.T, a, b string) (lines []string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"a": a, "b": b} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.Command("diff", "--minimal", "-U0", "a", "b")
	cmd.Dir = dir
	out, _ := cmd.Output() // which fails if they differ
	for line := range strings.Lines(string(out)) {
		if !strings.HasPrefix(line, "@@") && !strings.HasPrefix(line, "---") && !strings.HasPrefix(line, "+++") {
			lines = append(lines, line)
		}
	}
	require.NotEmpty(t, lines)
	return lines
}
