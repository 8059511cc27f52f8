package kwalk

import "github.com/ktgen/ktgen/freeze/internal/kmem"

// Chain guards a walk along a linked list against cycles, in constant space:
// it remembers the element at the last power of two (Brent's algorithm).
type Chain struct {
	seen  kmem.Addr
	steps int
}

// Next notes that the list goes on at a.
func (c *Chain) Next(a kmem.Addr) error {
	if c.steps > 0 && a == c.seen {
		return Corrupt("the list returns to %v", a)
	}
	if c.steps&(c.steps-1) == 0 {
		c.seen = a
	}
	c.steps++
	return nil
}
