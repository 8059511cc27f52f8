package dump

import (
	"math/bits"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// masks are the structs that are sets of CPUs: one array of words, maybe with
// other members beside it.
var masks = map[string]bool{"cpumask": true, "bpf_cpumask": true, "scx_bitmap": true, "scx_cpumask": true, "llc_cpumask": true}

// maxMask bounds the words of a set of CPUs; the kernel has at most 8192 CPUs.
const maxMask = 8192 / 8

// cpuWords returns the words of a set of CPUs; ok is false if v is none.
func cpuWords(v *ktsnap.Value) (words ktsnap.Value, ok bool) {
	for range 4 {
		s := v.Shape()
		if s == nil || s.Underlying() == nil {
			return words, false
		}
		u := s.Underlying()
		if u.Kind != ctype.KindStruct || !masks[u.Name] || v.Len() == 0 {
			return words, false
		}
		_, first := v.At(0)
		if first.Kind() == "Array" {
			_, word := first.At(0)
			return first, first.Len() > 0 && first.Len() <= maxMask && word.Kind() == "Uint"
		}
		v = &first
	}
	return words, false
}

// cpuSet returns the CPUs in the words of a mask, of those that the guest can
// have.
func cpuSet(words *ktsnap.Value, guest ktsnap.Guest) ktsnap.CPUMask {
	var cpus []int
	for i := range words.Len() {
		_, word := words.At(i)
		n, err := word.Uint64()
		if err != nil {
			break
		}
		for ; n != 0; n &= n - 1 {
			cpus = append(cpus, i*8*word.Size()+bits.TrailingZeros64(n))
		}
	}
	set := ktsnap.CPUMaskOf(cpus...)
	if guest.CPUs > 0 {
		set = set.Below(guest.CPUs)
	}
	return set
}
