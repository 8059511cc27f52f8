// Package bpfload loads BPF objects with struct_ops schedulers into the
// running kernel.
//
// It builds on cilium/ebpf, which reads the object and applies CO-RE
// relocations, and does itself what cilium/ebpf v0.22 cannot:
//
//   - arena programs: asm.Instruction.Marshal clears the offset of a register
//     move, which turns addr_space_cast into a malformed instruction;
//   - kfuncs that have a sibling named with a ___ suffix in the kernel's BTF
//     (scx_bpf_dsq_insert and scx_bpf_dsq_insert___v2): it reports them as
//     ambiguous, here the exact name wins;
//   - one BTF object for the programs and all maps, as libbpf makes it, where
//     cilium/ebpf makes one for each map: whoever looks at a map in the kernel
//     finds the types of the whole object;
//   - weak maps, hidden functions, data sections of any name, variables of one name
//     in linked objects, and the variables of an arena, which are handled as libbpf
//     does; see [Read];
//   - .kconfig variables of all types, weak ones included, from /boot/config-RELEASE
//     or /proc/config.gz;
//   - variables and functions of the kernel and its modules (__ksym), by BTF or, if they
//     have no type, by address; strong ones have to be there, with a compatible type;
//   - maps of maps and program arrays that a definition fills;
//   - programs of all types, attached as their sections say; see [Collection.AttachPrograms].
//
// The BTF has the definitions of the maps (.maps), and maps are made in the
// order of these, as libbpf does: captures tell maps apart by both.
//
// Not loaded: pinned maps and programs that replace a function of another, which are
// refused by name, jump tables, functions that only the tag exception_callback names,
// and what cilium/ebpf rejects beside. Schedulers with those are started as
// their own binaries. Package parity compares what is loaded with what libbpf makes of
// the same objects.
package bpfload
