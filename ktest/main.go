package ktest

import (
	"maps"
	"os"
	"testing"

	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/ktest/internal/stats"
	"github.com/ktgen/ktgen/scenario/agent"
	"github.com/ktgen/ktgen/vmm/guest"
)

// Main runs the tests of a package that boots guests, and exits. It is what
// TestMain calls:
//
//	func TestMain(m *testing.M) { ktest.Main(m) }
//
// In a guest the same binary is PID 1, and Main becomes its agent.
func Main(m *testing.M) {
	Init()
	os.Exit(m.Run())
}

// Init does for a program what [Main] does for tests. It comes first in the
// program's main function. In a guest it does not return.
func Init() {
	agentReady = true
	var loader scx.Loader
	var performer agent.Agent
	handlers := loader.Handlers()
	maps.Copy(handlers, stats.Handlers())
	maps.Copy(handlers, performer.Handlers())
	guest.Main(guest.Config{Handlers: handlers, Roles: agent.Roles()})
}

// agentReady says that this program can be the agent of a guest. It is set
// once, before any guest is booted.
var agentReady bool
