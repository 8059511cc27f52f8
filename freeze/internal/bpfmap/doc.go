// Package bpfmap finds the BPF maps of a stopped Linux guest in its kernel's
// memory and copies their entries.
//
// A [Layout] holds the kernel's struct offsets, taken from its BTF. A [Pass]
// is one walk over all maps:
//
//	map_idr ──xarray──► struct bpf_map ──► a family's structures ──► columns of bytes
//
// Each family of map types has a file, which says how the kernel keeps the entries and
// copies them into the columns of ktsnap.Map. The walk copies small pieces. It notes large
// ones as jobs, which [Pass.Copy] does in parallel afterwards.
//
// Nothing in guest memory is trusted. A size is compared with the kernel's own limit and
// with the byte budget before it becomes an allocation. Each loop has a bound. A map that
// cannot be followed is marked Failed with the reason, and costs no other map.
package bpfmap
