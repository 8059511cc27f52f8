// Package ktsnap models what was captured from a guest: columns of bytes for each map,
// the shapes of what is in them, the objects of the kernel that pointers lead to. It
// knows bytes and shapes; it knows neither virtual machines nor ELF nor BTF, and
// imports only the standard library.
//
// For authors of tools.
//
// A [Snapshot] is complete in itself. [ReadFile] and [Snapshot.WriteFile] keep it in a
// file; FORMAT.md describes that.
//
// Tools, and code without generated types, read by name and path: [Snapshot.Map] and
// [Snapshot.Var] find maps and global variables, [Value.Get] goes along a path, and
// methods such as [Value.Uint64] read what is there. Errors stick along such a chain
// and are returned at its end: an [*Error], whose Err is one of this package's error
// types. READING.md explains such reads, and PROMISES.md has a test of each thing that
// they promise. Generated code reads the same bytes by the same shapes; see package
// runtime.
package ktsnap
