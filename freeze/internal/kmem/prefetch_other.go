//go:build !amd64

package kmem

// prefetch is for CPUs whose instruction for it is not written down here: they fetch
// what is read when it is read.
func prefetch(*byte, []int) {}
