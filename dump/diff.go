package dump

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Change is a difference between two snapshots.
type Change struct {
	Path string `json:"path"` // as errors name it: task_ctxs[101].runtime_ns
	Old  string `json:"old"`  // the value before; empty if it was not there
	New  string `json:"new"`  // the value after; empty if it is not there

	// What is "changed"; "added" or "removed" for maps, entries and members
	// that only one snapshot has; or "status" for maps of which one snapshot
	// holds less than the other.
	What string `json:"what"`
}

// String returns the change in a line.
func (c Change) String() string {
	switch c.What {
	case "added":
		return "+ " + c.Path + ": " + c.New
	case "removed":
		return "- " + c.Path + ": " + c.Old
	}
	return "~ " + c.Path + ": " + c.Old + " -> " + c.New
}

// Diff ranges over the differences of two snapshots: of their maps by name, of
// entries by key, owner or index, and of values member by member. What pointers lead to
// in arenas, or in memory that programs have allocated, is compared by its address. What differs
// in pages of an arena that no pointer leads to is one difference, at the path of the arena. Paths that a
// mask matches are left out, and what is in them; in a mask * stands for anything: "*.runtime_ns",
// "task_ctxs[*].task". Entries that are missing from a map of which only a part
// was captured are no differences; [Unseen] says of which maps that is so.
func Diff(before, after *ktsnap.Snapshot, masks ...string) iter.Seq[Change] {
	return func(yield func(Change) bool) {
		d := &differ{masks: masks, yield: yield}
		d.snapshots(before, after)
		if !d.done {
			d.objects(before, after)
		}
	}
}

type differ struct {
	masks []string
	yield func(Change) bool
	done  bool
}

// report reports a change, unless it is masked.
func (d *differ) report(c Change) {
	if !d.done && !masked(c.Path, d.masks) && !d.yield(c) {
		d.done = true
	}
}

func masked(path string, masks []string) bool {
	return slices.ContainsFunc(masks, func(mask string) bool { return covers(mask, path) })
}

// covers tells whether a mask is for a path, or for what the path is in. An empty one is
// for nothing: the paths of sections begin with a dot.
func covers(mask, path string) bool {
	return mask != "" && (matches(path, mask) || matches(path, mask+".*") || matches(path, mask+"[*"))
}

// matches tells whether a path is what a mask says, which may have stars.
func matches(path, mask string) bool {
	first, rest, star := strings.Cut(mask, "*")
	if !star {
		return path == mask
	}
	path, ok := strings.CutPrefix(path, first)
	if !ok {
		return false
	}
	for {
		part, more, star := strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(path, part)
		}
		at := strings.Index(path, part)
		if at < 0 {
			return false
		}
		path, rest = path[at+len(part):], more
	}
}

type mapKey struct {
	name  string
	typ   ktsnap.MapType
	count int // of those before it that are called the same
}

// named lists the maps of a snapshot by what two snapshots have in common.
func named(s *ktsnap.Snapshot) (keys []mapKey, views map[mapKey]ktsnap.MapView) {
	views = make(map[mapKey]ktsnap.MapView)
	counts := make(map[mapKey]int)
	for _, v := range s.Views() {
		m := v.Map()
		key := mapKey{name: m.Name, typ: m.Type}
		counts[key]++
		key.count = counts[mapKey{name: m.Name, typ: m.Type}]
		keys = append(keys, key)
		views[key] = v
	}
	return keys, views
}

func (d *differ) snapshots(a, b *ktsnap.Snapshot) {
	keys, before := named(a)
	more, after := named(b)
	for _, key := range keys {
		v, exists := after[key]
		if !exists {
			d.report(Change{Path: before[key].Path(), Old: entriesOrVars(before[key]), What: "removed"})
			continue
		}
		d.maps(before[key], v)
	}
	for _, key := range more {
		if _, exists := before[key]; !exists {
			d.report(Change{Path: after[key].Path(), New: entriesOrVars(after[key]), What: "added"})
		}
	}
}

func entriesOrVars(v ktsnap.MapView) string {
	if text := entriesText(v); text != "" {
		return v.Map().Type.String() + ", " + text
	}
	return v.Map().Type.String()
}

func (d *differ) maps(v, w ktsnap.MapView) {
	a, b := v.Map(), w.Map()
	if a.Status != b.Status {
		d.report(Change{Path: v.Path(), Old: statusText(a), New: statusText(b), What: "status"})
	}
	if v.Err() != nil || w.Err() != nil || d.done {
		return
	}
	ours, theirs := identities(v), identities(w)
	index := make(map[entryKey]int, len(theirs))
	for i, id := range theirs {
		index[id] = i
	}
	for i, id := range ours {
		if d.done {
			return
		}
		at, exists := index[id]
		if !exists {
			if b.Status == ktsnap.Complete {
				d.whole(v.At(i), "removed")
			}
			continue
		}
		delete(index, id)
		d.entries(v.At(i), w.At(at), max(a.Slots, b.Slots), a.Slots > 1 || a.Type.IsPerCPU())
	}
	for i, id := range theirs {
		if _, left := index[id]; left && a.Status == ktsnap.Complete {
			d.whole(w.At(i), "added")
		}
	}
}

// entryKey is what an entry is found by in another snapshot. A map that
// changed while it was read can have a key twice.
type entryKey struct {
	key   string
	count int // of the entries before it with the same key
}

func identities(v ktsnap.MapView) []entryKey {
	n := held(v)
	keys, counts := make([]entryKey, n), make(map[string]int, n)
	for i := range keys {
		key := identity(v.Map(), i)
		keys[i] = entryKey{key, counts[key]}
		counts[key]++
	}
	return keys
}

// identity is an entry's owner, key or number.
func identity(m *ktsnap.Map, i int) string {
	switch {
	case i < len(m.Owners) && m.Type == ktsnap.MapTypeTaskStorage:
		return strconv.Itoa(int(m.Owners[i].PID))
	case i < len(m.Owners):
		return strconv.FormatUint(m.Owners[i].Addr, 16)
	case m.Keys != nil:
		return string(m.Keys[i*m.KeySize:][:m.KeySize])
	}
	return strconv.Itoa(i)
}

// whole reports an entry that only one snapshot has.
func (d *differ) whole(e ktsnap.Entry, what string) {
	value := e.Get("")
	text := ""
	if value.Err() == nil {
		text = oneLine(&value)
	}
	c := Change{Path: e.Path(), What: what, New: text}
	if what == "removed" {
		c.Old, c.New = text, ""
	}
	d.report(c)
}

// maxLine bounds a value in a change, in bytes.
const maxLine = 160

// oneLine is a value in a line; of a long one its beginning.
func oneLine(v *ktsnap.Value) string {
	r, err := v.Rendered()
	if err != nil {
		return err.Error()
	}
	text := clean(r.String())
	if len(text) > maxLine {
		return text[:maxLine] + "..."
	}
	return text
}

func (d *differ) entries(a, b ktsnap.Entry, slots int, perCPU bool) {
	if !perCPU {
		v, w := a.Get(""), b.Get("")
		d.values(a.Path(), &v, &w, maxDepth)
		return
	}
	for cpu := range max(slots, 1) {
		v, w := a.CPU(cpu).Get(""), b.CPU(cpu).Get("")
		path := a.CPU(cpu).Path()
		if v.Err() != nil {
			path = b.CPU(cpu).Path()
		}
		d.values(path, &v, &w, maxDepth)
	}
}

// values compares two values at the same path.
func (d *differ) values(path string, v, w *ktsnap.Value, depth int) {
	gone, missing := w.Err() != nil, v.Err() != nil
	switch {
	case d.done || depth == 0 || gone && missing:
	case missing:
		d.report(Change{Path: path, New: oneLine(w), What: "added"})
	case gone:
		d.report(Change{Path: path, Old: oneLine(v), What: "removed"})
	case v.Shape() == w.Shape() && v.SameBits(w):
	case v.Kind() != w.Kind():
		d.report(Change{Path: path, Old: oneLine(v), New: oneLine(w), What: "changed"})
	default:
		d.sameKind(path, v, w, depth)
	}
}

// sameKind compares two values of one kind.
func (d *differ) sameKind(path string, v, w *ktsnap.Value, depth int) {
	switch {
	case v.Kind() == "Struct" || v.Kind() == "Union":
		d.members(path, v, w, depth)
		return
	case v.Kind() == "Array" && !v.IsString() && !w.IsString():
		d.elements(path, v, w, depth)
		return
	}
	if old, is := oneLine(v), oneLine(w); old != is || v.Size() != w.Size() || v.Kind() == "Bytes" {
		d.report(Change{Path: path, Old: old, New: is, What: "changed"})
	}
}

// members compares structs by the names of their members.
func (d *differ) members(path string, v, w *ktsnap.Value, depth int) {
	others := make(map[string]ktsnap.Value, w.Len())
	for i := range w.Len() {
		name, member := w.At(i)
		others[name] = member
	}
	for i := range v.Len() {
		name, member := v.At(i)
		other, exists := others[name]
		if !exists {
			d.report(Change{Path: join(path, name), Old: oneLine(&member), What: "removed"})
			continue
		}
		delete(others, name)
		d.values(join(path, name), &member, &other, depth-1)
	}
	for i := range w.Len() {
		name, member := w.At(i)
		if _, left := others[name]; left {
			delete(others, name)
			d.report(Change{Path: join(path, name), New: oneLine(&member), What: "added"})
		}
	}
}

// join adds a member to a path.
func join(path, name string) string {
	if strings.ContainsAny(name, ".[]") || clean(name) != name {
		return path + "[" + strconv.Quote(name) + "]"
	}
	return path + "." + name
}

func (d *differ) elements(path string, v, w *ktsnap.Value, depth int) {
	for i := range min(v.Len(), w.Len()) {
		_, a := v.At(i)
		_, b := w.At(i)
		d.values(path+"["+strconv.Itoa(i)+"]", &a, &b, depth-1)
		if d.done {
			return
		}
	}
	if v.Len() != w.Len() {
		d.report(Change{Path: path, Old: fmt.Sprintf("%d elements", v.Len()), New: fmt.Sprintf("%d elements", w.Len()), What: "changed"})
	}
}
