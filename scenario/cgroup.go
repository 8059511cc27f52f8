package scenario

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ktgen/ktgen/scenario/internal/wire"
)

// Cgroup is a cgroup v2 of the guest. As an op it makes the cgroup and starts
// its workers. Fields that are zero leave the kernel's setting.
type Cgroup struct {
	Name string // "a", or "a/b" for a child of cgroup "a", which is made before

	CPUs   []int  // cpuset.cpus; nil for all
	Mems   []int  // cpuset.mems: NUMA nodes
	Weight int    // cpu.weight, 1 to 10000; the kernel's is 100
	Max    CPUMax // cpu.max

	MemoryMax, MemoryHigh, MemoryLow int64 // bytes
	IOWeight                         int   // io.weight, 1 to 10000
	PIDsMax                          int   // pids.max: processes and threads; a worker has about 6

	// Workers is how many workers run in it. What they do is Kind, [Spin] if it is empty.
	// They are called like the cgroup, and those of "a/b" are called "b".
	Workers int
	Kind    Kind
	// Load are further workers. Their field Cgroup is filled in.
	Load []Workers
}

// CPUMax is how long a cgroup may run in each period. All CPUs count.
type CPUMax struct {
	Quota  time.Duration // at least 1 ms; 0 for no limit
	Period time.Duration // 1 ms to 1 s; 100 ms if 0
}

func (c Cgroup) String() string {
	s := fmt.Sprintf("cgroup %q", c.Name)
	var load []string
	for _, w := range c.load() {
		load = append(load, w.String())
	}
	if load != nil {
		s += " with " + strings.Join(load, ", ")
	}
	return s
}

// load returns all the workers that start with the cgroup.
func (c Cgroup) load() []Workers {
	var all []Workers
	if c.Workers != 0 {
		kind := c.Kind
		if kind == "" {
			kind = Spin
		}
		all = append(all, Workers{Name: path.Base(c.Name), Kind: kind, Count: c.Workers})
	}
	all = append(all, c.Load...)
	for i := range all {
		all[i].Cgroup = c.Name
	}
	return all
}

func (c Cgroup) check(s *state) error {
	if err := s.checkPath(c.Name); err != nil {
		return err
	}
	if _, taken := s.cgroups[c.Name]; taken {
		return invalid(fmt.Sprintf("there is a cgroup %q", c.Name), "choose another name, or use Change")
	}
	if c.Workers < 0 {
		return invalid(fmt.Sprintf("it has %d workers", c.Workers), "say how many, or leave them out")
	}
	if c.Kind != "" && c.Workers == 0 {
		return invalid(fmt.Sprintf("it has no workers of its kind %q", c.Kind), "say how many in Workers; Load is for those of other kinds")
	}
	if err := c.checkSettings(s); err != nil {
		return err
	}
	if err := s.checkNested(c.Name, c.CPUs); err != nil {
		return err
	}
	s.cgroups[c.Name] = box{cpus: c.CPUs}
	for _, w := range c.load() {
		if err := w.check(s); err != nil {
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

func (c Cgroup) checkSettings(s *state) error {
	if err := s.usable(c.CPUs, "the cpuset"); err != nil {
		return err
	}
	for _, w := range []struct {
		name  string
		value int
	}{{"Weight", c.Weight}, {"IOWeight", c.IOWeight}} {
		if w.value < 0 || w.value > 10000 {
			return invalid(fmt.Sprintf("%s is %d", w.name, w.value), "weights are 1 to 10000")
		}
	}
	if min(c.MemoryMax, c.MemoryHigh, c.MemoryLow, int64(c.PIDsMax)) < 0 {
		return invalid("a limit is negative", "leave it out for none")
	}
	if c.Max != (CPUMax{}) {
		if p := c.Max.Period; c.Max.Quota < time.Millisecond || p != 0 && (p < time.Millisecond || p > time.Second) {
			return invalid(fmt.Sprintf("Max is %v in each %v", c.Max.Quota, p), "the quota is at least 1 ms, the period 1 ms to 1 s")
		}
	}
	if slices.ContainsFunc(c.Mems, func(n int) bool { return n < 0 }) {
		return invalid(fmt.Sprintf("Mems is %v", c.Mems), "NUMA nodes count from 0")
	}
	return s.supports(c.writes())
}

// supports says which control file a guest lacks.
func (s *state) supports(writes []wire.Write) error {
	if s.facts == nil {
		return nil
	}
	for _, w := range writes {
		if !slices.Contains(s.facts.Files, w.File) {
			return &UnsupportedError{File: w.File, Controllers: s.facts.Controllers, Refused: s.facts.Refused}
		}
	}
	return nil
}

// writes are the settings as the kernel reads them.
func (c Cgroup) writes() []wire.Write {
	var all []wire.Write
	add := func(file, value string) { all = append(all, wire.Write{File: file, Value: value}) }
	number := func(file string, n int64) {
		if n != 0 {
			add(file, strconv.FormatInt(n, 10))
		}
	}
	if c.Mems != nil {
		add("cpuset.mems", list(c.Mems))
	}
	if c.CPUs != nil {
		add("cpuset.cpus", list(c.CPUs))
	}
	number("cpu.weight", int64(c.Weight))
	if c.Max.Quota != 0 {
		period := c.Max.Period
		if period == 0 {
			period = 100 * time.Millisecond
		}
		add("cpu.max", fmt.Sprintf("%d %d", c.Max.Quota.Microseconds(), period.Microseconds()))
	}
	number("memory.max", c.MemoryMax)
	number("memory.high", c.MemoryHigh)
	number("memory.low", c.MemoryLow)
	if c.IOWeight != 0 {
		add("io.weight", fmt.Sprintf("default %d", c.IOWeight))
	}
	number("pids.max", int64(c.PIDsMax))
	return all
}

// list prints CPUs or nodes as the kernel reads them.
func list(ids []int) string {
	var b []byte
	for i, id := range ids {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(id), 10)
	}
	return string(b)
}

func (c Cgroup) do(p *performance) error {
	if err := p.call(wire.AddCgroup, wire.Cgroup{Name: c.Name, Writes: c.writes()}); err != nil {
		return err
	}
	for i, w := range c.load() {
		if err := w.do(p); err != nil {
			p.undo(c, c.load()[:i])
			return fmt.Errorf("%s: %w", w, err)
		}
	}
	return nil
}

// Change writes the settings of a cgroup that exists: those that are not zero.
type Change struct{ Cgroup Cgroup }

func (c Change) String() string {
	s := fmt.Sprintf("change cgroup %q", c.Cgroup.Name)
	for _, w := range c.Cgroup.writes() {
		s += fmt.Sprintf(" %s=%s", w.File, w.Value)
	}
	return s
}

func (c Change) check(s *state) error {
	b, err := s.cgroup(c.Cgroup.Name)
	if err != nil {
		return err
	}
	if c.Cgroup.load() != nil {
		return invalid("a change starts no workers", "give them to the step, or to an op of their own")
	}
	if err := c.Cgroup.checkSettings(s); err != nil {
		return err
	}
	if len(c.Cgroup.writes()) == 0 {
		return invalid("it changes nothing", "set a field of the cgroup")
	}
	if c.Cgroup.CPUs != nil {
		if err := s.checkNested(c.Cgroup.Name, c.Cgroup.CPUs); err != nil {
			return err
		}
		b.cpus = c.Cgroup.CPUs
	}
	s.cgroups[c.Cgroup.Name] = b
	return nil
}

func (c Change) do(p *performance) error {
	return p.call(wire.SetCgroup, wire.Cgroup{Name: c.Cgroup.Name, Writes: c.Cgroup.writes()})
}

// Remove removes a cgroup, with its children and the workers that are in them.
type Remove struct{ Cgroup string }

func (r Remove) String() string { return fmt.Sprintf("remove cgroup %q", r.Cgroup) }

func (r Remove) check(s *state) error {
	if _, err := s.cgroup(r.Cgroup); err != nil {
		return err
	}
	for _, cgroup := range s.family(r.Cgroup) {
		for _, name := range s.inside(cgroup) {
			delete(s.workers, name)
		}
		delete(s.cgroups, cgroup)
	}
	return nil
}

func (r Remove) do(p *performance) error {
	for _, cgroup := range p.guest.state.family(r.Cgroup) {
		for _, name := range p.guest.state.inside(cgroup) {
			if err := (Stop{Workers: name}).do(p); err != nil {
				return err
			}
		}
		if err := p.call(wire.Remove, wire.Cgroup{Name: cgroup}); err != nil {
			return err
		}
	}
	return nil
}

// FreezeCgroup freezes a cgroup: nothing in it and its children runs until [ThawCgroup].
type FreezeCgroup struct{ Cgroup string }

func (f FreezeCgroup) String() string { return fmt.Sprintf("freeze cgroup %q", f.Cgroup) }

func (f FreezeCgroup) check(s *state) error { return s.freeze(f.Cgroup, true) }

func (f FreezeCgroup) do(p *performance) error {
	return p.call(wire.Freeze, wire.Freezing{Cgroup: f.Cgroup, Frozen: true})
}

// ThawCgroup lets a frozen cgroup run on.
type ThawCgroup struct{ Cgroup string }

func (t ThawCgroup) String() string { return fmt.Sprintf("thaw cgroup %q", t.Cgroup) }

func (t ThawCgroup) check(s *state) error { return s.freeze(t.Cgroup, false) }

func (t ThawCgroup) do(p *performance) error {
	return p.call(wire.Freeze, wire.Freezing{Cgroup: t.Cgroup})
}

func (s *state) freeze(cgroup string, frozen bool) error {
	b, err := s.cgroup(cgroup)
	if err != nil {
		return err
	}
	if b.frozen == frozen {
		is := map[bool]string{true: "frozen already", false: "not frozen"}[frozen]
		return invalid(fmt.Sprintf("cgroup %q is %s", cgroup, is), "leave the op out")
	}
	b.frozen = frozen
	s.cgroups[cgroup] = b
	return nil
}

// lost reports whether the guest is no more, which is the end of all cgroups.
func lost(client caller) bool {
	select {
	case <-client.Lost():
		return true
	default:
		return false
	}
}
