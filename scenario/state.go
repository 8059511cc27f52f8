package scenario

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/scenario/internal/wire"
)

// state is what ops have made of a guest, or would: it tells which op can
// follow.
type state struct {
	cpus      []int        // that exist
	online    map[int]bool // of those
	cgroups   map[string]box
	workers   map[string]crowd
	scheduler bool        // one runs
	facts     *wire.Facts // nil without a guest
}

// box is a cgroup.
type box struct {
	cpus   []int // nil for all
	frozen bool
}

// crowd is workers that were started together.
type crowd struct {
	cgroup string
	cpus   []int // affinity; nil for all
}

func newState() *state {
	return &state{online: make(map[int]bool), cgroups: make(map[string]box), workers: make(map[string]crowd)}
}

func (s *state) clone() *state {
	c := *s
	c.online, c.cgroups, c.workers = maps.Clone(s.online), maps.Clone(s.cgroups), maps.Clone(s.workers)
	return &c
}

// learn takes over what a guest says of itself.
func (s *state) learn(facts *wire.Facts) {
	s.facts, s.cpus = facts, facts.Possible
	clear(s.online)
	for _, cpu := range facts.Online {
		s.online[cpu] = true
	}
}

func (s *state) cgroup(name string) (box, error) {
	b, ok := s.cgroups[name]
	if !ok {
		return box{}, unknown("cgroup", name, slices.Collect(maps.Keys(s.cgroups)))
	}
	return b, nil
}

func (s *state) crowd(name string) (crowd, error) {
	c, ok := s.workers[name]
	if !ok {
		return crowd{}, unknown("group of workers", name, slices.Collect(maps.Keys(s.workers)))
	}
	return c, nil
}

// usable says what is wrong with a set of CPUs.
func (s *state) usable(cpus []int, what string) error {
	if cpus == nil {
		return nil
	}
	if len(cpus) == 0 {
		return invalid(what+" is without CPUs", fmt.Sprintf("name some of %v, or leave it out (nil) for all", s.cpus))
	}
	for _, cpu := range cpus {
		if !slices.Contains(s.cpus, cpu) {
			return invalid(fmt.Sprintf("%s has CPU %d, which does not exist", what, cpu), fmt.Sprintf("the guest has %v", s.cpus))
		}
		if !s.online[cpu] {
			return invalid(fmt.Sprintf("%s has CPU %d, which is offline at this point", what, cpu), fmt.Sprintf("bring it online before, or choose from %v", s.onlineCPUs()))
		}
	}
	return nil
}

func (s *state) onlineCPUs() []int {
	return slices.DeleteFunc(slices.Clone(s.cpus), func(cpu int) bool { return !s.online[cpu] })
}

// overlap says why workers with an affinity cannot be in a cgroup.
func overlap(affinity, cpuset []int, cgroup string) error {
	if affinity == nil || cpuset == nil {
		return nil
	}
	if intersect(affinity, cpuset) {
		return nil
	}
	return invalid(fmt.Sprintf("the affinity %v has no CPU of cgroup %q, whose cpuset is %v", affinity, cgroup, cpuset), "let them overlap")
}

// maxName is NAME_MAX, and maxComm what TASK_COMM_LEN leaves.
const (
	maxName = 255
	maxComm = 15
)

// checkName says why a name cannot be that of a directory, which the kernel
// makes of a cgroup.
func checkName(what, name string) error {
	fix := "choose a name without slashes, such as \"workers\""
	switch {
	case name == "":
		return invalid("the "+what+" has no name", fix)
	case name == "." || name == ".." || strings.ContainsAny(name, "/\n\x00"):
		return invalid(fmt.Sprintf("the name %q of the %s is no path component", name, what), fix)
	case len(name) > maxName:
		return invalid(fmt.Sprintf("the name of the %s has %d bytes, and at most %d fit", what, len(name), maxName), "shorten it")
	}
	controller, _, dotted := strings.Cut(name, ".")
	if dotted && slices.Contains([]string{"cgroup", "cpu", "cpuset", "memory", "io", "pids", "hugetlb", "rdma", "misc", "irq"}, controller) {
		return invalid(fmt.Sprintf("the name %q of the %s is reserved for the kernel's control files", name, what), "choose another one")
	}
	return nil
}
