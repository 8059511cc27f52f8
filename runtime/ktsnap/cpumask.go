package ktsnap

import (
	"iter"
	"math/bits"
	"slices"
	"strconv"
	"unsafe"
)

// CPUMask is a set of CPUs, or of whatever else a bitmap numbers.
type CPUMask struct{ words []uint64 }

// word is what bitmaps are arrays of.
type word interface {
	~uint8 | ~uint16 | ~uint32 | ~uint64
}

// Bitmap returns the numbers of all bits that are set in a bitmap.
func Bitmap[W word](bitmap []W) CPUMask {
	var m CPUMask
	width := int(8 * unsafe.Sizeof(W(0)))
	for i, word := range bitmap {
		for w := uint64(word); w != 0; w &= w - 1 {
			m.set(i*width + bits.TrailingZeros64(w))
		}
	}
	return m
}

// CPUMaskOf returns the set of these CPUs, to compare others with.
func CPUMaskOf(cpus ...int) CPUMask {
	var m CPUMask
	for _, cpu := range cpus {
		if cpu >= 0 {
			m.set(cpu)
		}
	}
	return m
}

const wordBits = 64

func (m *CPUMask) set(cpu int) {
	for len(m.words) <= cpu/wordBits {
		m.words = append(m.words, 0)
	}
	m.words[cpu/wordBits] |= 1 << (cpu % wordBits)
}

// Below returns the part of the set that is less than n.
func (m CPUMask) Below(n int) CPUMask {
	n = max(n, 0)
	words := slices.Clone(m.words[:min(len(m.words), (n+wordBits-1)/wordBits)])
	if last := n / wordBits; last < len(words) {
		words[last] &= 1<<(n%wordBits) - 1
	}
	for len(words) > 0 && words[len(words)-1] == 0 {
		words = words[:len(words)-1]
	}
	return CPUMask{words}
}

// Has tells whether a CPU is in the set.
func (m CPUMask) Has(cpu int) bool {
	return cpu >= 0 && cpu/wordBits < len(m.words) && m.words[cpu/wordBits]>>(cpu%wordBits)&1 != 0
}

// Count returns how many CPUs are in the set.
func (m CPUMask) Count() int {
	n := 0
	for _, w := range m.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// IsEmpty tells whether no CPU is in the set.
func (m CPUMask) IsEmpty() bool { return m.Count() == 0 }

// Equal tells whether two sets have the same CPUs.
func (m CPUMask) Equal(other CPUMask) bool { return slices.Equal(m.words, other.words) }

// All ranges over the CPUs in the set, in ascending order.
func (m CPUMask) All() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, w := range m.words {
			for ; w != 0; w &= w - 1 {
				if !yield(i*wordBits + bits.TrailingZeros64(w)) {
					return
				}
			}
		}
	}
}

// String returns the CPUs as the kernel lists them: "0-3,7". It is empty for
// the empty set.
func (m CPUMask) String() string {
	var b []byte
	first, last := -1, -1
	flush := func() {
		if first < 0 {
			return
		}
		if len(b) > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(first), 10)
		if last > first {
			b = strconv.AppendInt(append(b, '-'), int64(last), 10)
		}
	}
	for cpu := range m.All() {
		if cpu != last+1 || first < 0 {
			flush()
			first = cpu
		}
		last = cpu
	}
	flush()
	return string(b)
}
