package cast

import (
	"math/bits"
	"slices"
)

// Number is a set of 64-bit integers, a congruence class: {base + n*stride}.
// A stride of 0 is the single number base, a stride of 1 any number at all.
// This is what array indexing leaves of an offset: i*24+8 is 8 modulo 24.
//
// A few numbers, such as the offsets of two members, are kept apart from their class.
//
// Numbers form a lattice of finite height, since a stride can only shrink to
// one of its divisors. The zero Number is the constant 0.
type Number struct {
	base   int64 // 0 <= base < stride, if there is a stride and no limit
	stride uint64
	steps  uint8 // if not 0, the largest n
}

// maxFew is how many numbers are kept apart.
const maxFew = 2

func constant(n int64) Number { return Number{base: n} }

// anyNumber is the top of the lattice.
var anyNumber = Number{stride: 1}

// Const returns the only member of the set, if there is only one.
func (n Number) Const() (c int64, ok bool) { return n.base, n.stride == 0 }

// few returns the numbers, and those between them that are as far apart; ok is false if
// that is too many.
func few(all ...int64) (n Number, ok bool) {
	least, stride, most := slices.Min(all), uint64(0), uint64(0)
	for _, c := range all {
		d := distance(least, c)
		stride, most = gcd(stride, d), max(most, d)
	}
	if stride == 0 || stride > 1<<32 || most/stride >= maxFew {
		return Number{}, false
	}
	return Number{least, stride, uint8(most / stride)}, true
}

// all returns the numbers if they are few, nil otherwise.
func (n Number) all() (all []int64) {
	if n.stride != 0 && n.steps == 0 {
		return nil
	}
	for i := range int64(n.steps) + 1 {
		all = append(all, n.base+i*int64(n.stride))
	}
	return all
}

// class is the class of n.
func (n Number) class() Number {
	if n.steps == 0 {
		return n
	}
	return class(n.base, n.stride)
}

func class(base int64, stride uint64) Number {
	// Strides of 2^63 and more arise from overflow only and say nothing.
	if stride > 1<<62 {
		return anyNumber
	}
	return Number{base: mod(base, stride), stride: stride}
}

// mod returns the member of base's class in [0, stride), or base itself for
// stride 0.
func mod(base int64, stride uint64) int64 {
	if stride == 0 {
		return base
	}
	if m := base % int64(stride); m < 0 {
		return m + int64(stride)
	} else {
		return m
	}
}

// join returns the smallest class that holds both.
func (n Number) join(o Number) Number {
	if n == o {
		return n
	}
	if a, b := n.all(), o.all(); a != nil && b != nil {
		if both, ok := few(append(a, b...)...); ok {
			return both
		}
	}
	n, o = n.class(), o.class()
	return class(n.base, gcd(gcd(n.stride, o.stride), distance(n.base, o.base)))
}

func distance(a, b int64) uint64 {
	if a < b {
		a, b = b, a
	}
	return uint64(a) - uint64(b)
}

func (n Number) add(o Number) Number {
	if n.steps != 0 && o.stride == 0 {
		n.base += o.base
		return n
	}
	if o.steps != 0 && n.stride == 0 {
		return o.add(n)
	}
	n, o = n.class(), o.class()
	return class(n.base+o.base, gcd(n.stride, o.stride))
}

func (n Number) sub(o Number) Number {
	if n.steps != 0 && o.stride == 0 {
		n.base -= o.base
		return n
	}
	n, o = n.class(), o.class()
	return class(n.base-o.base, gcd(n.stride, o.stride))
}

// mul multiplies exactly if one of the factors is constant.
func (n Number) mul(o Number) Number {
	if n.stride == 0 {
		n, o = o, n
	}
	if o.stride != 0 {
		return anyNumber
	}
	if n.steps != 0 && o.base > 0 && o.base < 1<<16 && distance(n.base, 0) < 1<<32 {
		return Number{n.base * o.base, n.stride * uint64(o.base), n.steps}
	}
	n = n.class()
	hi, stride := bits.Mul64(n.stride, distance(o.base, 0))
	if hi != 0 {
		return anyNumber
	}
	return class(n.base*o.base, stride)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
