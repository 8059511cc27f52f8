// Package repeats is code that ktgen generates for a scheduler of two linked
// objects in which names and types repeat, as they do in large ones: structs of the
// kernel that each file declares as it needs them, CO-RE flavors of these, and the
// texts of bpf_printk. Its test reads it in a guest.
package repeats

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/repeats.bpf.o -package repeats
