package parity

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Difference is what the loaders have made of an object differently.
type Difference struct {
	Object string
	What   string // "" if there is none
}

// Compare says what package bpfload has made of an object otherwise than libbpf.
// That both refuse it is no difference, nor that libbpf does and bpfload does not.
func Compare(own, libbpf *Loaded) Difference {
	d := Difference{Object: libbpf.Object}
	switch {
	case libbpf.Verdict != "ok":
		return d
	case own.Verdict != libbpf.Verdict:
		d.What = fmt.Sprintf("verdict: %s: %s", own.Verdict, own.Reason)
		return d
	}
	d.What = strings.Join(slices.Concat(compareMaps(own.Maps, libbpf.Maps), comparePrograms(own.Programs, libbpf.Programs),
		compareAttached(own.Attached, libbpf.Attached)), "; ")
	return d
}

func compareAttached(own, libbpf []string) []string {
	only := func(of, other []string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(s string) bool { return slices.Contains(other, s) })
	}
	if slices.Equal(own, libbpf) {
		return nil
	}
	return []string{fmt.Sprintf("attached: %v, not %v", only(own, libbpf), only(libbpf, own))}
}

func compareMaps(own, libbpf []Map) []string {
	names := func(maps []Map) (all []string) {
		for _, m := range maps {
			all = append(all, m.Name)
		}
		return all
	}
	if a, b := names(own), names(libbpf); !slices.Equal(a, b) {
		return []string{fmt.Sprintf("maps: %v, not %v", a, b)}
	}
	var all []string
	for i := range own {
		a, b := own[i], libbpf[i]
		if x, y := fmt.Sprintf("%+v", a), fmt.Sprintf("%+v", b); x != y {
			all = append(all, fmt.Sprintf("map: %s, not %s", x, y))
		}
	}
	return all
}

func comparePrograms(own, libbpf []Program) []string {
	sorted := func(programs []Program) []Program {
		return slices.SortedFunc(slices.Values(programs), func(a, b Program) int {
			return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Instructions, b.Instructions), cmp.Compare(a.Size, b.Size))
		})
	}
	own, libbpf = sorted(own), sorted(libbpf)
	if len(own) != len(libbpf) {
		return []string{fmt.Sprintf("%d programs, not %d", len(own), len(libbpf))}
	}
	var all []string
	for i := range own {
		if own[i] != libbpf[i] {
			all = append(all, fmt.Sprintf("program: %+v, not %+v", own[i], libbpf[i]))
		}
	}
	return all
}
