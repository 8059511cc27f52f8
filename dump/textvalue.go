package dump

import (
	"fmt"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file writes values: in one line if that fits, and else with a line for
// each part.

// value writes what a line that is indented by indent columns ends with.
func (p *printer) value(v *ktsnap.Value, indent, depth int) {
	if !p.try(v, p.width-p.column(len(p.buf)), depth) {
		p.block(v, indent, depth)
	}
}

// try writes a value in this line, or nothing if that needs more than room
// columns.
func (p *printer) try(v *ktsnap.Value, room, depth int) bool {
	start, followed := len(p.buf), len(p.order)
	if p.inline(v, room, depth) {
		return true
	}
	p.buf = p.buf[:start]
	p.forget(followed)
	return false
}

// column is where in its line the byte at an index of the buffer is.
func (p *printer) column(at int) int {
	start := at
	for start > 0 && p.buf[start-1] != '\n' {
		start--
	}
	return visible(p.buf[start:at])
}

// over tells whether what was written from start on needs more than room
// columns, or certainly will.
func (p *printer) over(start, room int) bool {
	n := len(p.buf) - start
	switch {
	case n <= room:
		return false
	case n > 8*room+64:
		return true
	}
	return visible(p.buf[start:]) > room
}

// spend counts a value; it is false if there were too many.
func (p *printer) spend() bool {
	p.left--
	return p.left >= 0
}

// inline writes a value in one line. It gives up, with false, if that needs more
// than room columns.
func (p *printer) inline(v *ktsnap.Value, room, depth int) bool {
	start := len(p.buf)
	if !p.spend() || depth <= 0 {
		p.colored(dim, "...")
		return true
	}
	if words, ok := cpuWords(v); ok {
		p.cpus(&words)
		return !p.over(start, room)
	}
	switch v.Kind() {
	case "":
		p.failure(v.Err())
	case "Struct", "Union":
		if state, ok := kernelStateOf(v); ok {
			p.colored(dim, state.text)
			break
		}
		return p.inlineStruct(v, start, room, depth)
	case "Array":
		if !v.IsString() {
			return p.inlineArray(v, start, room, depth)
		}
		p.scalar(v)
	case "Ptr":
		return p.inlinePointer(v, start, room, depth)
	default:
		p.scalar(v)
	}
	return !p.over(start, room)
}

func (p *printer) cpus(words *ktsnap.Value) {
	text := cpuSet(words, p.snap.Guest).String()
	if text == "" {
		text = "none"
	}
	p.colored(cyan, "CPUs "+text)
}

func (p *printer) failure(err error) {
	p.colored(red, "!! "+clean(err.Error()))
}

// scalar writes what has neither members nor elements.
func (p *printer) scalar(v *ktsnap.Value) {
	switch v.Kind() {
	case "Bytes":
		p.bytes(v)
	case "Array":
		p.on(green)
		p.buf = v.AppendText(p.buf)
		p.off()
	case "Enum":
		p.on(yellow)
		at := len(p.buf)
		p.buf = v.AppendText(p.buf)
		p.cleanFrom(at)
		p.off()
	default:
		p.buf = v.AppendText(p.buf)
	}
}

// cleanFrom makes what was written from at on fit for a line.
func (p *printer) cleanFrom(at int) {
	if text := p.buf[at:]; !isClean(text) {
		p.buf = append(p.buf[:at], clean(string(text))...)
	}
}

// bytes writes the beginning of a value without a type.
func (p *printer) bytes(v *ktsnap.Value) {
	at := len(p.buf)
	p.buf = v.AppendText(p.buf)
	if end := at + len("0x") + 2*maxBytes; len(p.buf) > end && !p.whole {
		p.leftOut = true
		p.buf = p.buf[:end]
		p.colored(dim, fmt.Sprintf(" ... %d bytes more", v.Size()-maxBytes))
	}
}

func (p *printer) name(name string) {
	p.on(blue)
	p.buf = append(p.buf, clean(name)...)
	p.off()
	p.buf = append(p.buf, ": "...)
}

func (p *printer) hidden(v *ktsnap.Value) bool { return !p.o.Zeros && v.Err() == nil && v.IsZero() }

func (p *printer) inlineStruct(v *ktsnap.Value, start, room, depth int) bool {
	p.buf = append(p.buf, '{')
	shown := false
	for i := range v.Len() {
		name, member := v.At(i)
		if p.hidden(&member) {
			continue
		}
		if shown {
			p.buf = append(p.buf, ", "...)
		}
		shown = true
		p.name(name)
		if !p.inline(&member, room, depth-1) || p.over(start, room) {
			return false
		}
	}
	if !shown && v.Len() > 0 {
		p.buf = append(p.buf, '0')
	}
	p.buf = append(p.buf, '}')
	return !p.over(start, room)
}

func (p *printer) inlineArray(v *ktsnap.Value, start, room, depth int) bool {
	n := v.Len()
	if n > 0 && p.hidden(v) {
		p.buf = append(p.buf, "{0}"...)
		return true
	}
	p.buf = append(p.buf, '[')
	for i, length := 0, 0; i < n; i += length {
		_, elem := v.At(i)
		length = p.run(v, &elem, i)
		if i > 0 {
			p.buf = append(p.buf, ", "...)
		}
		if n > maxElems && i >= headElems && !p.whole {
			p.leftOut = true
			p.colored(dim, fmt.Sprintf("... %d more", n-i))
			break
		}
		if !p.inline(&elem, room, depth-1) {
			return false
		}
		p.times(length)
		if p.over(start, room) {
			return false
		}
	}
	if v.MayHaveMore() {
		if n > 0 {
			p.buf = append(p.buf, ", "...)
		}
		p.colored(dim, "...?")
	}
	p.buf = append(p.buf, ']')
	return !p.over(start, room)
}

// minRun is from how many equal elements on only one is shown.
const minRun = 4

// run returns how many elements from i on are equal and shown as one.
func (p *printer) run(array, first *ktsnap.Value, i int) int {
	n := 1
	for j := i + 1; j < array.Len(); j++ {
		if _, elem := array.At(j); !elem.SameBits(first) {
			break
		}
		n++
	}
	if n < minRun {
		return 1
	}
	return n
}

func (p *printer) times(n int) {
	if n > 1 {
		p.colored(dim, " ×"+strconv.Itoa(n))
	}
}

// inlinePointer writes an address, where it leads, and in braces what is there.
func (p *printer) inlinePointer(v *ktsnap.Value, start, room, depth int) bool {
	t := p.follow(v)
	p.address(v, &t, depth)
	if !t.shown {
		return !p.over(start, room)
	}
	p.enter(&t)
	p.buf = append(p.buf, ' ')
	ok := p.inline(&t.value, room-visible(p.buf[start:]), depth-1)
	p.leave()
	return ok && !p.over(start, room)
}

// address writes a pointer, without what is there that is entered.
func (p *printer) address(v *ktsnap.Value, t *target, depth int) {
	p.on(cyan)
	p.buf = v.AppendText(p.buf)
	p.off()
	if how := v.Annotation(); how != "" {
		p.colored(dim, " ("+how+")")
	}
	switch {
	case t.place != "":
		p.buf = append(p.buf, " → "...)
		p.buf = append(p.buf, clean(t.place)...)
	case t.function != "":
		p.buf = append(p.buf, " → "...)
		p.buf = append(p.buf, clean(t.function)...)
	case t.identity != nil:
		p.buf = append(p.buf, " →"...)
		p.brief(t, depth)
	case t.shown:
		p.buf = append(p.buf, " →"...)
	}
	switch {
	case t.cycle:
		p.colored(dim, " (cycle)")
	case t.note != "":
		note := t.note
		if t.reason != "" {
			note += ": " + clean(t.reason)
		}
		p.colored(dim, " ("+note+")")
	}
}

// block writes a value in several lines.
func (p *printer) block(v *ktsnap.Value, indent, depth int) {
	if depth <= 0 || p.left < 0 {
		p.colored(dim, "...")
		return
	}
	switch {
	case v.Kind() == "Ptr":
		t := p.follow(v)
		p.address(v, &t, depth)
		if t.shown {
			p.enter(&t)
			p.block(&t.value, indent, depth-1)
			p.leave()
		}
	case v.Kind() == "Struct" || v.Kind() == "Union":
		p.members(v, indent+2, depth, true)
	case v.Kind() == "Array" && !v.IsString():
		p.elements(v, indent+2, depth)
	default:
		p.inline(v, 1<<30, depth)
	}
}

// members writes the members of a struct: several in a line, or each in one of
// its own.
func (p *printer) members(v *ktsnap.Value, indent, depth int, packed bool) {
	fresh := true // the line has members of this struct already
	for i := range v.Len() {
		name, member := v.At(i)
		if p.hidden(&member) || p.left < 0 {
			continue
		}
		start := len(p.buf)
		if !fresh && packed {
			used := p.column(start)
			p.buf = append(p.buf, "  "...)
			p.name(name)
			if p.try(&member, p.width-used-len(name)-4, depth-1) {
				continue
			}
			p.buf = p.buf[:start]
		}
		p.line()
		p.indent(indent)
		at := len(p.buf)
		p.name(name)
		p.value(&member, indent, depth-1)
		fresh = len(p.buf) < at || hasLine(p.buf[at:])
	}
}

func hasLine(b []byte) bool {
	for _, c := range b {
		if c == '\n' {
			return true
		}
	}
	return false
}

// elements writes the elements of an array, those that are scalars several in a
// line.
func (p *printer) elements(v *ktsnap.Value, indent, depth int) {
	_, first := v.At(0)
	scalars := isLeaf(&first)
	if scalars {
		p.line()
		p.indent(indent)
	}
	shown := 0
	for i, length := 0, 0; i < v.Len() && p.left >= 0; i += length {
		_, elem := v.At(i)
		length = p.run(v, &elem, i)
		switch {
		case p.hidden(&elem) && !scalars:
			continue
		case v.Len() > maxElems && shown >= headElems:
			p.more(v.Len()-i, indent, scalars)
			return
		case !scalars:
			p.element(&elem, i, length, indent, depth)
		default:
			if shown > 0 {
				p.buf = append(p.buf, ' ')
			}
			p.wrap(&elem, length, indent, depth)
		}
		shown++
	}
}

func (p *printer) more(n, indent int, scalars bool) {
	if scalars {
		p.buf = append(p.buf, ' ')
	} else {
		p.line()
		p.indent(indent)
	}
	p.colored(dim, fmt.Sprintf("... %d more", n))
}

func (p *printer) element(elem *ktsnap.Value, i, length, indent, depth int) {
	p.line()
	p.indent(indent)
	label := fmt.Sprintf("[%d]", i)
	if length > 1 {
		label = fmt.Sprintf("[%d-%d]", i, i+length-1)
	}
	p.colored(blue, label)
	p.buf = append(p.buf, ' ')
	p.value(elem, indent, depth-1)
}

// wrap writes a scalar, in the next line if this one is full.
func (p *printer) wrap(elem *ktsnap.Value, length, indent, depth int) {
	start := len(p.buf)
	column := p.column(start)
	if p.try(elem, p.width-column-4, depth-1) {
		p.times(length)
		return
	}
	if column > indent {
		p.line()
		p.indent(indent)
	}
	p.inline(elem, 1<<30, depth-1)
	p.times(length)
}

// isLeaf tells whether a value has no parts that are shown for themselves.
func isLeaf(v *ktsnap.Value) bool {
	switch v.Kind() {
	case "Struct", "Union":
		_, mask := cpuWords(v)
		_, state := kernelStateOf(v)
		return mask || state
	case "Array":
		return v.IsString()
	}
	return true
}
