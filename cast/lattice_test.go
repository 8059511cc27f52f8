package cast

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ctype"
)

// samples are random elements of a lattice, few enough different ones that
// equal and comparable pairs are common.
const samples = 100

var (
	task    = &btf.Struct{Name: "task_struct", Size: 8}
	cgroup  = &btf.Struct{Name: "cgroup", Size: 8}
	inner   = &btf.Struct{Name: "inner", Size: 8}
	middle  = &btf.Struct{Name: "middle", Size: 16, Members: []btf.Member{{Name: "in", Type: &btf.Typedef{Name: "in_t", Type: inner}}}}
	whole   = &btf.Struct{Name: "whole", Size: 24, Members: []btf.Member{{Name: "mid", Type: middle}}}
	word    = &btf.Int{Name: "u64", Size: 8}
	unnamed = &btf.Struct{Size: 8, Members: []btf.Member{{Name: "inner", Type: inner}}}
	first   = &btf.Struct{Name: "first", Size: 16, Members: []btf.Member{{Type: unnamed}}}
	words   = &btf.Struct{Name: "words", Size: 16, Members: []btf.Member{{Name: "a", Type: word}, {Name: "b", Type: word}}}
	counts  = &btf.Struct{Name: "counts", Size: 8, Members: []btf.Member{{Name: "a", Type: word}}}
	other   = &btf.Struct{Name: "other", Size: 24, Members: []btf.Member{{Name: "mid", Type: middle}}}
	aMap    = &object.Map{Name: "m"}
)

func pick[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func randomNumber(r *rand.Rand) Number {
	if r.IntN(3) == 0 {
		return anyNumber
	}
	n := class(int64(r.IntN(40)-20), uint64(pick(r, 0, 0, 2, 3, 4, 8, 24)))
	if _, isOne := n.Const(); isOne && r.IntN(2) == 0 {
		n = n.join(n.add(constant(int64(8 * r.IntN(4)))))
	}
	return n
}

func randomOffset(r *rand.Rand) offset {
	if r.IntN(4) == 0 {
		return anyOffset
	}
	return newOffset(int64(r.IntN(64)-16), uint64(pick(r, 0, 0, 4, 8, 24)))
}

func randomPointer(r *rand.Rand) pointer {
	switch r.IntN(6) {
	case 0:
		return pointer{}
	case 1:
		return pointer{state: conflicting}
	case 2:
		return pointer{state: onePointer, region: stackRegion, frame: r.IntN(2), off: randomOffset(r)}
	case 3:
		return pointer{state: onePointer, region: mapRef, ref: aMap}
	}
	p := typedPointer(pick[btf.Type](r, task, inner, middle, whole, other, unnamed, first, word, words, counts), pick(r, ctype.SpaceKernel, ctype.SpaceArena, ctype.SpaceUnknown))
	p.off = randomOffset(r)
	return p
}

func randomOrigin(r *rand.Rand) origin {
	switch r.IntN(3) {
	case 0:
		return origin{}
	case 1:
		return origin{state: manyOrigins}
	}
	return origin{state: oneOrigin, slot: slot{kind: field, typ: task, off: uint32(8 * r.IntN(2))}, off: randomOffset(r)}
}

func randomCore(r *rand.Rand) coreNumber {
	return pick(r, coreNumber{}, coreNumber{memberOf, task}, coreNumber{memberOf, cgroup}, coreNumber{idOf, task}, coreNumber{role: otherRoles})
}

func randomValue(r *rand.Rand) value {
	v := value{
		ptr:   randomPointer(r),
		flags: flags(r.IntN(16)),
		from:  randomOrigin(r),
		core:  randomCore(r),
	}
	if v.flags&isNumber != 0 {
		v.num = randomNumber(r)
	}
	return v
}

// checkLaws checks that join is a least upper bound: it is idempotent,
// commutative and associative.
func checkLaws[T comparable](t *testing.T, sample func(*rand.Rand) T, join func(a, b T) T) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]T, samples)
	for i := range all {
		all[i] = sample(r)
	}
	for _, a := range all {
		require.Equal(t, a, join(a, a), "idempotent")
		for _, b := range all {
			ab := join(a, b)
			require.Equal(t, ab, join(b, a), "commutative: %+v, %+v", a, b)
			require.Equal(t, ab, join(a, ab), "above both: %+v, %+v", a, b)
			for _, c := range all {
				require.True(t, join(ab, c) == join(a, join(b, c)), "associative: %+v, %+v, %+v", a, b, c)
			}
		}
	}
}

func TestNumbersAreALattice(t *testing.T)     { checkLaws(t, randomNumber, Number.join) }
func TestOffsetsAreALattice(t *testing.T)     { checkLaws(t, randomOffset, offset.join) }
func TestPointersAreALattice(t *testing.T)    { checkLaws(t, randomPointer, pointer.join) }
func TestUsesAreALattice(t *testing.T)        { checkLaws(t, randomPointer, pointer.joinUse) }
func TestOriginsAreALattice(t *testing.T)     { checkLaws(t, randomOrigin, origin.join) }
func TestCoreNumbersAreALattice(t *testing.T) { checkLaws(t, randomCore, coreNumber.join) }
func TestValuesAreALattice(t *testing.T)      { checkLaws(t, randomValue, value.join) }

func TestBottomIsBelowEveryValue(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		v := randomValue(r)
		require.Equal(t, v, value{}.join(v))
	}
}

func TestWideningIsAboveAndEnds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		v := widened(randomValue(r))
		require.Equal(t, v, widened(v))
		next := v
		for i := int64(1); i < 100; i++ { // a loop that walks backwards
			next = widened(next.join(shift(next, constant(-8*i))))
		}
		require.Equal(t, next, widened(next.join(shift(next, constant(-8)))))
	}
}

// TestArithmeticKeepsMembers: what is computed from members of two sets is a
// member of the set that is computed.
func TestArithmeticKeepsMembers(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	member := func(n Number) int64 {
		if few := n.all(); few != nil {
			return pick(r, few...)
		}
		return n.base + int64(n.stride)*int64(r.IntN(50)-20)
	}
	in := func(x int64, n Number) bool {
		if few := n.all(); few != nil {
			return slices.Contains(few, x)
		}
		return mod(x, n.stride) == n.base
	}
	for range 20_000 {
		a, b := randomNumber(r), randomNumber(r)
		x, y := member(a), member(b)
		require.True(t, in(x+y, a.add(b)), "%d + %d in %+v + %+v", x, y, a, b)
		require.True(t, in(x-y, a.sub(b)), "%d - %d in %+v - %+v", x, y, a, b)
		require.True(t, in(x*y, a.mul(b)), "%d * %d in %+v * %+v", x, y, a, b)
		require.True(t, in(x&y, mask(a, b)), "%d & %d in %+v & %+v = %+v", x, y, a, b, mask(a, b))
		require.True(t, in(x, a.join(b)) && in(y, a.join(b)))
	}
}

func TestNumbersSurviveOverflow(t *testing.T) {
	const most = 1<<63 - 1
	for _, n := range []Number{constant(most), constant(-most - 1), class(1, most), anyNumber} {
		for _, m := range []Number{constant(most), constant(-most - 1), constant(3), class(1, 1<<62)} {
			n.add(m)
			n.sub(m)
			n.mul(m)
			n.join(m)
			mask(n, m)
		}
	}
}

// On one side of a branch a register holds what was loaded, on the other what cannot
// be followed: its use says nothing of where the first was loaded from.
func TestWhatCannotBeFollowedHasAnotherOrigin(t *testing.T) {
	loaded := value{flags: isOpaque, from: origin{state: oneOrigin, slot: slot{typ: words}}}
	require.Equal(t, manyOrigins, loaded.join(opaque()).from.state)
	require.Equal(t, manyOrigins, opaque().join(loaded).from.state)
	require.Equal(t, loaded, loaded.join(value{}))
}
