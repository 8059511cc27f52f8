// Package ktest boots guests for tests of sched_ext schedulers, runs a
// scheduler in them, and takes snapshots of its maps.
//
// For authors of tests.
//
//	func TestMain(m *testing.M) { ktest.Main(m) }
//
//	func TestWeight(t *testing.T) {
//		vm := ktest.Boot(t, ktest.Config{Scheduler: ktest.Object("bpf/sched.bpf.o")})
//		snap := vm.Freeze("start")
//		...
//	}
//
// The test binary is also the guest's init: in a guest [Main] turns it into the agent that
// the host talks to. A program without package testing calls [Init] and [Start].
//
// Without QEMU or a kernel, [Boot] skips the test. If the environment variable CI is true,
// it fails the test instead.
package ktest
