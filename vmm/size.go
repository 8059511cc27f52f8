package vmm

import "fmt"

// Size is an amount of memory, in bytes.
type Size int64

const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

// String returns the size in the largest unit that divides it, such as
// "512 MiB".
func (s Size) String() string {
	for _, unit := range []struct {
		size Size
		name string
	}{{GiB, "GiB"}, {MiB, "MiB"}, {KiB, "KiB"}} {
		if s != 0 && s%unit.size == 0 {
			return fmt.Sprintf("%d %s", s/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", int64(s))
}

// roundedMiB returns s in whole MiB, rounded up, for messages about sizes that
// nobody chose.
func (s Size) roundedMiB() string {
	return fmt.Sprintf("%d MiB", (s+MiB-1)/MiB)
}
