// Command agentprogram is the agent of guests in lockstep (ktest.Config.Seed), which would
// otherwise be the test binary: so a run does not change with the text of a test.
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
