// Package runtime reads typed values out of snapshots, for generated code. It knows
// bytes and shapes, and neither virtual machines nor ELF nor BTF. It and what it imports
// use only the standard library.
//
// For authors of tests, who meet it in generated code: ktrt is its name there.
//
// A [Snapshot] has columns of bytes for each map, and their shapes. Generated code has a
// [Layout], the shapes that it was generated for. Bind compares these with the guest's
// shapes, which can be those of another build. If they are the same, the generated decoders
// read the captured bytes in place. If members have moved or grown, a plan, made once,
// rearranges the bytes first. What no plan can bridge is a [LayoutError].
//
// # Values
//
// [Array], [PerCPUArray], [Hash], [PerCPUHash], [TaskStorage] and other types of this
// package read maps. They return plain Go values. Ranging over All yields copies.
// [Addr], [Path], [Raw] and [PointerAt] tell where in the guest a value comes from.
//
// # Pointers
//
// Pointers to the program's own objects, in maps, globals and arenas, are Go pointers. A
// read follows them. One object of the guest is one Go pointer. A pointer to a part of
// another object is the address of that object's field, whichever is read first. The other
// object can be an entry of a map, a section, an object that the program has allocated, or
// the target of another pointer. If several members of a union fit, it is the first.
//
// Some parts have no field of their own: a bitfield, and a part of a string, of a flexible
// array or of an object of the kernel. Nor have bytes that the program also uses as another
// type than the field's. A pointer there leads to a value of its own, with the same [Addr].
//
// Pointers to objects of the kernel are [Ptr] values, also if the program keeps them as
// integers. The snapshot has the objects that the maps lead to, in the layout of the
// guest's kernel; [Ptr.Deref] reads them. A [PerCPU] leads to an object of each CPU.
//
// # Reads that fail
//
// A read through generated code that fails ends the test that the snapshot is
// bound to, with a message that names the line of the read. Without a test it
// panics with an [*Error], which [Try] returns. It wraps one of the error types
// of this package or of [ktsnap].
//
// Code without generated types reads by name and path: see package [ktsnap].
package runtime
