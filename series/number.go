package series

import (
	"fmt"
	"math"
	"reflect"
)

// Number is what rates, means and ratios can be made of.
type Number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr |
		~float32 | ~float64
}

// difference returns b - a. It does not overflow where V would.
func difference[V Number](a, b V) float64 {
	switch {
	case V(1)/V(2) != 0:
		return float64(b) - float64(a)
	case b >= a:
		return float64(uint64(b) - uint64(a))
	}
	return -float64(uint64(a) - uint64(b))
}

// number returns a value as a number for drawing, and NaN if it is none.
func number(value any) float64 {
	v := reflect.ValueOf(value)
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	case v.CanFloat():
		return v.Float()
	case v.Kind() == reflect.Bool && v.Bool():
		return 1
	case v.Kind() == reflect.Bool:
		return 0
	}
	return math.NaN()
}

// text returns a value as messages print it. Fractions have few digits, unless
// it takes all of them to tell the value from what it is compared with.
func text[V any](value V, against ...V) string {
	brief := briefly(value)
	for _, other := range against {
		if exact := fmt.Sprint(value); exact != fmt.Sprint(other) && brief == briefly(other) {
			return exact
		}
	}
	return brief
}

// briefly prints a value with at most 6 digits if it is a fraction.
func briefly(value any) string {
	if v := reflect.ValueOf(value); v.CanFloat() && v.Float() != math.Trunc(v.Float()) {
		return fmt.Sprintf("%.6g", value)
	}
	return fmt.Sprint(value)
}

func notFinite(f float64) bool { return math.IsNaN(f) || math.IsInf(f, 0) }
