package btf

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// didYouMean returns "; did you mean x?" if a name is close to what was asked
// for.
func didYouMean(name string, names []string) string {
	if n := Nearest(name, names); n != "" {
		return fmt.Sprintf("; did you mean %s?", n)
	}
	return ""
}

// Nearest returns the name that is fewest edits from the one asked for, the
// first of equals, or "" if even that one is a third of its length away.
func Nearest(name string, names []string) string {
	best, distance := "", len(name)/3+1
	for _, n := range names {
		if diff := len(n) - len(name); diff >= distance || -diff >= distance {
			continue
		}
		if d := edits(name, n); d < distance {
			best, distance = n, d
		}
	}
	return best
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// typeNames returns the names of the types that members can be looked up in.
func typeNames(spec *btf.Spec) []string {
	if spec == nil {
		return nil
	}
	var names []string
	for t, err := range spec.All() {
		if err != nil {
			return names
		}
		if isContainer(t) && t.TypeName() != "" {
			names = append(names, t.TypeName())
		}
	}
	return names
}
