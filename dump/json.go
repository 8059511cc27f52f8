package dump

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file writes what SCHEMA.md describes.

// Format and Version begin every JSON document. The version changes when a
// reader of the old one would misread a document; readers ignore members that
// they do not know.
const (
	Format  = "ktgen dump"
	Version = 1
)

// JSON writes what a snapshot holds as one JSON document; SCHEMA.md describes
// it. If maps are named the document has only those. It fails with an error of
// [ktsnap.Snapshot.Map] if there is none of a name.
func JSON(w io.Writer, s *ktsnap.Snapshot, maps ...string) error {
	views, err := choose(s, maps)
	if err != nil {
		return err
	}
	return writeDocument(w, s, views, tasksFor(maps, allTasks))
}

// writeDocument writes a document of some maps and tasks.
func writeDocument(w io.Writer, s *ktsnap.Snapshot, views []ktsnap.MapView, tasks tasksOf) error {
	e := newEncoder(w, s)
	e.document(views, tasks)
	return e.end()
}

// JSONValue writes one value as documents do. If it was not found the error is
// why.
func JSONValue(w io.Writer, s *ktsnap.Snapshot, v ktsnap.Value) error {
	if v.Err() != nil {
		return v.Err()
	}
	e := newEncoder(w, s)
	e.value(&v, maxDepth)
	return e.end()
}

// encoder writes JSON. What it has written is kept in buf until there is much
// of it.
type encoder struct {
	*chaser
	w    io.Writer
	err  error
	buf  []byte
	left int // values that may still be written

	structs map[*ctype.Shape][]field
	parts   [maxDepth + 1]ktsnap.Value // that are being written, by the depth that is left
}

// field is a member of a struct with its name in JSON.
type field struct {
	ctype.Member
	name []byte // quoted, with a colon
}

// newEncoder returns an encoder for documents of a snapshot.
func newEncoder(w io.Writer, s *ktsnap.Snapshot) *encoder {
	return &encoder{chaser: newChaser(s), w: w, left: workLimit(s), structs: make(map[*ctype.Shape][]field)}
}

// end writes what there is.
func (e *encoder) end() error {
	e.buf = append(e.buf, '\n')
	e.flush()
	return e.err
}

func (e *encoder) flush() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

func (e *encoder) raw(text string) { e.buf = append(e.buf, text...) }

// text writes a string.
func (e *encoder) text(s string) { e.buf = appendText(e.buf, s) }

// appendText appends a string. Markup is escaped, so that a document can stand
// in a page.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // of a string: cannot fail
			return append(b, quoted...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

// member writes the name of a member, with a comma if it is not the first.
func (e *encoder) member(name string) {
	if last := e.buf[len(e.buf)-1]; last != '{' {
		e.buf = append(e.buf, ',')
	}
	e.text(name)
	e.buf = append(e.buf, ':')
}

func (e *encoder) stringMember(name, value string) {
	if value != "" {
		e.member(name)
		e.text(value)
	}
}

func (e *encoder) intMember(name string, value int64) {
	e.member(name)
	e.buf = strconv.AppendInt(e.buf, value, 10)
}

func (e *encoder) hexMember(name string, value uint64) {
	e.member(name)
	e.hex(value)
}

// hex writes an address.
func (e *encoder) hex(value uint64) {
	e.raw(`"0x`)
	e.buf = strconv.AppendUint(e.buf, value, 16)
	e.buf = append(e.buf, '"')
}

func (e *encoder) document(views []ktsnap.MapView, tasks tasksOf) {
	s := e.snap
	e.raw("{")
	e.stringMember("format", Format)
	e.intMember("version", Version)
	e.stringMember("name", s.Name)
	if !s.Taken.IsZero() {
		e.stringMember("taken", s.Taken.Format(time.RFC3339Nano))
	}
	if s.Scheduler.State != "" {
		e.member("scheduler")
		e.scheduler(s.Scheduler)
	}
	e.member("timing")
	e.timing(s.Timing)
	e.member("guest")
	e.guest(s.Guest)
	if s.KernelReason != "" {
		e.stringMember("kernel_status", statusName(s.KernelStatus))
		e.stringMember("kernel_reason", s.KernelReason)
	}
	e.sched(tasks)
	e.member("maps")
	e.raw("[\n")
	for i, v := range views {
		if i > 0 {
			e.raw(",\n")
		}
		e.mapOf(v)
	}
	e.raw("\n]}")
}

func (e *encoder) scheduler(s ktsnap.Scheduler) {
	e.raw("{")
	e.stringMember("state", s.State)
	e.stringMember("name", s.Name)
	e.stringMember("reason", s.Reason)
	e.stringMember("message", s.Message)
	if s.Instance > 0 {
		e.intMember("instance", int64(s.Instance))
	}
	e.raw("}")
}

func (e *encoder) timing(t ktsnap.Timing) {
	e.raw("{")
	e.intMember("stop_ns", int64(t.Stop))
	e.intMember("walk_ns", int64(t.Walk))
	e.intMember("copy_ns", int64(t.Copy))
	e.intMember("tables_ns", int64(t.Tables))
	e.intMember("chase_ns", int64(t.Chase))
	e.intMember("resume_ns", int64(t.Resume))
	e.intMember("paused_ns", int64(t.Paused))
	e.intMember("bytes", int64(t.Bytes))
	e.raw("}")
}

func (e *encoder) guest(g ktsnap.Guest) {
	e.raw("{")
	e.stringMember("release", g.Release)
	e.stringMember("arch", g.Arch)
	e.intMember("page_size", int64(g.PageSize))
	e.intMember("cpus", int64(g.CPUs))
	e.member("online")
	e.raw("[")
	for i, cpu := range g.Online {
		if i > 0 {
			e.raw(",")
		}
		e.buf = strconv.AppendInt(e.buf, int64(cpu), 10)
	}
	e.raw("]}")
}

var statusNames = [...]string{"complete", "truncated", "unsupported", "failed"}

func statusName(s ktsnap.Status) string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "failed"
}

func (e *encoder) mapOf(v ktsnap.MapView) {
	m := v.Map()
	e.raw("{")
	e.intMember("id", int64(m.ID))
	if arena := v.Arena(); arena != nil {
		e.intMember("arena", int64(arena.ID))
	}
	e.stringMember("name", m.Name)
	e.stringMember("type", m.Type.String())
	if m.Key != nil {
		e.stringMember("key_type", ctype.Spell(m.Key))
	}
	if m.Value != nil {
		e.stringMember("value_type", ctype.Spell(m.Value))
	}
	e.intMember("key_size", int64(m.KeySize))
	e.intMember("value_size", int64(m.ValueSize))
	if isSection(m) && untyped(m) > 0 {
		e.intMember("untyped", int64(untyped(m)))
	}
	e.intMember("max_entries", int64(m.MaxEntries))
	e.intMember("flags", int64(m.Flags))
	e.hexMember("addr", m.Addr)
	e.stringMember("status", statusName(m.Status))
	e.stringMember("reason", m.Reason)
	e.intMember("held", int64(held(v)))
	e.intMember("total", int64(m.Total))
	perCPU := m.Slots > 1 || m.Type.IsPerCPU()
	if perCPU {
		e.intMember("cpus", int64(max(m.Slots, 1)))
	}
	if err := v.Err(); err != nil {
		e.stringMember("error", err.Error())
	} else if m.Type == ktsnap.MapTypeArena {
		e.extents(m)
	} else {
		e.entries(v, perCPU)
	}
	e.raw("}")
}

func (e *encoder) extents(m *ktsnap.Map) {
	e.member("extents")
	e.raw("[")
	for i, x := range m.Extents {
		if i > 0 {
			e.raw(",")
		}
		e.raw("{")
		e.hexMember("addr", x.Addr)
		e.intMember("bytes", int64(len(x.Data)))
		e.raw("}")
	}
	e.raw("]")
}

func (e *encoder) entries(v ktsnap.MapView, perCPU bool) {
	e.member("entries")
	e.raw("[")
	for i, entry := range v.All() {
		if i > 0 {
			e.raw(",\n")
		}
		if e.left < 0 {
			e.raw(`{"$omitted":true}`)
			break
		}
		e.entry(entry, v.Map(), perCPU)
		if len(e.buf) >= flushAt {
			last := e.buf[len(e.buf)-1]
			e.buf = e.buf[:len(e.buf)-1]
			e.flush()
			e.buf = append(e.buf, last)
		}
	}
	e.raw("]")
}

func (e *encoder) entry(entry ktsnap.Entry, m *ktsnap.Map, perCPU bool) {
	e.raw("{")
	owner, owned := entry.Owner()
	switch {
	case owned:
		e.member("owner")
		e.raw("{")
		e.hexMember("addr", owner.Addr)
		if m.Type == ktsnap.MapTypeTaskStorage {
			e.intMember("pid", int64(owner.PID))
			e.intMember("tgid", int64(owner.TGID))
			e.stringMember("comm", owner.Comm)
		}
		e.raw("}")
	case m.Keys != nil:
		e.member("key")
		e.top(entry.Key())
	}
	if !perCPU {
		e.member("value")
		e.top(entry.Get(""))
		e.raw("}")
		return
	}
	e.member("cpus")
	e.raw("[")
	for cpu := range max(m.Slots, 1) {
		if cpu > 0 {
			e.raw(",")
		}
		value := entry.CPU(cpu).Get("")
		var slot *ktsnap.PerCPUSlotError
		if errors.As(value.Err(), &slot) {
			e.raw("null")
			continue
		}
		e.top(value)
	}
	e.raw("]}")
}

// top writes a value that is in no other.
func (e *encoder) top(v ktsnap.Value) {
	e.parts[maxDepth] = v
	e.value(&e.parts[maxDepth], maxDepth)
}

// value writes a value.
func (e *encoder) value(v *ktsnap.Value, depth int) {
	if e.left--; e.left < 0 || depth <= 0 {
		e.raw(`{"$omitted":true}`)
		return
	}
	switch v.Kind() {
	case "":
		e.raw(`{"$error":`)
		e.text(v.Err().Error())
		e.raw("}")
	case "Struct", "Union":
		e.members(v, depth)
	case "Array":
		if v.IsString() {
			e.chars(v)
			return
		}
		e.buf = append(e.buf, '[')
		for i := range v.Len() {
			if i > 0 {
				e.buf = append(e.buf, ',')
			}
			_, e.parts[depth-1] = v.At(i)
			e.value(&e.parts[depth-1], depth-1)
		}
		e.buf = append(e.buf, ']')
	case "Ptr":
		e.pointer(v, depth)
	default:
		e.scalar(v)
	}
}

func (e *encoder) members(v *ktsnap.Value, depth int) {
	e.buf = append(e.buf, '{')
	fields := e.fields(v)
	for i := range fields {
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.buf = append(e.buf, fields[i].name...)
		v.Part(&fields[i].Member, &e.parts[depth-1])
		e.value(&e.parts[depth-1], depth-1)
	}
	if words, ok := cpuWords(v); ok {
		e.member("$cpus")
		e.text(cpuSet(&words, e.snap.Guest).String())
	}
	if state, ok := kernelStateOf(v); ok {
		e.member(state.member)
		e.raw(state.json)
	}
	e.buf = append(e.buf, '}')
}

// fields returns the members of a struct, none if those of anonymous members in
// it have no end.
func (e *encoder) fields(v *ktsnap.Value) []field {
	s := v.Shape()
	fields, known := e.structs[s]
	if known || v.Len() == 0 {
		return fields
	}
	for _, m := range s.Underlying().Fields() {
		name := m.Name
		if strings.HasPrefix(name, "$") {
			name = "$" + name
		}
		fields = append(fields, field{m, append(appendText(nil, name), ':')})
	}
	e.structs[s] = fields
	return fields
}

// chars writes a char array as a string, and as its bytes if it is not UTF-8.
func (e *encoder) chars(v *ktsnap.Value) {
	s, err := v.Str()
	if err != nil || !utf8.ValidString(s) {
		e.raw(`{"$string":"`)
		e.buf = hex.AppendEncode(e.buf, []byte(s))
		e.raw(`"}`)
		return
	}
	e.text(s)
}

func (e *encoder) scalar(v *ktsnap.Value) {
	switch v.Kind() {
	case "Uint", "Int":
		e.integer(v)
	case "Bool":
		e.buf = v.AppendText(e.buf)
	case "Char":
		n, _ := v.Int64() // of a char: cannot fail
		e.raw("{")
		e.intMember("$char", n)
		e.raw("}")
	case "Float":
		e.float(v)
	case "Enum":
		e.enum(v)
	default:
		e.bytes(v)
	}
}

// maxExact is the largest integer that all readers of JSON read exactly.
const maxExact = 1<<53 - 1

func (e *encoder) integer(v *ktsnap.Value) {
	if n, err := v.Int64(); err == nil && n <= maxExact && n >= -maxExact {
		e.buf = strconv.AppendInt(e.buf, n, 10)
		return
	}
	e.raw(`{"$int":"`)
	at := len(e.buf)
	if v.Kind() == "Enum" {
		if n, err := v.Uint64(); err == nil {
			e.buf = strconv.AppendUint(e.buf, n, 10)
		} else if n, err := v.Int64(); err == nil {
			e.buf = strconv.AppendInt(e.buf, n, 10)
		}
	} else {
		e.buf = v.AppendText(e.buf)
	}
	if len(e.buf) == at {
		e.buf = append(e.buf, '0')
	}
	e.raw(`"}`)
}

func (e *encoder) float(v *ktsnap.Value) {
	f, err := v.Float64()
	switch {
	case err != nil:
		e.bytes(v)
	case math.IsNaN(f) || math.IsInf(f, 0):
		e.raw(`{"$float":"` + strconv.FormatFloat(f, 'g', -1, 64) + `"}`)
	default:
		at := len(e.buf)
		e.buf = strconv.AppendFloat(e.buf, f, 'g', -1, 64)
		for _, c := range e.buf[at:] {
			if c == '.' || c == 'e' {
				return
			}
		}
		e.raw(".0")
	}
}

func (e *encoder) enum(v *ktsnap.Value) {
	e.raw("{")
	e.member("$enum")
	if name, err := v.Str(); err == nil {
		e.text(name)
	} else {
		e.raw("null")
	}
	e.member("$value")
	e.integer(v)
	e.raw("}")
}

func (e *encoder) bytes(v *ktsnap.Value) {
	b, _ := v.Bytes() // of a value that was found: cannot fail
	e.raw(`{"$bytes":"`)
	e.buf = hex.AppendEncode(e.buf, b)
	e.raw(`"}`)
}

// pointer writes an address, what is known of it, and what is there if this is
// the first pointer to it.
func (e *encoder) pointer(v *ktsnap.Value, depth int) {
	addr, _ := v.Uint64() // of a pointer: cannot fail
	t := e.follow(v)
	e.raw("{")
	e.hexMember("$ptr", addr)
	e.stringMember("$cast", v.Annotation())
	if t.place != "" {
		e.stringMember("$at", t.place)
		e.intMember("$map", int64(t.at.Map.ID))
		e.intMember("$entry", int64(t.at.Entry))
	}
	e.stringMember("$function", t.function)
	e.stringMember("$why", t.note)
	if t.cycle {
		e.member("$cycle")
		e.raw("true")
	}
	e.stringMember("$reason", t.reason)
	if t.shown {
		e.enter(&t)
		e.member("$to")
		e.value(&t.value, depth-1)
		e.leave()
	}
	e.raw("}")
}
