package kmem

import "fmt"

// Addr is a kernel virtual address of the guest.
type Addr uint64

// Phys is a guest-physical address.
type Phys uint64

// PageSize is the size of the smallest page, in bytes.
const PageSize = 1 << pageShift

const pageShift = 12

func (a Addr) String() string { return fmt.Sprintf("%#x", uint64(a)) }
func (p Phys) String() string { return fmt.Sprintf("phys %#x", uint64(p)) }

// Add returns a+n; ok is false if the sum wraps around.
func (a Addr) Add(n uint64) (sum Addr, ok bool) {
	sum = a + Addr(n)
	return sum, sum >= a
}

// Range is the half-open interval of addresses [Start, End).
type Range struct{ Start, End Addr }

// Contains says whether a lies in r.
func (r Range) Contains(a Addr) bool { return a >= r.Start && a < r.End }
