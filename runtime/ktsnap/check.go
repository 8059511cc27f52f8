package ktsnap

import (
	"fmt"
)

// Check checks that the columns of a map are as long as its header says.
func (m *Map) Check() error {
	if m.N < 0 || m.Slots < 1 || m.KeySize < 0 || m.ValueSize < 1 || m.Stride < m.ValueSize {
		return fmt.Errorf("the snapshot is damaged: map %s has %d entries with %d values of %d bytes, %d bytes apart", m.Name, m.N, m.Slots, m.ValueSize, m.Stride)
	}
	n := int64(m.N)
	switch {
	case !fits(int64(len(m.Values))+int64(m.Stride-m.ValueSize), n, int64(m.Slots), int64(m.Stride)):
		return fmt.Errorf("the snapshot is damaged: map %s has %d bytes of values, too few for %d entries with %d values, %d bytes apart", m.Name, len(m.Values), m.N, m.Slots, m.Stride)
	case m.Keys != nil && !fits(int64(len(m.Keys)), n, int64(m.KeySize)):
		return fmt.Errorf("the snapshot is damaged: map %s has %d bytes of keys, too few for %d keys of %d bytes", m.Name, len(m.Keys), m.N, m.KeySize)
	case m.Addrs != nil && !fits(int64(len(m.Addrs)), n, int64(m.Slots)):
		return fmt.Errorf("the snapshot is damaged: map %s has %d addresses for %d entries with %d values", m.Name, len(m.Addrs), m.N, m.Slots)
	}
	return nil
}

// fits tells whether the product of factors, none of them negative, is at most
// limit.
func fits(limit int64, factors ...int64) bool {
	for _, f := range factors {
		if f == 0 {
			return true
		}
	}
	for _, f := range factors {
		limit /= f
	}
	return limit > 0
}
