// Package capture keeps the captures of a run.
//
// For contributors. Authors of tests meet its Store as VM.Captures of package ktest.
//
// A [Store] keeps the captures of one guest, in order and under their names. Tests,
// cadences, watchpoints and the end of a scheduler add to it. Any goroutine reads it at any
// time, while the guest runs and others add to it:
//
//	snap, err := store.Snapshot("after_spawn")
//	samples := series.Open(store.Captures(), examplesched.Open)
//
// It keeps all captures of one name, unless [Options] say otherwise ([SameName]). Snapshots
// that do not fit in memory go to files, the oldest first. Snapshots that do not fit there
// are dropped, and their captures say so ([EvictedError]). [Store.Events] lists what was
// replaced, written to files and dropped.
//
// A store needs no guest: unit tests fill one with fixtures of the generated package.
package capture
