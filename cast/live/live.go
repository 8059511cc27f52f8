// Package live holds the findings of package cast against captures. Where a finding says that
// a place holds pointers, the memory of a guest must have their targets.
//
// For contributors. Others meet it as ktgen casts -live.
package live

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Report says what captures have where pointers were found, and where none were.
type Report struct {
	Claims []*Claim // in the order of the findings
	Silent []*Place // integers without a finding that hold addresses, and nothing else but zero; by name
}

// Claim is what captures have in the places of a finding.
type Claim struct {
	Finding cast.Finding
	Place
	Led      int     // of the addresses, those whose target was captured
	Wrong    int     // values that are no such pointers
	Examples []Wrong // the first of them, 3 at most
}

// Seen reports whether a pointer that leads somewhere, or a value that is none, was there.
func (c *Claim) Seen() bool { return c.Led+c.Wrong > 0 }

// Wrong is a value that is no pointer of the kind that a finding says.
type Wrong struct {
	Snapshot, Path string
	Value          uint64
	Why            string
}

// Place is what captures have in the places of one name.
type Place struct {
	Name      string // "struct task_ctx.task", "section .bss.head", "map heads"
	Null      int    // zeros
	Addresses int    // values that look like addresses of the kernel, or are of what was captured
	Numbers   int    // other values
	Example   string // the path of an address in a snapshot
}

// Check holds the findings of an analysis against captures of the object's state. Captures that
// were made without the findings hold integers instead: these are only told to be addresses or
// not, as those of guesses are.
func Check(r *cast.Result, snaps ...*ktsnap.Snapshot) *Report {
	report := &Report{}
	places := make(map[string]*Claim)
	for _, f := range r.Findings {
		c := &Claim{Finding: f, Place: Place{Name: placeOf(f)}}
		report.Claims = append(report.Claims, c)
		places[c.Name] = c
	}
	others := make(map[string]*Place)
	for _, snap := range snaps {
		w := walker{snap: snap, claims: places, others: others, seen: make(map[target]bool)}
		w.walk()
	}
	for _, p := range others {
		if p.Addresses > 0 && p.Numbers == 0 {
			report.Silent = append(report.Silent, p)
		}
	}
	slices.SortFunc(report.Silent, func(a, b *Place) int { return strings.Compare(a.Name, b.Name) })
	return report
}

func placeOf(f cast.Finding) string {
	if f.Map != nil {
		return "map " + f.Map.Name
	}
	return ktbtf.Spell(f.Container) + "." + f.Path
}

// walker goes through all values of a snapshot's maps, and through what their pointers lead to.
type walker struct {
	snap   *ktsnap.Snapshot
	claims map[string]*Claim
	others map[string]*Place
	seen   map[target]bool
	ahead  []ktsnap.Value // targets that are not walked yet
}

// target is what pointers lead to.
type target struct {
	addr uint64
	name string
}

// maxTargets bounds the targets of pointers that are walked in one snapshot.
const maxTargets = 1 << 18

func (w *walker) walk() {
	for _, view := range w.snap.Views() {
		m := view.Map()
		for _, entry := range view.Partial().All() {
			if m.Slots <= 1 && !m.Type.IsPerCPU() {
				w.value(entry.Get(""), "map "+m.Name, "")
				continue
			}
			for cpu := range max(m.Slots, 1) {
				w.value(entry.CPU(cpu).Get(""), "map "+m.Name, "")
			}
		}
	}
	for len(w.ahead) > 0 {
		last := len(w.ahead) - 1
		next := w.ahead[last]
		w.ahead = w.ahead[:last]
		w.value(next, "", "")
	}
}

// value walks a value at path of what is called in, the innermost that has a name.
func (w *walker) value(v ktsnap.Value, in, path string) {
	switch v.Kind() {
	case "Struct", "Union":
		u := v.Shape().Underlying()
		switch {
		case holdsNone(u):
			return
		case u.Kind == ctype.KindSection:
			in, path = "section "+u.Name, "."
		case u.Name != "":
			in, path = ctype.Spell(u), "."
		}
		for i := range v.Len() {
			name, member := v.At(i)
			w.value(member, in, joined(path, name))
		}
	case "Array":
		w.elements(v, in, path)
	case "Ptr":
		w.pointer(v, nameOf(in, path))
	case "Int", "Uint":
		if v.Size() == 8 {
			w.integer(v, nameOf(in, path))
		}
	}
}

// nameOf names a place as findings do: a map's value by the map alone.
func nameOf(in, path string) string {
	if strings.HasPrefix(in, "map ") {
		return in
	}
	return in + path
}

// holdsNone tells whether a struct or section has no places that findings are of: the kernel's own
// objects in map values, such as struct bpf_timer (include/uapi/linux/bpf.h), and constants.
func holdsNone(u *ctype.Shape) bool {
	if u.Kind == ctype.KindSection {
		return strings.HasPrefix(u.Name, ".rodata") || u.Name == ".kconfig"
	}
	return len(u.Members) > 0 && u.Members[0].Name == "__opaque"
}

func joined(path, name string) string {
	if path == "" || path == "." {
		return "." + name
	}
	return path + "." + name
}

// elements walks those of an array, unless they can hold no pointer.
func (w *walker) elements(v ktsnap.Value, in, path string) {
	elem := v.Shape().Underlying().Elem.Underlying()
	if elem.Size < 8 {
		return
	}
	for i := range v.Len() {
		_, e := v.At(i)
		w.value(e, in, path+"[]")
	}
}

// pointer checks what a declared pointer leads to, or one that a finding has made of an integer.
func (w *walker) pointer(v ktsnap.Value, name string) {
	to := v.Deref()
	claim := w.claims[name]
	if claim == nil {
		w.follow(to)
		return
	}
	value, err := v.Uint64()
	contradiction := (*ktsnap.ContradictionError)(nil)
	switch {
	case err != nil:
	case value == 0:
		claim.Null++
	case to.Err() == nil:
		claim.address(w.snap, v)
		claim.Led++
	case errors.As(to.Err(), &contradiction):
		claim.wrong(w.snap, v, value, contradiction.Found)
	case !w.isAddress(value):
		claim.wrong(w.snap, v, value, noAddress)
	default:
		claim.address(w.snap, v)
	}
	w.follow(to)
}

const noAddress = "it is no address"

// follow has the target of a pointer walked, once, unless it is the kernel's.
func (w *walker) follow(to ktsnap.Value) {
	if to.Err() != nil || len(w.seen) == maxTargets {
		return
	}
	shape := to.Shape().Underlying()
	if o := w.snap.Memory().KernelObject(to.Addr(), shape.Name); o != nil && !o.Allocated {
		return
	}
	if t := (target{to.Addr(), ctype.Spell(shape)}); !w.seen[t] {
		w.seen[t] = true
		w.ahead = append(w.ahead, to)
	}
}

// integer notes what an integer holds.
func (w *walker) integer(v ktsnap.Value, name string) {
	value, err := v.Uint64()
	if err != nil {
		return
	}
	claim := w.claims[name]
	var p *Place
	switch {
	case claim != nil:
		p = &claim.Place
	case w.others[name] != nil:
		p = w.others[name]
	default:
		p = &Place{Name: name}
		w.others[name] = p
	}
	switch {
	case value == 0:
		p.Null++
	case w.isAddress(value):
		p.address(w.snap, v)
	case claim != nil && isAddressed(claim.Finding.Space):
		claim.wrong(w.snap, v, value, noAddress)
	default:
		p.Numbers++
	}
}

// isAddressed tells whether pointers of a space are addresses of the kernel or of an arena.
func isAddressed(s ctype.Space) bool { return s != ctype.SpacePerCPU && s != ctype.SpaceUser }

// Addresses of the kernel on amd64 (Documentation/arch/x86/x86_64/mm.rst), without the errors that
// stand for pointers (include/linux/err.h).
const (
	firstKernel = 0xffff_8000_0000_0000
	firstError  = 0xffff_ffff_ffff_f001
)

// isAddress tells whether a value looks like the address of something.
func (w *walker) isAddress(value uint64) bool {
	if value >= firstKernel {
		return value < firstError
	}
	if value < 1<<32 {
		return false
	}
	_, captured := w.snap.Memory().Span(w.snap.Memory().Canonical(value))
	return captured
}

func (p *Place) address(snap *ktsnap.Snapshot, v ktsnap.Value) {
	p.Addresses++
	if p.Example == "" {
		p.Example = fmt.Sprintf("%s in %q", v.Path(), snap.Name)
	}
}

const maxExamples = 3

func (c *Claim) wrong(snap *ktsnap.Snapshot, v ktsnap.Value, value uint64, why string) {
	c.Wrong++
	if len(c.Examples) < maxExamples {
		c.Examples = append(c.Examples, Wrong{Snapshot: snap.Name, Path: v.Path(), Value: value, Why: why})
	}
}
