// Command agentprogram is the agent of guests in lockstep (ktest.Config.Seed). Other guests
// have the test binary as their agent; these do not, so that a run does not change with the
// text of a test.
//
// For contributors.
package main

import (
	"fmt"
	"os"

	"github.com/ktgen/ktgen/ktest"
)

func main() {
	ktest.Init()
	fmt.Fprintln(os.Stderr, "agentprogram runs in guests that ktest boots")
	os.Exit(2)
}
