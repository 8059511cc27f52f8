// Package capture keeps the captures of a run.
//
// For contributors. Authors of tests meet its Store as VM.Captures of package ktest.
//
// A [Store] is what lies between those who capture (a test, a cadence, a
// watchpoint, the end of a scheduler) and those who read: it keeps captures in
// order, under their names, as many as the run makes. Each test has its own.
// It is read at any time, while the guest runs and others add to it:
//
//	snap, err := store.Snapshot("after_spawn")
//	samples := series.Open(store.Captures(), examplesched.Open)
//
// Nothing is lost silently. Captures of one name are all kept unless the store
// was told otherwise ([SameName]). Snapshots that do not fit in memory go to
// files, the oldest first; those that do not fit there are dropped, and the
// capture that is left says so ([EvictedError]). [Store.Events] tells what happened.
//
// A store neither knows nor needs a guest: unit tests fill one by hand, with
// fixtures of the generated package as snapshots.
package capture
