// Package bpfload loads BPF objects with struct_ops schedulers into the
// running kernel.
//
// It reads them with package object, puts programs together with their functions in the
// order in which libbpf does, and issues BPF_MAP_CREATE and BPF_PROG_LOAD itself. From
// cilium/ebpf it has CO-RE relocations, the encoding of BTF and links. As with libbpf:
//
//   - the programs and all maps share one BTF object, so that a map in the kernel has the
//     types of the whole object;
//   - weak maps, hidden functions, data sections of any name, of the arena and of each
//     CPU, variables and functions of one name in linked objects, jump tables and
//     exception callbacks are loaded;
//   - if the kernel's BTF has a kfunc and one with its name and a ___ suffix
//     (scx_bpf_dsq_insert and scx_bpf_dsq_insert___v2), the exact name wins;
//   - .kconfig variables of all types, weak ones included, from /boot/config-RELEASE
//     or /proc/config.gz;
//   - variables and functions of the kernel and its modules (__ksym), by BTF or, if they
//     have no type, by address; strong ones have to be there, with a compatible type;
//   - maps of maps and program arrays that a definition fills;
//   - programs of all types, attached as their sections say; see [Collection.AttachPrograms].
//
// The BTF has the definitions of the maps (.maps), and maps are created in their order, as
// with libbpf: captures tell maps apart by both.
//
// Pinned and static maps, and programs that replace a function of another, are refused by
// name. Schedulers with those are started by their own programs. Package parity compares
// what this package loads with what libbpf makes of the same objects.
package bpfload
