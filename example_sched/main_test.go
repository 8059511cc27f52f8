package examplesched_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/ktgen/ktgen/ktest"
)

// readerEnv makes a process of this binary, in a guest, the reader of
// oracle_test.go.
const readerEnv = "EXAMPLESCHED_READER"

func TestMain(m *testing.M) {
	if os.Getenv(readerEnv) == "" {
		ktest.Main(m)
	}
	if err := readMaps(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scheduler is what the tests of this package run.
var scheduler = ktest.Object("bpf/sched.bpf.o")
