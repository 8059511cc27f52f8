// Package runtime reads typed values out of snapshots, for generated code. It knows
// bytes and shapes; it knows neither virtual machines nor ELF nor BTF, and imports only
// the standard library.
//
// For authors of tests, who meet it in generated code: ktrt is its name there.
//
// A [Snapshot] is raw: columns of bytes for each map, and the shapes of what is
// in them. Generated code reads it. It brings a [Layout], the shapes that it was
// generated for. Bind compares these with the guest's shapes, which can be those of
// another build: members may have moved or grown. Where nothing has changed, the
// generated decoders read the captured bytes in place. Otherwise a plan, made once,
// rearranges the bytes before. What no plan can bridge is a [LayoutError].
//
// # Values
//
// Maps are read through [Array], [PerCPUArray], [Hash], [PerCPUHash], [TaskStorage] and
// their like. Their values are plain Go values. What ranging over All yields is a copy.
// A value does not hold where it comes from: [Addr], [Path], [Raw] and [PointerAt] tell.
//
// # Pointers
//
// Pointers to what belongs to the program, in maps, globals and arenas, are Go pointers.
// They are followed when a value is read. The same object of the guest is the same Go
// pointer. A pointer to a part of another object is the address of that object's field,
// whichever is read first. The other object can be an entry of a map, a section, what the
// program has allocated, or what another pointer leads to. If several members of a union
// could be meant, it is the first.
//
// Some parts have no field of their own: a bitfield, a part of a string, of a flexible array
// or of an object of the kernel, and bytes for which the program has another type than the
// field. A pointer there leads to a value of its own, whose [Addr] is the same.
//
// Pointers to objects of the kernel are [Ptr] values, also where the program
// keeps them as integers. Those that the maps lead to are in the snapshot, with
// the layout of the guest's kernel; [Ptr.Deref] reads them.
//
// # Reads that fail
//
// A read through generated code that fails ends the test that the snapshot is
// bound to, with a message that names the line of the read. Without a test it
// panics with an [*Error], which [Try] returns. What is wrong is one of the error types
// of this package and of [ktsnap].
//
// Code without generated types reads by name and path: see package [ktsnap].
package runtime
