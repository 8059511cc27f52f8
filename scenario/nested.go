package scenario

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// This file is about cgroups in cgroups. The kernel lets processes be in those
// only that have no children (the "no internal processes" rule of cgroup v2, for
// cgroups that hand on controllers), and gives a child at most what its parent has.

// maxDepth bounds how deep cgroups are nested.
const maxDepth = 16

// ancestors returns the cgroups around one, the nearest first.
func ancestors(cgroup string) []string {
	var all []string
	for p := path.Dir(cgroup); p != "." && p != "/"; p = path.Dir(p) {
		all = append(all, p)
	}
	return all
}

// family returns a cgroup and all that are in it, the innermost first.
func (s *state) family(cgroup string) []string {
	var all []string
	for name := range s.cgroups {
		if name == cgroup || strings.HasPrefix(name, cgroup+"/") {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	slices.Reverse(all) // "a" is before "a/b"
	return all
}

// inside returns the names of the workers in a cgroup, sorted.
func (s *state) inside(cgroup string) []string {
	var names []string
	for name, c := range s.workers {
		if c.cgroup == cgroup {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// checkPath says why there can be no cgroup of a name.
func (s *state) checkPath(name string) error {
	parts := strings.Split(name, "/")
	if len(parts) > maxDepth {
		return invalid(fmt.Sprintf("cgroup %q is nested %d deep", name, len(parts)), fmt.Sprintf("at most %d", maxDepth))
	}
	for _, part := range parts {
		if err := checkName("cgroup", part); err != nil {
			return err
		}
	}
	if len(parts) == 1 {
		return nil
	}
	parent := path.Dir(name)
	if _, err := s.cgroup(parent); err != nil {
		return err
	}
	if in := s.inside(parent); len(in) > 0 {
		return invalid(fmt.Sprintf("workers %q run in cgroup %q, which then can have no children", in, parent), "start them in a child")
	}
	return nil
}

// checkNested says why a cgroup cannot have these CPUs, for those that it is in
// and that are in it.
func (s *state) checkNested(name string, cpus []int) error {
	if cpus == nil {
		return nil
	}
	for _, around := range ancestors(name) {
		if b := s.cgroups[around]; b.cpus != nil && !intersect(b.cpus, cpus) {
			return invalid(fmt.Sprintf("the cpuset %v has no CPU of cgroup %q, whose cpuset is %v", cpus, around, b.cpus), "let them overlap")
		}
	}
	for _, in := range s.family(name) {
		if b := s.cgroups[in]; in != name && b.cpus != nil && !intersect(b.cpus, cpus) {
			return invalid(fmt.Sprintf("the cpuset %v has no CPU of cgroup %q in it, whose cpuset is %v", cpus, in, b.cpus), "let them overlap")
		}
	}
	return nil
}

// enterable says why no worker can be put into a cgroup, and what there is of it.
// The root is "".
func (s *state) enterable(name string) (box, error) {
	if name == "" {
		return box{}, nil
	}
	b, err := s.cgroup(name)
	if err != nil {
		return b, err
	}
	if children := s.family(name); len(children) > 1 {
		return b, invalid(fmt.Sprintf("cgroup %q has the child %q, and then no workers of its own", name, children[len(children)-2]), "put them into a child")
	}
	return s.within(name), nil
}

// within returns a cgroup with what the cgroups around it do to it.
func (s *state) within(name string) box {
	b := s.cgroups[name]
	for _, around := range ancestors(name) {
		outer := s.cgroups[around]
		b.frozen = b.frozen || outer.frozen
		switch {
		case b.cpus == nil:
			b.cpus = outer.cpus
		case outer.cpus != nil:
			b.cpus = slices.DeleteFunc(slices.Clone(b.cpus), func(cpu int) bool { return !slices.Contains(outer.cpus, cpu) })
		}
	}
	return b
}

func intersect(a, b []int) bool {
	return slices.ContainsFunc(a, func(cpu int) bool { return slices.Contains(b, cpu) })
}
