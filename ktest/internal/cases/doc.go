// Package cases is code that ktgen generates for small schedulers. Each has one thing that
// is easily read wrong. Its test runs them in a guest, loaded by [ktest.Object] and by a
// program on libbpf, and compares what generated code and paths read with what is right.
package cases

//go:generate testdata/build
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/atomic_global.bpf.o -object testdata/attached.bpf.o -object testdata/configured.bpf.o -object testdata/enum64.bpf.o -object testdata/flexible_global.bpf.o -object testdata/kconfig.bpf.o -object testdata/kconfig_types.bpf.o -object testdata/kconfig_weak.bpf.o -object testdata/long_names.bpf.o -object testdata/maps_in_hashes.bpf.o -object testdata/maps_of_queues.bpf.o -object testdata/queue_stack.bpf.o -object testdata/resized_data.bpf.o -object testdata/resized_maps.bpf.o -object testdata/statics.bpf.o -object testdata/statics_sched.bpf.o -object testdata/typedef_nameless.bpf.o -object testdata/units.bpf.o -package cases
