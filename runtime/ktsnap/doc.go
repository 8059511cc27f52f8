// Package ktsnap models snapshots of a guest: columns of bytes for each map, their shapes,
// and the objects of the kernel that pointers lead to. It knows neither virtual machines
// nor ELF nor BTF. It and what it imports use only the standard library.
//
// For authors of tools.
//
// A [Snapshot] is complete in itself. [ReadFile] and [Snapshot.WriteFile] keep it in a
// file; FORMAT.md describes the format.
//
// Tools, and code without generated types, read by name and path. [Snapshot.Map] and
// [Snapshot.Var] find maps and global variables, [Value.Get] goes along a path, and
// methods such as [Value.Uint64] read the value. The last call of such a chain returns its
// error: an [*Error], whose Err is one of this package's error types. READING.md explains
// such reads; PROMISES.md lists what they promise, with tests. Generated code reads the
// same bytes by the same shapes; see package runtime.
package ktsnap
