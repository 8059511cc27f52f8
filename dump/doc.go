// Package dump shows a snapshot to a person: as text, as JSON and as an HTML
// page, and tells how two snapshots differ.
//
// For authors of tools, and for tests that keep a snapshot to compare with.
//
// It reads through [ktsnap.Value]. It folds zeroes and long arrays, makes tables of entries
// that look alike, and says where pointers lead. Of a task of the kernel's, text shows pid,
// tgid and comm. It shows only what the types say, and adds no units.
package dump
