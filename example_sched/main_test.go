package examplesched_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/ktgen/ktgen/ktest"
)

// These make a process of this binary, in a guest, the reader of oracle_test.go
// or what hangs the guest of hang_test.go.
const (
	readerEnv = "EXAMPLESCHED_READER"
	hangEnv   = "EXAMPLESCHED_HANG"
)

func TestMain(m *testing.M) {
	var err error
	switch {
	case os.Getenv(readerEnv) != "":
		err = readMaps(os.Stdin, os.Stdout)
	case os.Getenv(hangEnv) != "":
		err = hang(os.Stdout)
	default:
		ktest.Main(m)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// scheduler is what the tests of this package run.
var scheduler = ktest.Object("bpf/sched.bpf.o")
