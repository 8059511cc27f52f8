package ktest_test

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/bpfload"
)

func TestMain(m *testing.M) {
	if object := os.Getenv(programEnv); object != "" {
		os.Exit(runProgram(object))
	}
	if role := os.Getenv(zooEnv); role != "" {
		os.Exit(runZoo(role))
	}
	ktest.Main(m)
}

// programEnv makes the test binary a scheduler's own program, which loads the
// object that it names.
const programEnv = "KTEST_PROGRAM"

// program is this binary as the program of a scheduler, whose object is put at
// objectPath.
func program(args ...string) ktest.Scheduler {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return ktest.Binary(self, args...).Env(programEnv + "=" + objectPath)
}

// livesOn is an argument: the program ends when it is interrupted once more.
const livesOn = "lives-on"

const objectPath = "/sched.bpf.o"

// withObject are the files of a guest for program.
func withObject(name string) map[string]string {
	return map[string]string{objectPath: filepath.Join("testdata", name+".bpf.o")}
}

// operationsOf is the name of the struct_ops map of an object that has one.
func operationsOf(coll *bpfload.Collection) string {
	for name, m := range coll.Maps {
		if m.Type() == ebpf.StructOpsMap {
			return name
		}
	}
	return ""
}

// runProgram is what a scheduler's program does: it loads and attaches, and
// detaches when it is interrupted.
func runProgram(object string) int {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, unix.SIGINT)
	fmt.Println("program starts with", os.Args[1:])
	if how := slices.Index(os.Args, background); how > 0 {
		return goIntoBackground(os.Args[how+1])
	}
	contents, err := os.ReadFile(object)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	spec, err := bpfload.Read(contents)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	coll, err := bpfload.Load(spec, "sched.bpf.o")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 5
	}
	attached, err := coll.AttachStructOps(operationsOf(coll))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 6
	}
	if os.Getenv(statsEnv) != "" {
		if err := serveStats(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 7
		}
	}
	if os.Getenv(backgroundEnv) != "" {
		go countOn()
	}
	<-interrupted
	attached.Close()
	if slices.Contains(os.Args, livesOn) {
		<-interrupted
	}
	fmt.Println("program ends")
	return 0
}
