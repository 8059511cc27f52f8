package bpfmap

import "github.com/ktgen/ktgen/freeze/internal/kmem"

// chain guards a walk along a linked list against cycles, in constant space:
// it remembers the element at the last power of two (Brent's algorithm).
type chain struct {
	seen  kmem.Addr
	steps int
}

// next notes that the list goes on at a.
func (c *chain) next(a kmem.Addr) error {
	if c.steps > 0 && a == c.seen {
		return corrupt("the list returns to %v", a)
	}
	if c.steps&(c.steps-1) == 0 {
		c.seen = a
	}
	c.steps++
	return nil
}
