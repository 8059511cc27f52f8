// Package bpfmap finds the BPF maps of a stopped Linux guest in its kernel's
// memory and copies their entries.
//
// A [Layout] holds the kernel's struct offsets, taken from its BTF. A [Pass]
// is one walk over all maps:
//
//	map_idr ──xarray──► struct bpf_map ──► a family's structures ──► columns of bytes
//
// There is a file per family of map types: each says how the kernel keeps the
// entries and copies them into the columns of runtime.Map. Small things are
// copied while walking; large ones are noted as jobs, which [Pass.Copy] does
// in parallel afterwards.
//
// Nothing in guest memory is trusted. A size is held against what the kernel
// itself allows and against the byte budget before it becomes an allocation,
// each loop has a bound, and a map that cannot be followed is marked Failed
// with the reason and costs no other map anything.
package bpfmap
