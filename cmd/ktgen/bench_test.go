package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

// BenchmarkProcess runs ktgen, the whole process, on an object of about 1,500
// BTF types and 2 MB that clang compiles of made-up C: maps reach all of its
// types, so that all of them are generated. bpftool, which prints the same
// types as C, is the comparison; ktgen casts, the analysis by itself.
func BenchmarkProcess(b *testing.B) {
	tool, err := exec.LookPath("bpftool")
	if err != nil {
		b.Skip("no bpftool to compare with: apt-get install bpftool")
	}
	dir := b.TempDir()
	ktgen := filepath.Join(dir, "ktgen")
	out, err := exec.Command("go", "build", "-o", ktgen, ".").CombinedOutput()
	require.NoError(b, err, "%s", out)
	path := largeObject(b, dir)

	var ours, theirs, casts use
	for b.Loop() {
		ours.add(b, ktgen, "-object", path, "-package", "large", "-output", filepath.Join(dir, "large_ktgen.go"))
		theirs.add(b, tool, "btf", "dump", "file", path, "format", "c")
		casts.add(b, ktgen, "casts", path)
	}
	info, err := os.Stat(path)
	require.NoError(b, err)
	b.ReportMetric(float64(info.Size())/1e6, "MB-object")
	b.ReportMetric(float64(typesOf(b, path)), "types")
	b.ReportMetric(float64(ours.wall.Milliseconds())/float64(b.N), "ms-wall")
	b.ReportMetric(float64(ours.cpu.Milliseconds())/float64(b.N), "ms-cpu")
	b.ReportMetric(float64(ours.memory)/1e6, "MB-memory")
	b.ReportMetric(float64(casts.wall.Milliseconds())/float64(b.N), "ms-wall-casts")
	b.ReportMetric(float64(theirs.cpu.Milliseconds())/float64(b.N), "ms-cpu-bpftool")
	b.ReportMetric(float64(ours.wall)/float64(theirs.wall), "times-bpftool")
}

// use is what runs of a program took: time of all, the most memory in bytes.
type use struct {
	wall, cpu time.Duration
	memory    int64
}

func (u *use) add(b *testing.B, program string, args ...string) {
	b.Helper()
	cmd := exec.Command(program, args...)
	var messages bytes.Buffer
	cmd.Stderr = &messages
	start := time.Now()
	require.NoError(b, cmd.Run(), "%s", &messages)
	u.wall += time.Since(start)
	u.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.memory = max(u.memory, 1024*cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss)
}

func typesOf(b *testing.B, path string) (n int) {
	b.Helper()
	obj, err := object.Open(path)
	require.NoError(b, err)
	for typ, err := range obj.Types.All() {
		require.NoError(b, err)
		if _, isFunc := typ.(*btf.Func); !isFunc {
			n++
		}
	}
	return n
}

// largeObject compiles C with many types, and programs that make the object
// large.
func largeObject(b *testing.B, dir string) string {
	b.Helper()
	clang := "clang-19"
	if set := os.Getenv("CLANG"); set != "" {
		clang = set
	}
	if _, err := exec.LookPath(clang); err != nil {
		b.Skipf("no %s to compile a large object with: apt-get install clang-19", clang)
	}
	source, path := filepath.Join(dir, "large.bpf.c"), filepath.Join(dir, "large.bpf.o")
	require.NoError(b, os.WriteFile(source, []byte(largeSource()), 0o644))
	out, err := exec.Command(clang, "-g", "-O2", "-fdebug-macro", "-target", "bpf", "-mcpu=v3", "-c", source, "-o", path).CombinedOutput()
	require.NoError(b, err, "%s", out)
	return path
}

// What the object is made of: as many instructions as four of the largest
// scheduler of the kernel's tree, scx_qmap, and debugging information for the
// rest, which most of a real object is.
const (
	largeStructs  = 248
	largePrograms = 180
	largeMacros   = 9000
)

func largeSource() string {
	var c strings.Builder
	c.WriteString("typedef unsigned long long u64;\ntypedef unsigned int u32;\n")
	c.WriteString("#define SEC(name) __attribute__((section(name), used))\n")
	for i := range largeMacros {
		fmt.Fprintf(&c, "#define A_MACRO_WITH_A_NAME_THAT_IS_NOT_SHORT_%d (%[1]d * sizeof(struct item0) + %[1]d * sizeof(u64) - 1)\n", i)
	}
	for i := range largeStructs {
		fmt.Fprintf(&c, "enum state%d { IDLE%[1]d, RUNNING%[1]d, DONE%[1]d = 7 };\n", i)
		fmt.Fprintf(&c, "struct item%d { struct item%d *owner; enum state%[1]d state; u32 few : 3, more : 7; u64 counts[%[3]d]; char name[16]; union { u64 word; u32 half[2]; }; };\n",
			i, max(i-1, 0), 1+i%8)
		if i%10 == 9 {
			fmt.Fprintf(&c, "struct { int (*type)[2]; int (*max_entries)[8]; u32 *key; struct item%d *value; } map%[1]d SEC(\".maps\");\n", i)
		}
		fmt.Fprintf(&c, "struct item%d global%[1]d;\n", i)
	}
	for i := range largePrograms {
		fmt.Fprintf(&c, "SEC(\"tc\") int program%d(void *ctx) {\n", i)
		for k := range 24 {
			item := (7*i + k) % largeStructs
			fmt.Fprintf(&c, "\tglobal%d.counts[0] += global%d.word ^ (u64)ctx;\n", item, (item+1)%largeStructs)
		}
		c.WriteString("\treturn 0;\n}\n")
	}
	c.WriteString("char _license[] SEC(\"license\") = \"GPL\";\n")
	return c.String()
}
