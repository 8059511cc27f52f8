package main

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"ktgen": func() { os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// Each script is a conversation with ktgen as a user has it.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("SAMPLE", filepath.Join(root, "internal/sample/testdata/sample.bpf.o"))
			env.Setenv("GOLDEN", filepath.Join(root, "cmd/ktgen/testdata/golden/objects"))
			env.Setenv("ZOO", filepath.Join(root, "object/testdata/zoo.bpf.o"))
			env.Setenv("SCHED", filepath.Join(root, "example_sched/bpf/sched.bpf.o"))
			env.Setenv("BIG_ENDIAN", filepath.Join(root, "object/testdata/zoo.eb.bpf.o"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"truncate":   truncate,
			"exitcode":   exitCode,
			"appendline": appendLine,
			"embed":      embed,
			"snapshot":   writeSnapshot,
		},
	})
}

// truncate copies the first bytes of a file: truncate N FROM TO.
func truncate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: truncate N FROM TO")
	}
	data := ts.ReadFile(args[1])
	n := 0
	for _, digit := range args[0] {
		n = 10*n + int(digit-'0')
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(data[:n]), 0o644))
}

// appendLine adds a line to a file: appendline FILE TEXT.
func appendLine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: appendline FILE TEXT")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(ts.ReadFile(args[0])+args[1]+"\n"), 0o644))
}

// exitCode runs ktgen and compares its exit status: exitcode N ARGS...
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: exitcode N ARGS...")
	}
	code := 0
	var failed *exec.ExitError
	if err := ts.Exec("ktgen", args[1:]...); errors.As(err, &failed) {
		code = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit status %d, want %s", code, args[0])
	}
}

// embed writes a file that has another one inside, as executables carry
// objects: embed OBJECT TO.
func embed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: embed OBJECT TO")
	}
	program := "\x7fELF, or something like it: " + ts.ReadFile(args[0]) + "and more"
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(program), 0o755))
}

// writeSnapshot writes the snapshot file of a small guest: snapshot FILE N,
// where N is what nr_dispatched is.
func writeSnapshot(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: snapshot FILE N")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	u32 := &ctype.Shape{Kind: ctype.KindInt, Name: "u32", Size: 4}
	inner := &ctype.Shape{Kind: ctype.KindStruct, Name: "ctx", Size: 4, Members: []ctype.Member{{Name: "weight", Type: u32}}}
	task := &ctype.Shape{Kind: ctype.KindStruct, Name: "task", Size: 8, Members: []ctype.Member{{Name: "ctx", Type: inner}, {Name: "tid", Offset: 4, Type: u32}}}
	bss := &ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: 4, Members: []ctype.Member{{Name: "nr_dispatched", Type: u32}}}
	program := &ktsnap.Program{BTFID: 1, Shapes: []*ctype.Shape{inner, task, bss}}
	s := &ktsnap.Snapshot{Name: "demo", Guest: ktsnap.Guest{CPUs: 2}, Programs: []*ktsnap.Program{program}, Maps: []*ktsnap.Map{
		{ID: 1, Name: "demo.bss", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 4, Value: bss, N: 1, Total: 1, Slots: 1, Stride: 8,
			Program: program, Values: binary.LittleEndian.AppendUint64(nil, uint64(n))},
		{ID: 2, Name: "per_task", Type: ktsnap.MapTypePerCPUArray, KeySize: 4, ValueSize: 8, Value: task, N: 1, Total: 1, Slots: 2, Stride: 8,
			Program: program, Values: binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 66), 77)},
	}}
	ts.Check(s.WriteFile(ts.MkAbs(args[0])))
}
