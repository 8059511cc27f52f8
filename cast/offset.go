package cast

// offset is a set of distances in bytes from the start of an object: base +
// n*stride for n >= 0. A stride of 0 is the single offset base; otherwise the
// pointer has been indexed, forwards from base. It is comparable.
//
// Offsets form a lattice under join. Its chains are long where a loop walks
// backwards, which is why walks widen.
type offset struct {
	base   int64
	stride uint64
}

// anyOffset stands for offsets that are not known: no place is found there.
var anyOffset = offset{base: -1 << 62, stride: 1}

// anywhere tells whether o says nothing but, perhaps, where to begin.
func (o offset) anywhere() bool { return o.stride == 1 }

// exact returns the only member, if there is only one.
func (o offset) exact() (n int64, ok bool) { return o.base, o.stride == 0 }

// covers tells whether p is in o, which has a stride.
func (o offset) covers(p offset) bool {
	return o.stride != 0 && p.base >= o.base && p.stride%o.stride == 0 && distance(o.base, p.base)%o.stride == 0
}

func (o offset) join(p offset) offset {
	if o == anyOffset || p == anyOffset {
		return anyOffset
	}
	return newOffset(min(o.base, p.base), gcd(gcd(o.stride, p.stride), distance(o.base, p.base)))
}

// add moves by a number. An index is taken to count forwards.
func (o offset) add(n Number) offset {
	if o == anyOffset {
		return o
	}
	return newOffset(o.base+n.base, gcd(o.stride, n.stride))
}

// newOffset gives up on offsets that no object has: sections are smaller than
// 4 GiB.
func newOffset(base int64, stride uint64) offset {
	const most = 1 << 32
	if base < -most || base > most || stride > most {
		return anyOffset
	}
	return offset{base, stride}
}
