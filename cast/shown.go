package cast

// This file tells guesses apart. What pointers lead to is guessed for all places at
// once that they are copied between. A guess is as good as a use if the place
// itself shows it: lines of C name members of what it leads to, or its type; or all
// that is stored there comes from places that show it, or what is loaded from there
// goes to one that does and that holds nothing else.

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// flows is how pointers that no type describes get from slot to slot, by the slots'
// numbers.
type flows struct {
	edges  map[flowEdge]bool
	lost   map[int32]bool           // gets what comes from no slot, or was moved otherwise
	direct map[int32]map[trace]bool // accesses through what was loaded from a slot
}

// flowEdge is a store of what was loaded, as it is or moved by elements.
type flowEdge struct {
	from, to int32
	stride   uint64
}

// minTold is how many members of a struct lines of C must name, where the object leaves
// out others: nodes of two trees have left and key in common.
const minTold = 3

// maxDirect bounds the accesses that are kept of a slot.
const maxDirect = 256

func newFlows() *flows {
	return &flows{
		edges:  make(map[flowEdge]bool),
		lost:   make(map[int32]bool),
		direct: make(map[int32]map[trace]bool),
	}
}

// access notes one through a value that may come from several slots.
func (f *flows) access(from kins, t trace) {
	for _, id := range from.ids[:from.n] {
		if f.direct[id] == nil {
			f.direct[id] = make(map[trace]bool)
		}
		if len(f.direct[id]) < maxDirect {
			f.direct[id][t] = true
		}
	}
}

// settled returns the accesses through what was loaded from a slot.
func (f *flows) settled(n int32) map[trace]bool {
	all := make(map[trace]bool, len(f.direct[n]))
	for t := range f.direct[n] {
		t.kin = 0
		all[t] = true
	}
	return settled(all)
}

// noteFlow notes where a value comes from that is stored in a slot.
func (e *engine) noteFlow(s slot, v value) {
	e.kin.of(s)
	to := e.kin.number[s]
	isMember := e.walking != nil && len(e.walking.addressesTaken()) > 0
	switch {
	case v.like.known() && v.like.offset.base == 0 && !isMember:
		for _, id := range v.like.ids[:v.like.n] {
			e.flows.edges[flowEdge{id, to, v.like.offset.stride}] = true
		}
	case v.ptr.known() && v.flags&isGuess == 0, v.ptr.state == noPointer && v.flags&^isNull == 0:
	default:
		e.current.findings.lost = append(e.current.findings.lost, to)
	}
}

// tells tells whether lines of C say that a slot leads to a t: one names the type,
// or those of the accesses through what is loaded from it name members of t. It
// takes several where another struct can be meant that has members of these names, and
// more than one where only local variables may lead to structs: clang leaves those out.
func (e *engine) tells(n int32, t btf.Type) bool {
	isSaid, ok := e.namesSay(e.kin.slots[n], t)
	if !ok {
		return false
	}
	members := make(map[int64]bool)
	for a := range e.flows.settled(n) {
		says, ok := e.accessSays(a, t)
		if !ok {
			return false
		}
		isSaid = isSaid || says.typ
		if says.member {
			members[a.off.base] = true
		}
	}
	if firstStruct(t) != nil && !isSaid {
		return false // accesses to its parts are through pointers to what it begins with, too
	}
	switch {
	case isSaid || len(members) >= minTold:
		return true
	case len(members) == 0 || e.leavesOut():
		return false
	}
	return len(members) > 1 || e.pointed[t]
}

// namesSay tells whether lines of C or a slot like it name t as what a slot leads to. It is
// not ok if lines name another type outright.
func (e *engine) namesSay(s slot, t btf.Type) (isSaid, ok bool) {
	isType := func(name string) bool { return e.structNamed(name) == t }
	outright := e.namesSaidOutright(s)
	for _, name := range outright {
		if !isType(name) {
			return false, false
		}
	}
	return len(outright) > 0 || e.cell(s).alike.typ == t || slices.ContainsFunc(e.namesSaidOf(s), isType), true
}

// said is what the line of C of an access tells of the struct that it is to.
type said struct {
	typ    bool // its name
	member bool // the name of one of its members
}

// accessSays tells what a line of C says of t. It is not ok if the access is to none.
func (e *engine) accessSays(a trace, t btf.Type) (says said, ok bool) {
	name := accessedMember(a.at.code, a.at.at)
	if _, fits := e.layouts.at(t, a.off, a.size); !isOpaqueType(t) && !fits && !e.spans(t, a.access) {
		return said{}, false
	}
	if through := e.typeOfAccess(a.at); through != "" && name != "" {
		s := e.structNamed(through)
		says.typ = s == t
		if !says.typ && !e.isWithin(s, t, a.off.base, maxNesting) {
			return said{}, false
		}
	}
	if isOpaqueType(t) {
		return says, true
	}
	says.member = name != "" || e.onlyNames(a.at, t, a.off)
	return says, name == "" || hasMemberAt(t, name, a.off, maxNesting)
}

// isWithin tells whether a byte of t is in a part that t holds by value, a struct.
func (e *engine) isWithin(part, t btf.Type, at int64, depth int) bool {
	if part == nil || depth == 0 {
		return false
	}
	switch t := e.layouts.canonical(t).(type) {
	case *btf.Array:
		n := sizeOf(t.Type)
		return n > 0 && e.isOrHolds(t.Type, part, mod(at, uint64(n)), depth)
	case *btf.Struct:
		m := memberAt(t.Members, at)
		return m != nil && e.isOrHolds(m.Type, part, at-int64(m.Offset/8), depth)
	}
	return false
}

func (e *engine) isOrHolds(t, part btf.Type, at int64, depth int) bool {
	return e.layouts.canonical(t) == part || e.isWithin(part, t, at, depth-1)
}

// onlyNames tells whether a line of C names one member in all, and t has it at an
// offset.
func (e *engine) onlyNames(at instruction, t btf.Type, off offset) bool {
	names := e.membersNamed(at)
	return len(names.once) == 1 && len(names.often) == 0 && hasMemberAt(t, names.once[0], off, maxNesting)
}

// firstStruct returns the struct that t begins with, nil if it begins with anything else.
func firstStruct(t btf.Type) *btf.Struct {
	s, ok := t.(*btf.Struct)
	if !ok || len(s.Members) == 0 || s.Members[0].Offset != 0 {
		return nil
	}
	first, _ := btf.As[*btf.Struct](s.Members[0].Type)
	return first
}

var structInLine = regexp.MustCompile(`\bstruct\s+([A-Za-z_]\w*)`)

// leavesOut tells whether the object names structs, in its types or in lines of C,
// that it does not describe.
func (e *engine) leavesOut() bool {
	if e.omits == nil {
		omits := e.declaresMore() || e.linesNameMore() || e.membersNameMore()
		e.omits = &omits
	}
	return *e.omits
}

func (e *engine) linesNameMore() bool {
	known := make(map[string]bool)
	for t, err := range e.obj.Types.All() {
		_, declared := t.(*btf.Fwd)
		if err == nil && (!declared || e.foreign[t]) {
			known[aggregateName(t)] = true
		}
	}
	for _, c := range e.obj.Code {
		for i := range c.Lines {
			if !strings.Contains(c.Lines[i].Text, "struct") {
				continue
			}
			for _, m := range structInLine.FindAllStringSubmatch(c.Lines[i].Text, -1) {
				if !known[m[1]] {
					return true
				}
			}
		}
	}
	return false
}

// membersNameMore tells whether a line names the member of an access that no struct
// has.
func (e *engine) membersNameMore() bool {
	for _, o := range e.outlines() {
		for _, a := range o {
			name := accessedMember(a.at.code, a.at.at)
			has := func(s *btf.Struct) bool { return hasMember(s, name, maxNesting) }
			if name != "" && !slices.ContainsFunc(e.structs(), has) {
				return true
			}
		}
	}
	return false
}

// isShown tells whether what is guessed of a slot is shown by the slot itself.
func (a *Analysis) isShown(s slot) bool {
	if a.shown == nil {
		g := newFlowGraph(a.engine)
		g.settle()
		a.shown, a.graph = g.shown, g
	}
	n, ok := a.kin.number[s]
	return ok && a.shown[n]
}

// isTaken tells whether all that take memory from a pool take it for one type.
func (a *Analysis) isTaken(s slot) bool {
	a.isShown(s)
	n, ok := a.kin.number[s]
	return ok && a.graph.isTaken(n)
}

// flowGraph finds out which slots show what they lead to.
type flowGraph struct {
	*engine
	into, outOf map[int32][]int32 // slots that a slot gets pointers from, and that get its own
	types       map[int32]btf.Type
	lost        map[int32]bool // gets what comes from no slot, or points into the middle
	shown       map[int32]bool
	nested      map[btf.Type]bool // begin with a struct, or are what one begins with
}

func newFlowGraph(e *engine) *flowGraph {
	g := &flowGraph{
		engine: e, into: make(map[int32][]int32), outOf: make(map[int32][]int32),
		types: make(map[int32]btf.Type), lost: maps.Clone(e.flows.lost), shown: make(map[int32]bool),
		nested: make(map[btf.Type]bool),
	}
	for _, s := range e.structs() {
		if first := firstStruct(s); first != nil {
			g.nested[s], g.nested[e.layouts.canonical(first)] = true, true
		}
	}
	for n, s := range e.kin.slots {
		c := e.cells[s]
		if c == nil || !c.isFinding() {
			continue
		}
		g.types[int32(n)] = c.pointer().typ
		g.shown[int32(n)] = !c.isGuess() || e.tells(int32(n), c.pointer().typ)
	}
	for edge := range e.flows.edges {
		switch {
		case !g.isWhole(edge):
			g.lost[edge.to] = true
		case edge.from != edge.to && !g.isNeutral(edge.from):
			g.into[edge.to] = append(g.into[edge.to], edge.from)
			g.outOf[edge.from] = append(g.outOf[edge.from], edge.to)
		}
	}
	return g
}

// isWhole tells whether what is stored points to an element of what was loaded.
func (g *flowGraph) isWhole(edge flowEdge) bool {
	t := g.types[edge.from]
	if edge.stride == 0 || t == nil {
		return edge.stride == 0
	}
	size, err := btf.Sizeof(t)
	return err == nil && size > 0 && edge.stride%uint64(size) == 0
}

// isNeutral tells whether a slot says nothing of where its content goes: a function's
// argument, as all callers that are known pass their own.
func (g *flowGraph) isNeutral(n int32) bool {
	return g.kin.slots[n].kind == argument && g.types[n] == nil
}

// settle adds to the slots that show their type those that follow, until there are
// no more. A copy says nothing of types that begin with a struct, or that begin
// others: the address of one is that of the other.
func (g *flowGraph) settle() {
	for more := true; more; {
		more = g.addFilled() || g.addSpent() || g.grow(g.isTaken) || g.grow(g.isOfObjects)
	}
}

// addFilled adds the slots that get pointers from such as show their type, and from
// others of which the same is true.
func (g *flowGraph) addFilled() bool {
	may := make(map[int32]bool)
	for n, t := range g.types {
		may[n] = t != nil && !g.lost[n] && !g.nested[t]
	}
	for changed := true; changed; {
		changed = false
		for n := range g.types {
			if may[n] && !g.shown[n] && !g.allOf(n, func(from int32) bool { return g.shown[from] || may[from] }) {
				may[n], changed = false, true
			}
		}
	}
	return g.grow(func(n int32) bool {
		return may[n] && !g.allOf(n, func(from int32) bool { return !g.shown[from] })
	})
}

// allOf tells whether all slots that n gets pointers from are of its type, and so.
func (g *flowGraph) allOf(n int32, is func(from int32) bool) bool {
	for _, from := range g.into[n] {
		if g.types[from] != g.types[n] || !is(from) {
			return false
		}
	}
	return true
}

// addSpent adds the slots whose content goes to one that shows its type, and that
// gets nothing else that does not.
func (g *flowGraph) addSpent() bool {
	return g.grow(func(n int32) bool {
		for _, to := range g.outOf[n] {
			if !g.nested[g.types[n]] && g.shown[to] && g.types[to] == g.types[n] && !g.lost[to] &&
				g.allOf(to, func(from int32) bool { return from == n || g.shown[from] }) {
				return true
			}
		}
		return false
	})
}

// isTaken tells whether all calls that return the content of a slot show that they
// take it for the slot's type.
func (g *flowGraph) isTaken(n int32) bool {
	taken := g.handed[g.kin.slots[n]]
	for to := range taken {
		id, ok := g.kin.number[to]
		if !ok || !g.shown[id] || g.types[id] != g.types[n] {
			return false
		}
	}
	return len(taken) > 0
}

// isOfObjects tells whether all that a slot holds leads to objects that show that they are
// of the type which is guessed. The address of one that begins with a struct is that of the
// struct, too, so that what follows it has to be accessed.
func (g *flowGraph) isOfObjects(n int32) bool {
	s, t := g.kin.slots[n], g.types[n]
	c := g.cells[s]
	if !s.isMemory() || len(g.objects.in(c.holds[allObjects])) == 0 {
		return false
	}
	for _, id := range g.objects.in(c.holds[allObjects]) {
		of, ok := g.kin.number[g.objects.keys[id].at]
		if !ok || !g.shown[of] || g.types[of] != t {
			return false
		}
	}
	return firstStruct(t) == nil || g.reaches(n, int64(sizeOf(firstStruct(t))))
}

func sizeOf(t btf.Type) int {
	size, err := btf.Sizeof(t)
	if err != nil {
		return 0
	}
	return size
}

// reaches tells whether what is loaded from a slot is accessed from a byte on.
func (g *flowGraph) reaches(n int32, from int64) bool {
	for a := range g.flows.direct[n] {
		if at, exact := a.off.exact(); exact && at >= from {
			return true
		}
	}
	return false
}

// grow adds slots until there are no more, and tells whether it added any.
func (g *flowGraph) grow(is func(n int32) bool) bool {
	grown := false
	for more := true; more; {
		more = false
		for n := range g.types {
			if !g.shown[n] && is(n) {
				g.shown[n], more, grown = true, true, true
			}
		}
	}
	return grown
}
