package dump

import (
	"fmt"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file writes maps: as tables where entries look alike, and else entry by
// entry.

func (p *printer) showMap(v ktsnap.MapView) {
	m := v.Map()
	p.shown, p.alike = v, nil
	p.colored(bold, clean(m.Name))
	p.buf = append(p.buf, "  "+m.Type.String()+"  "...)
	p.colored(dim, idText(v))
	if text := entriesText(v); text != "" {
		p.buf = append(p.buf, "  "+text...)
	}
	c := green
	if m.Status != ktsnap.Complete {
		c = red
	}
	p.buf = append(p.buf, "  "...)
	p.colored(c, statusText(m))
	p.line()
	if types := typesText(m); types != "" {
		p.indent(2)
		p.colored(dim, types)
		p.line()
	}
	if err := v.Err(); err != nil {
		if m.Status == ktsnap.Complete || m.Status == ktsnap.Truncated {
			p.indent(2)
			p.failure(err)
			p.line()
		}
		return
	}
	switch {
	case m.Type == ktsnap.MapTypeArena:
		p.arena(m)
	case isSection(m):
		p.section(v)
	case m.Slots > 1 || m.Type.IsPerCPU():
		p.perCPU(v)
	default:
		p.entries(v)
	}
}

// idText says by which id the kernel has a map.
func idText(v ktsnap.MapView) string {
	if arena := v.Arena(); arena != nil {
		return "in arena id " + strconv.FormatUint(uint64(arena.ID), 10)
	}
	return "id " + strconv.FormatUint(uint64(v.Map().ID), 10)
}

func isSection(m *ktsnap.Map) bool {
	return m.Value != nil && m.Value.Kind == ctype.KindSection && !m.Type.IsRing()
}

func entriesText(v ktsnap.MapView) string {
	m := v.Map()
	if m.Type == ktsnap.MapTypeArena || isSection(m) {
		return ""
	}
	n := held(v)
	if n == 1 {
		return "1 entry"
	}
	return strconv.Itoa(n) + " entries"
}

// held is how many entries of a map a snapshot holds, the records of a ring
// buffer among them.
func held(v ktsnap.MapView) int {
	n, _ := v.Partial().Len() // none if the map cannot be read
	return n
}

func (p *printer) arena(m *ktsnap.Map) {
	total := 0
	for _, x := range m.Extents {
		total += len(x.Data)
	}
	p.indent(2)
	p.buf = append(p.buf, fmt.Sprintf("%s captured; what pointers lead to is shown where they are", size(total))...)
	p.line()
}

// section writes each variable in a line.
func (p *printer) section(v ktsnap.MapView) {
	if m := v.Map(); m.N == 0 && m.Status != ktsnap.Complete {
		return // the line above says why
	}
	value := v.At(0).Get("")
	if value.Err() != nil {
		p.indent(2)
		p.failure(value.Err())
		p.line()
		return
	}
	if p.hidden(&value) {
		p.indent(2)
		p.colored(dim, "zero")
		p.line()
		return
	}
	for i := range value.Len() {
		name, member := value.At(i)
		if p.hidden(&member) {
			continue
		}
		p.indent(2)
		p.name(name)
		p.value(&member, 2, maxDepth)
		p.line()
	}
}

// label names an entry in its map: by its index, its key or its owner.
func (p *printer) label(e ktsnap.Entry, room int) {
	if owner, ok := e.Owner(); ok {
		if owner.PID != 0 || owner.Comm != "" {
			p.buf = append(p.buf, fmt.Sprintf("%d %s", owner.PID, clean(owner.Comm))...)
			return
		}
		p.buf = append(p.buf, fmt.Sprintf("%#x", owner.Addr)...)
		return
	}
	p.key = e.Key()
	start := len(p.buf)
	if !p.shortened(&p.key, room) {
		return
	}
	if p.alike[room] == nil {
		p.findAlike(room)
	}
	if p.alike[room][string(p.buf[start:])] {
		p.buf = p.buf[:start]
		p.whole = true
		p.shortened(&p.key, maxKey)
		p.whole = false
	}
}

// shortened writes a key, and tells whether a part of it is left out.
func (p *printer) shortened(key *ktsnap.Value, room int) bool {
	start := len(p.buf)
	p.leftOut = false
	if p.inline(key, room, maxDepth) {
		return p.leftOut
	}
	end := start
	for end < len(p.buf) && end-start < room {
		end++
	}
	p.buf = append(p.buf[:end], "..."...)
	p.off()
	return true
}

// findAlike finds what keys of the map are written as that others are written as, too.
func (p *printer) findAlike(room int) {
	if p.alike == nil {
		p.alike = make(map[int]map[string]bool)
	}
	start, followed, left := len(p.buf), len(p.order), p.left
	seen := make(map[string]bool) // whether there are several
	for i := range held(p.shown) {
		key := p.shown.At(i).Key()
		if p.shortened(&key, room) {
			text := string(p.buf[start:])
			_, several := seen[text]
			seen[text] = several
		}
		p.buf = p.buf[:start]
	}
	p.forget(followed)
	p.left, p.alike[room] = left, seen
}

// chunk is how many entries a table has.
const chunk = 256

// entries writes the entries of a map that has one value for each.
func (p *printer) entries(v ktsnap.MapView) {
	n, zero := held(v), []int(nil)
	indexed := v.Map().Keys == nil && len(v.Map().Owners) == 0
	var batch []int
	show := func() {
		if !p.table(v, batch) {
			for _, i := range batch {
				p.entry(v.At(i), -1)
			}
		}
		batch = batch[:0]
	}
	for i := range n {
		if p.left < 0 {
			break
		}
		if indexed {
			if p.entryValue = v.At(i).Get(""); p.hidden(&p.entryValue) {
				zero = append(zero, i)
				continue
			}
		}
		if batch = append(batch, i); len(batch) == chunk {
			show()
		}
	}
	show()
	p.zeroEntries(zero)
	p.exhausted()
}

func (p *printer) zeroEntries(zero []int) {
	if len(zero) == 0 {
		return
	}
	text := ktsnap.CPUMaskOf(zero[:min(len(zero), 1<<12)]...).String()
	if most := p.width - 12; len(text) > most || len(zero) > 1<<12 {
		text = text[:min(len(text), most)] + "..."
	}
	p.indent(2)
	p.colored(dim, "zero: "+text)
	p.line()
}

func (p *printer) exhausted() {
	if p.left < 0 {
		p.indent(2)
		p.colored(red, "!! the rest is left out: its types show the same bytes too often")
		p.line()
	}
}

// entry writes one entry, for a CPU if cpu is not negative.
func (p *printer) entry(e ktsnap.Entry, cpu int) {
	p.indent(2)
	p.on(bold)
	p.buf = append(p.buf, '[')
	p.label(e, p.width/2)
	p.buf = append(p.buf, ']')
	p.off()
	if cpu >= 0 {
		e = e.CPU(cpu)
		p.buf = append(p.buf, " cpu "+strconv.Itoa(cpu)...)
	}
	p.buf = append(p.buf, ' ')
	value := e.Get("")
	p.value(&value, 2, maxDepth)
	p.line()
}

// cells are the texts of a table, row by row.
type cells struct {
	text   []byte
	ends   []int
	widths []int // columns of the terminal that each takes
}

// tables returns n empty tables, in the memory of those before them.
func (p *printer) tables(n int) []cells {
	for len(p.cells) < n {
		p.cells = append(p.cells, cells{})
	}
	for i := range n {
		c := &p.cells[i]
		c.text, c.ends, c.widths = c.text[:0], c.ends[:0], c.widths[:0]
	}
	return p.cells[:n]
}

// end ends a cell, which takes the text from byte at on, and returns its width.
func (c *cells) end(at int, plain bool) int {
	width := len(c.text) - at
	if !plain {
		width = visible(c.text[at:])
	}
	c.ends, c.widths = append(c.ends, len(c.text)), append(c.widths, width)
	return width
}

func (c *cells) cell(i int) []byte {
	start := 0
	if i > 0 {
		start = c.ends[i-1]
	}
	return c.text[start:c.ends[i]]
}

// Bounds of tables.
const (
	maxColumns = 48 // leaves of a value, those that are always zero included
	maxCell    = 40 // columns of the terminal
	maxRows    = 256
	maxKey     = 1 << 16 // columns of a key that would else look like another one
)

// leaf is a part of a value that is a cell of a table.
type leaf struct {
	name    string
	part    ctype.Member // of the value
	numeric bool
	scalar  bool // it has no parts, and leads nowhere
	used    bool // it is not zero somewhere
	width   int
}

// leaves returns the parts of values of v's type that are cells; ok is false if
// there are more than limit, or parts that are no cells. The value is a part of
// the one whose cells they are.
func leaves(v *ktsnap.Value, prefix string, part ctype.Member, limit int, all []leaf) (_ []leaf, ok bool) {
	if v.Err() != nil {
		return all, false
	}
	if isLeaf(v) || v.Kind() == "Array" {
		return appendLeaf(v, prefix, part, all), len(all) < limit
	}
	for i, m := range v.Shape().Underlying().Fields() {
		name, member := v.At(i)
		if prefix != "" {
			name = prefix + "." + name
		}
		m = m.Within(&part)
		if _, _, isList := m.Contains(); isList || m.Bits > 0 {
			all, ok = appendLeaf(&member, name, m, all), len(all) < limit
		} else {
			all, ok = leaves(&member, name, m, limit, all)
		}
		if !ok {
			return all, false
		}
	}
	return all, true
}

func appendLeaf(v *ktsnap.Value, name string, part ctype.Member, all []leaf) []leaf {
	kind := v.Kind()
	if name == "" {
		name = "value"
	}
	return append(all, leaf{
		name: clean(name), part: part, numeric: kind == "Uint" || kind == "Int" || kind == "Float",
		scalar: kind == "Enum" || kind == "Bool" || kind == "Char" || v.IsString(),
	})
}

// fill adds the cells of a value, one for each of its leaves; ok is false if
// one is too wide.
func (p *printer) fill(c *cells, v *ktsnap.Value, columns []leaf) (ok bool) {
	for i := range columns {
		l := &columns[i]
		v.Part(&l.part, &p.part)
		if !l.used && !p.part.IsZero() {
			l.used = true
		}
		if !p.cellOf(c, &p.part, l) {
			return false
		}
	}
	return true
}

// cellOf adds a cell, which is text that inline writes.
func (p *printer) cellOf(c *cells, v *ktsnap.Value, l *leaf) bool {
	start := len(c.text)
	if l.numeric && p.spend() {
		c.text = v.AppendText(c.text)
		l.width = max(l.width, c.end(start, true))
		return true
	}
	at, ok := len(p.buf), true
	if l.scalar && p.spend() {
		p.scalar(v)
		ok = !p.over(at, maxCell)
	} else {
		ok = p.try(v, maxCell, maxDepth)
	}
	c.text = append(c.text, p.buf[at:]...)
	p.buf = p.buf[:at]
	l.width = max(l.width, c.end(start, false))
	return ok
}

// table writes entries as rows; it writes nothing and returns false if they do
// not fit into lines.
func (p *printer) table(v ktsnap.MapView, entries []int) bool {
	if len(entries) < 2 {
		return false
	}
	first := v.At(entries[0]).Get("")
	columns, ok := leaves(&first, "", ctype.Whole(first.Shape()), maxColumns, []leaf{{name: keyTitle(v.Map()), used: true}})
	if !ok || first.Kind() == "Bytes" {
		return false
	}
	before, left := len(p.order), p.left
	c := &p.tables(1)[0]
	for _, i := range entries {
		e := v.At(i)
		p.labelCell(c, e, &columns[0])
		p.entryValue = e.Get("")
		if p.entryValue.Err() != nil || !p.fill(c, &p.entryValue, columns[1:]) {
			p.forget(before)
			p.left = left
			return false
		}
	}
	if !p.fits(columns) {
		p.forget(before)
		p.left = left
		return false
	}
	p.rows(c, columns, len(entries))
	return true
}

// labelCell adds the cell that names an entry.
func (p *printer) labelCell(c *cells, e ktsnap.Entry, l *leaf) {
	start, at := len(c.text), len(p.buf)
	p.label(e, max(maxCell, p.width*2/5))
	c.text = append(c.text, p.buf[at:]...)
	p.buf = p.buf[:at]
	l.width = max(l.width, c.end(start, false))
}

func keyTitle(m *ktsnap.Map) string {
	switch {
	case m.Type == ktsnap.MapTypeTaskStorage:
		return "task"
	case len(m.Owners) > 0:
		return "owner"
	case m.Keys == nil:
		return "index"
	}
	return "key"
}

// fits finds out how wide columns are, and whether the screen is.
func (p *printer) fits(columns []leaf) bool {
	total := 2
	for i := range columns {
		if l := &columns[i]; l.used || p.o.Zeros {
			l.width = max(l.width, len(l.name))
			total += l.width + 2
		}
	}
	return total-2 <= p.width
}

func (p *printer) rows(c *cells, columns []leaf, n int) {
	var shown []int
	for i := range columns {
		if columns[i].used || p.o.Zeros {
			shown = append(shown, i)
		}
	}
	p.indent(2)
	for at, i := range shown {
		p.on(dim)
		p.pad([]byte(columns[i].name), len(columns[i].name), &columns[i], at == len(shown)-1)
		p.off()
	}
	p.line()
	for row := range n {
		p.indent(2)
		for at, i := range shown {
			cell := row*len(columns) + i
			p.pad(c.cell(cell), c.widths[cell], &columns[i], at == len(shown)-1)
		}
		p.line()
	}
}

// pad writes a cell that takes width columns and the space to the next one.
func (p *printer) pad(text []byte, width int, l *leaf, last bool) {
	space := l.width - width
	if l.numeric {
		p.indent(space)
		space = 0
	}
	p.buf = append(p.buf, text...)
	if !last {
		p.indent(space + 2)
	}
}

// perCPU writes a column for each CPU.
func (p *printer) perCPU(v ktsnap.MapView) {
	n := held(v)
	var zero []int
	for i := range n {
		if p.left < 0 {
			break
		}
		e := v.At(i)
		if v.Map().Keys == nil && p.allZero(e, v.Map().Slots) {
			zero = append(zero, i)
			continue
		}
		if !p.cpuTable(e, v.Map().Slots) {
			for cpu := range v.Map().Slots {
				p.entry(e, cpu)
			}
		}
	}
	p.zeroEntries(zero)
	p.exhausted()
}

func (p *printer) allZero(e ktsnap.Entry, cpus int) bool {
	for cpu := range cpus {
		if value := e.CPU(cpu).Get(""); value.Err() == nil && !p.hidden(&value) {
			return false
		}
	}
	return true
}

// cpuTable writes an entry with a row for each leaf and a column for each CPU.
func (p *printer) cpuTable(e ktsnap.Entry, cpus int) bool {
	var names []leaf
	ok := false
	for cpu := range cpus {
		if value := e.CPU(cpu).Get(""); value.Err() == nil {
			names, ok = leaves(&value, "", ctype.Whole(value.Shape()), maxRows, nil)
			ok = ok && value.Kind() != "Bytes"
			break
		}
	}
	if !ok {
		return false
	}
	before, left := len(p.order), p.left
	columns := p.tables(cpus)
	for cpu := range cpus {
		p.entryValue = e.CPU(cpu).Get("")
		if p.entryValue.Err() == nil && !p.fill(&columns[cpu], &p.entryValue, names) {
			p.forget(before)
			p.left = left
			return false
		}
	}
	p.indent(2)
	p.on(bold)
	p.buf = append(p.buf, '[')
	p.label(e, p.width/2)
	p.buf = append(p.buf, ']')
	p.off()
	p.line()
	p.cpuColumns(names, columns)
	return true
}

// cpuColumns writes as many CPUs side by side as fit, and the others below.
func (p *printer) cpuColumns(names []leaf, columns []cells) {
	title := leaf{}
	for _, l := range names {
		if l.used || p.o.Zeros {
			title.width = max(title.width, len(l.name))
		}
	}
	for cpu := 0; cpu < len(columns); {
		var shown []leaf
		room := p.width - 4 - title.width - 2
		for next := cpu; next < len(columns); next++ {
			l := leaf{name: "cpu " + strconv.Itoa(next), numeric: true}
			l.width = max(len(l.name), columns[next].widest(names, p.o.Zeros))
			if room -= l.width + 2; room < 0 && len(shown) > 0 {
				break
			}
			shown = append(shown, l)
		}
		p.cpuRows(names, title, columns[cpu:], shown)
		cpu += len(shown)
	}
}

func (c *cells) widest(names []leaf, all bool) int {
	widest := len("-")
	for i := range c.ends {
		if names[i].used || all {
			widest = max(widest, c.widths[i])
		}
	}
	return widest
}

func (p *printer) cpuRows(names []leaf, title leaf, columns []cells, shown []leaf) {
	p.indent(4)
	p.pad(nil, 0, &title, false)
	for i := range shown {
		p.on(dim)
		p.pad([]byte(shown[i].name), len(shown[i].name), &shown[i], i == len(shown)-1)
		p.off()
	}
	p.line()
	for row := range names {
		if !names[row].used && !p.o.Zeros {
			continue
		}
		p.indent(4)
		p.on(blue)
		p.pad([]byte(names[row].name), len(names[row].name), &title, false)
		p.off()
		for i := range shown {
			text, width := []byte("-"), 1
			if row < len(columns[i].ends) {
				text, width = columns[i].cell(row), columns[i].widths[row]
			}
			p.pad(text, width, &shown[i], i == len(shown)-1)
		}
		p.line()
	}
}
