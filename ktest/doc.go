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
// The test binary is the guest's init, too: in a guest [Main] turns it into the
// agent that the host talks to. A program without package testing calls [Init]
// and [Start].
//
// Where no guest can boot, because there is no QEMU or no kernel, Boot skips the
// test; in CI, where the environment variable CI says so, it fails.
package ktest
