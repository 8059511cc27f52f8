package ktest

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/vmm"
)

// Store is a store of a vCPU's to a place.
type Store struct {
	Time     time.Duration // of the guest's CLOCK_MONOTONIC, some microseconds before at most
	Host     bool          // it is no CPU's, but a write of the test's ([VM.Write]); the four below tell nothing
	CPU      int
	Task     freeze.Running // that the CPU runs
	PC       uint64         // of the instruction
	Function freeze.Function
	Old, New uint64 // as the place holds them, not sign-extended; of one that is larger than 8 bytes the bytes that were stored

	kind   kind    // of Old and New
	whole  bool    // they are all of the place
	anew   bool    // the place's memory was another's before
	change *change // nil if it is not known as a value
	of     *Target // the place
	nth    int     // of the stores to it, from 1; 0 for a load
}

func (s Store) String() string {
	return fmt.Sprintf("%v  %s: %s", s.Time, s.by(), s.became())
}

// by tells who has stored.
func (s Store) by() string {
	if s.Host {
		return "the test (VM.Write)"
	}
	return fmt.Sprintf("CPU %d, %s, %s", s.CPU, s.Task, s.Function)
}

// became tells of the values as those of their types.
func (s Store) became() string {
	if c := s.change; c != nil {
		was, known := textOf(c.shape, c.was)
		if is, ok := textOf(c.shape, c.is); known && ok {
			return fmt.Sprintf("%s became %s", strings.TrimSpace(strings.TrimPrefix(c.part, ".")+" "+was), is)
		}
	}
	return fmt.Sprintf("%s became %s", s.kind.text(s.Old), s.kind.text(s.New))
}

// Race is two stores to a place, by two CPUs, of which the second did not take the first
// into account: its code had loaded the place before the first, and not after it.
type Race struct {
	Loaded time.Duration // when Second's code had loaded the place
	First  Store         // came in between
	Second Store         // overwrote it
}

func (r Race) String() string {
	return fmt.Sprintf("%v\n%v\nof which the second did not take the first into account: its CPU had loaded the place before, at %v, and not since", r.First, r.Second, r.Loaded)
}

// Blamed is a place, and who has written to it.
type Blamed struct {
	Place  string
	Stores []Store // in their order; the last 65536
	Before int     // stores before these
	Early  int     // of all, those at the beginning by which the kernel has made the map, before a program could access it
	Races  []Race  // in the order of their second stores
	Splits []Split // with another place that is looked at, in the order of their last accesses

	moved bool // its memory was that of another entry of the map, so that it may have been elsewhere
}

const (
	maxStores = 1 << 16 // for each place
	maxRaces  = 1 << 10
	toldLast  = 5 // stores of a place that are told of
)

// String tells of the last stores, of the last race, and of a split from a place that is near.
func (b *Blamed) String() string { return b.tell(make(map[string]bool)) }

// tell is String, without a split that was told before.
func (b *Blamed) tell(told map[string]bool) string {
	all := b.Before + len(b.Stores)
	if all == 0 {
		return fmt.Sprintf("nobody has written to %s; what a device writes is not seen", b.Place)
	}
	var s strings.Builder
	early := max(0, b.Early-b.Before) // that are among the stores
	b.tellStores(&s, b.Stores[early:], all-b.Early)
	if early > 0 {
		fmt.Fprintf(&s, "\nbefore a program could access it the kernel had written there %s, the last time %v", times(b.Early), b.Stores[early-1])
	}
	if b.moved {
		s.WriteString("\nits memory was another entry's before: what was stored to the entry of this key while that was elsewhere, before it was deleted and put in again, is not told")
	}
	b.tellRaces(&s)
	b.tellSplit(&s, told)
	return s.String()
}

// tellStores tells of the last stores of programs, of which there were n in all. If these have left the place as
// it was, such as those of a timer that empties an empty list, it tells of the last that have not.
func (b *Blamed) tellStores(s *strings.Builder, stores []Store, n int) {
	last := stores[max(0, len(stores)-toldLast):]
	which := "the last"
	if n > toldLast && !slices.ContainsFunc(last, Store.changes) {
		changing := slices.DeleteFunc(slices.Clone(stores), func(store Store) bool { return !store.changes() })
		if len(changing) > 0 {
			last, which = changing[max(0, len(changing)-toldLast):], "the last ones left it as it was; before them"
		}
	}
	switch {
	case n == 0:
		fmt.Fprintf(s, "%s was not written to since its map was made", b.Place)
	case n <= toldLast:
		fmt.Fprintf(s, "%s was written to %s:", b.Place, times(n))
	default:
		fmt.Fprintf(s, "%s was written to %s; %s %d:", b.Place, times(n), which, len(last))
	}
	for i, store := range last {
		if i > 0 && last[i-1].leaves(store) {
			fmt.Fprintf(s, "\n\ta device has written here: %s became %s", last[i-1].kind.text(last[i-1].New), store.kind.text(store.Old))
		}
		fmt.Fprintf(s, "\n\t%v", store)
	}
	devices := 0
	for i := range len(stores) - len(last) {
		if stores[i].leaves(stores[i+1]) {
			devices++
		}
	}
	if devices > 0 {
		fmt.Fprintf(s, "\nbetween earlier stores a device has changed it %s", times(devices))
	}
}

func (b *Blamed) tellRaces(s *strings.Builder) {
	switch n := len(b.Races); {
	case n == 1:
		fmt.Fprintf(s, "\none store raced with one of another CPU; the two:\n\t%s", indent(b.Races[0].String()))
	case n > 1:
		fmt.Fprintf(s, "\n%d stores raced with one of another CPU; the last two that did:\n\t%s", n, indent(b.Races[n-1].String()))
	}
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// changes tells whether a store may have left another value than it has found.
func (s Store) changes() bool { return !s.whole || s.Old != s.New }

// leaves tells whether the next store has found another value than s has left.
func (s Store) leaves(next Store) bool {
	return s.whole && next.whole && !next.anew && s.New != next.Old
}

func indent(s string) string { return strings.ReplaceAll(s, "\n", "\n\t") }

// Blame tells who has written to places of a guest in lockstep, of any number and size.
// For that it repeats the run, up to the present moment, in another guest whose loads and
// stores are watched. So nothing of the guest is disturbed, and the order of the stores is
// that of the run, across all CPUs.
//
// Writes of the test's ([VM.Write]) are among the stores. Stores of devices are not seen, and what
// they have left in a place is.
//
// The error is a [*vmm.WitnessError], a [*vmm.DivergedError], a [*SymbolNotFoundError], a
// [*PerCPUSymbolError], or one of [Boot].
func (vm *VM) Blame(ctx context.Context, targets ...Target) ([]*Blamed, error) {
	blamed, err := vm.blame(ctx, targets)
	if err != nil {
		return nil, fmt.Errorf("find who has written to %s: %w", cmp.Or(names(targets), "nothing"), vm.because(err))
	}
	return blamed, nil
}

func names(targets []Target) string {
	var all []string
	for _, t := range targets {
		all = append(all, cmp.Or(t.String(), "what was not found"))
	}
	return strings.Join(all, ", ")
}

func (vm *VM) blame(ctx context.Context, targets []Target) (all []*Blamed, err error) {
	if len(targets) == 0 {
		return nil, errors.New("no place is named: give VM.Blame what Field, FieldOf or Symbol return")
	}
	if err := vm.notPrepared("VM.Blame", runsAgain); err != nil {
		return nil, err
	}
	q := newInquiry(ctx, vm)
	for _, t := range targets {
		if err := q.add(t); err != nil {
			return nil, err
		}
	}
	if err := q.run(); err != nil {
		return nil, err
	}
	for _, p := range q.places {
		all = append(all, &p.Blamed)
	}
	return all, nil
}

// inquiry is a run that is run again under watches.
type inquiry struct {
	vm     *VM
	ctx    context.Context
	places []*suspect
	wholes []*whole
	splits splits
	freeze *freeze.Freezer            // of the guest that runs again; nil until it is needed
	code   map[uint64]freeze.Function // by the address of an instruction
}

func newInquiry(ctx context.Context, vm *VM) *inquiry {
	return &inquiry{vm: vm, ctx: ctx, code: make(map[uint64]freeze.Function), splits: splits{latest: make(map[int][]*call)}}
}

// run runs the guest again.
func (q *inquiry) run() error {
	again, err := q.vm.machine.Again(q.ctx, q.extents(), q.onAccess)
	if err != nil {
		return err
	}
	return again.Close()
}

// suspect is a place that an inquiry is about.
type suspect struct {
	Blamed
	target Target
	pieces []freeze.Piece
	tenant *tenant        // whose accesses of the memory are the place's; nil for all
	away   bool           // another tenant has stored since the last store
	used   bool           // by a program, or by the test
	read   int            // of the test's reads, which one; the last is the highest
	looked map[actor]look // who has loaded it, and what came then
}

// actor is code on a CPU that loads and stores.
type actor struct {
	cpu      int
	task     uint64
	function string
}

// look is an actor's latest load of a place.
type look struct {
	at    time.Duration
	pc    uint64
	since *Store // the first store of another actor's after it
}

func (q *inquiry) add(t Target) error {
	t, err := q.vm.found(q.ctx, t)
	if err != nil {
		return err
	}
	f, err := q.vm.freezer(q.ctx)
	if err != nil {
		return err
	}
	if t.addr, err = q.vm.locate(f, t); err != nil {
		return err
	}
	pieces, err := f.Physical(t.addr, t.size)
	if err != nil {
		return err
	}
	q.places = append(q.places, newSuspect(t, pieces, q.tenantOf(f, t.of, t.addr, t.size)))
	return nil
}

func newSuspect(t Target, pieces []freeze.Piece, of *tenant) *suspect {
	return &suspect{Blamed: Blamed{Place: t.String()}, target: t, pieces: pieces, tenant: of, looked: make(map[actor]look)}
}

func (q *inquiry) extents() (all []vmm.Extent) {
	for _, p := range q.places {
		all = appendExtents(all, p.pieces)
	}
	for _, w := range q.wholes {
		all = appendExtents(all, w.pieces)
	}
	return all
}

func appendExtents(all []vmm.Extent, pieces []freeze.Piece) []vmm.Extent {
	for _, piece := range pieces {
		all = append(all, vmm.Extent(piece))
	}
	return all
}

// onAccess is called while the vCPU that loads or stores waits.
func (q *inquiry) onAccess(machine *vmm.VM, a vmm.Access) {
	if q.freeze == nil {
		// A guest that boots has no kernel to look into at first: its accesses are not of interest.
		if q.freeze, _ = q.vm.freezerOf(q.ctx, machine); q.freeze == nil {
			return
		}
	}
	s := Store{Time: a.Time, Host: a.Host, CPU: a.CPU, PC: a.PC}
	if !a.Host {
		s.Task, _ = q.freeze.Running(a.CPU) // before there is one, it is none
		s.Function = q.function(a.PC)
	}
	began := time.Duration(q.vm.enabledAt.Load())
	for _, p := range q.places {
		p.take(&q.splits, machine.RAM(), a, s, began)
	}
	for _, w := range q.wholes {
		for _, p := range w.members(a) {
			p.take(&q.splits, machine.RAM(), a, s, began)
		}
	}
}

// take takes an access, of which s is all but the values. The scheduler was enabled when it began.
func (p *suspect) take(f *splits, ram *vmm.RAM, a vmm.Access, s Store, began time.Duration) {
	if !p.touched(a) {
		return
	}
	if p.tenant != nil && !p.tenant.isIn(ram) {
		p.moved = p.moved || s.Function.BPF
		p.away = p.away || a.Store
		return
	}
	s.Old, s.New, s.whole = p.values(ram, a)
	if s.whole {
		s.kind = p.target.kind
	}
	s.of = &p.target
	if a.Store {
		s.change, s.nth, s.anew, p.away = p.changeBy(ram, a), p.stored()+1, p.away, false
	}
	if p.used = p.used || s.Host || s.Function.BPF; !p.used && a.Store && p.target.of != nil && s.Time < began {
		p.Early++
	}
	if s.Host { // it races with nobody: all CPUs stand
		p.keep(s)
		return
	}
	f.add(p, Access{Store: s, Place: p.Place, Load: !a.Store})
	if a.Store {
		p.store(s)
	} else {
		p.load(s)
	}
}

// function names the code of an instruction. A program is in memory when its instruction is
// executed first, and may be gone later.
func (q *inquiry) function(pc uint64) freeze.Function {
	f, known := q.code[pc]
	if !known {
		f, _ = q.freeze.FunctionAt(q.ctx, pc) // code of no function that is known is reported as such
		q.code[pc] = f
	}
	return f
}

func (p *suspect) touched(a vmm.Access) bool {
	for _, piece := range p.pieces {
		if a.Phys < piece.Addr+int64(piece.Size) && piece.Addr < a.Phys+int64(len(a.New)) {
			return true
		}
	}
	return false
}

// values returns the place's value before and after a store, of a large place the bytes
// that were stored.
func (p *suspect) values(ram *vmm.RAM, a vmm.Access) (old, is uint64, whole bool) {
	if p.target.size > 8 {
		return littleEndian(a.Old), littleEndian(a.New), false
	}
	was, now := before(ram, a, p.pieces)
	return p.target.value(littleEndian(was)), p.target.value(littleEndian(now)), true
}

// littleEndian returns the number in bytes, of which the first 8 count.
func littleEndian(b []byte) uint64 {
	var word [8]byte
	copy(word[:], b)
	return binary.LittleEndian.Uint64(word[:])
}

func (s *Store) actor() actor { return actor{s.CPU, s.Task.Addr, s.Function.Name} }

func (p *suspect) load(s Store) { p.looked[s.actor()] = look{at: s.Time, pc: s.PC} }

// store takes a store to the place. Code that stores at a lower address than it has loaded at
// has begun anew since, and is taken not to go by what it had loaded then.
func (p *suspect) store(s Store) {
	who := s.actor()
	if seen, ok := p.looked[who]; ok && seen.since != nil && s.PC > seen.pc && len(p.Races) < maxRaces {
		p.Races = append(p.Races, Race{Loaded: seen.at, First: *seen.since, Second: s})
	}
	delete(p.looked, who)
	for other, seen := range p.looked {
		if other.cpu != who.cpu && seen.since == nil {
			first := s
			seen.since = &first
			p.looked[other] = seen
		}
	}
	p.keep(s)
}

// stored is how many stores to the place there were.
func (p *suspect) stored() int { return p.Before + len(p.Stores) }

func (p *suspect) keep(s Store) {
	if p.Stores = append(p.Stores, s); len(p.Stores) > maxStores {
		p.Stores, p.Before = p.Stores[maxStores/2:], p.Before+maxStores/2
	}
}
