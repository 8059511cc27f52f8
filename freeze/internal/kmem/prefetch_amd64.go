package kmem

// prefetch asks the CPU to bring the cache lines at some offsets from base into its
// cache, and does not wait for them.
//
//go:noescape
func prefetch(base *byte, offsets []int)
