// Package dump shows a snapshot to a person: as text, as JSON and as an HTML
// page, and tells how two snapshots differ.
//
// For authors of tools, and for tests that keep a snapshot to compare with.
//
// It reads through the one decoder there is, [ktsnap.Value], and adds what
// makes values legible: zeroes and long arrays are folded, entries that look
// alike become tables, pointers say where they lead, and of a task of the kernel's
// text shows what tells it apart. Only what the types say is shown; nothing is
// given a unit that has none.
package dump
