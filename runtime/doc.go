// Package runtime reads typed values out of snapshots, for generated code. It knows
// bytes and shapes; it knows neither virtual machines nor ELF nor BTF, and imports only
// the standard library.
//
// For authors of tests, who meet it in generated code: ktrt is its name there.
//
// A [Snapshot] is raw: columns of bytes for each map, and the shapes of what is
// in them. Generated code reads it. It brings a [Layout], the shapes it was
// generated for, and Bind compares these with the guest's, which can be those
// of another build: members may have moved, grown, or changed their byte
// order. Where nothing has changed the generated decoders read the captured
// bytes in place. Otherwise a plan, made once, rearranges them before, and what
// no plan can bridge is a [LayoutError].
//
// Maps are read through [Array], [PerCPUArray], [Hash], [PerCPUHash] and
// [TaskStorage]. Their values are plain Go values. Pointers to what belongs to
// the program, in maps, globals and arenas, are Go pointers, followed when a
// value is read, and the same object of the guest is the same Go pointer. A pointer
// to what lies in another object, which can be an entry of a map, a section, what the
// program has allocated or what another pointer leads to, is the address of that
// one's field, whichever is read first. Where there is no such field the pointer leads
// to a value of its own, whose [Addr] is the same: at a bitfield, in a string, in a
// flexible array, in an object of the kernel, or where the program has another type
// for the bytes than that of the field. What ranging over All yields is a copy. Of members of a union that could be meant it is the
// first. Where a value comes from is not in the value: [Addr], [Path], [Raw] and
// [PointerAt] tell.
//
// Pointers to objects of the kernel are [Ptr] values, also where the program
// keeps them as integers. Those that the maps lead to are in the snapshot, with
// the layout of the guest's kernel; [Ptr.Deref] reads them.
//
// Tools, and code without generated types, read by name and path: see package
// [ktsnap], which has snapshots themselves. Both ways read the same bytes by the same
// shapes.
//
// A read through generated code that fails ends the test that the snapshot is
// bound to, with a message that names the line of the read. Without a test it
// panics with an [*Error], which [Try] returns. What is wrong is one of the error types
// of this package and of [ktsnap].
package runtime
