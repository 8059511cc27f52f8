package dump

import (
	"math/bits"
	"strconv"

	"github.com/ktgen/ktgen/runtime"
)

// masks are the structs that are sets of CPUs: one array of words, maybe with
// other members beside it.
var masks = map[string]bool{"cpumask": true, "bpf_cpumask": true, "scx_bitmap": true, "scx_cpumask": true, "llc_cpumask": true}

// maxMask bounds the words of a set of CPUs; the kernel has at most 8192 CPUs.
const maxMask = 8192 / 8

// cpuWords returns the words of a set of CPUs; ok is false if v is none.
func cpuWords(v *runtime.Value) (words runtime.Value, ok bool) {
	for range 4 {
		s := v.Shape()
		if s == nil || s.Underlying() == nil {
			return words, false
		}
		u := s.Underlying()
		if u.Kind != runtime.KindStruct || !masks[u.Name] || v.Len() == 0 {
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

// appendCPUs writes the CPUs of a mask as the kernel does: 0-3,7.
func appendCPUs(b []byte, words *runtime.Value, limit int) []byte {
	first, last, start := -1, -2, len(b)
	flush := func() {
		if first < 0 {
			return
		}
		if len(b) > start {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(first), 10)
		if last > first {
			b = strconv.AppendInt(append(b, '-'), int64(last), 10)
		}
	}
	for i := range words.Len() {
		_, word := words.At(i)
		n, err := word.Uint64()
		if err != nil {
			return b
		}
		for ; n != 0; n &= n - 1 {
			cpu := i*8*word.Size() + bits.TrailingZeros64(n)
			if limit > 0 && cpu >= limit {
				break
			}
			if cpu != last+1 {
				flush()
				first = cpu
			}
			last = cpu
		}
	}
	flush()
	if len(b) == start {
		b = append(b, "none"...)
	}
	return b
}
