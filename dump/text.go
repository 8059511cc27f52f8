package dump

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
)

// Options says what [Text] shows, and how. The zero value shows everything
// that is not zero, without colours, for a terminal of 100 columns.
type Options struct {
	Maps   []string // show only these, by the names that [ktsnap.Snapshot.Map] takes
	Width  int      // columns of a line; 0 stands for 100
	Color  bool     // with the colours of ANSI terminals; see [Colored]
	Zeros  bool     // show members, elements and entries that are zero, too
	Kernel bool     // show all members of the kernel's objects, not only what tells them apart ([ktsnap.KernelIdentity])
}

const (
	defaultWidth = 100
	minWidth     = 40

	maxElems  = 32 // elements of an array that are shown
	headElems = 24 // of a longer one
	maxBytes  = 32 // bytes of a value without a type
	maxDepth  = 64
)

// Text writes a snapshot for a person to read. An error is one of w, or says
// which of o.Maps the snapshot does not have.
func Text(w io.Writer, s *ktsnap.Snapshot, o Options) error {
	p := newPrinter(w, s, o)
	views, err := choose(s, o.Maps)
	if err != nil {
		return err
	}
	if len(o.Maps) == 0 {
		p.header(views)
	}
	for i, v := range views {
		if i > 0 || len(o.Maps) == 0 {
			p.line()
		}
		p.showMap(v)
	}
	if len(o.Maps) == 0 {
		p.showScheduling()
	}
	p.flush()
	return p.err
}

// showScheduling shows what the kernel kept of tasks, CPUs and queues, if it is there.
func (p *printer) showScheduling() {
	state, err := sched.Open(p.snap)
	if err != nil {
		return
	}
	p.line()
	p.colored(bold, "scheduling")
	p.line()
	p.flush()
	if p.err == nil {
		p.err = state.WriteText(p.w, sched.Rows{})
	}
}

// choose returns the maps of these names, all if there are none.
func choose(s *ktsnap.Snapshot, names []string) ([]ktsnap.MapView, error) {
	if len(names) == 0 {
		return s.Views(), nil
	}
	var views []ktsnap.MapView
	for _, name := range names {
		v := s.Map(name)
		if v.Map() == nil {
			return nil, v.Err()
		}
		chosen := func(other ktsnap.MapView) bool { return other.Map() == v.Map() }
		if !slices.ContainsFunc(views, chosen) {
			views = append(views, v)
		}
	}
	return views, nil
}

// printer writes text. What it has written is kept in buf until there is much
// of it.
type printer struct {
	*chaser
	w     io.Writer
	err   error
	buf   []byte
	o     Options
	width int
	left  int // values that may still be shown: damaged types can show bytes often

	// What tables are being made of; here so that they are not allocated.
	entryValue, part, key ktsnap.Value
	cells                 []cells

	// How the keys of the map that is shown are written.
	shown   ktsnap.MapView
	alike   map[int]map[string]bool // by room, what is left of keys: whether several have it
	whole   bool                    // nothing of values is left out
	leftOut bool                    // something was
}

func newPrinter(w io.Writer, s *ktsnap.Snapshot, o Options) *printer {
	p := &printer{chaser: newChaser(s), w: w, o: o, width: o.Width, left: workLimit(s)}
	p.chaser.brief = !o.Kernel
	if p.width <= 0 {
		p.width = defaultWidth
	}
	p.width = max(p.width, minWidth)
	return p
}

// workLimit bounds the values that a dump of a snapshot has: unions show the
// same bytes several times, and hostile ones as often as they like.
func workLimit(s *ktsnap.Snapshot) int {
	n := 1 << 20
	for _, v := range s.Views() {
		n += 4 * (len(v.Map().Values) + len(v.Map().Keys))
	}
	return n
}

const flushAt = 1 << 16 // bytes

// line ends a line, without spaces at its end.
func (p *printer) line() {
	for len(p.buf) > 0 && p.buf[len(p.buf)-1] == ' ' {
		p.buf = p.buf[:len(p.buf)-1]
	}
	p.buf = append(p.buf, '\n')
	if len(p.buf) >= flushAt {
		p.flush()
	}
}

func (p *printer) flush() {
	if p.err == nil && len(p.buf) > 0 {
		_, p.err = p.w.Write(p.buf)
	}
	p.buf = p.buf[:0]
}

func (p *printer) indent(n int) {
	for ; n > len(spaces); n -= len(spaces) {
		p.buf = append(p.buf, spaces...)
	}
	p.buf = append(p.buf, spaces[:n]...)
}

const spaces = "                                                                "

// Colours, as ANSI terminals take them.
type color string

const (
	bold   color = "\x1b[1m"
	dim    color = "\x1b[2m"
	red    color = "\x1b[31m"
	green  color = "\x1b[32m"
	yellow color = "\x1b[33m"
	blue   color = "\x1b[34m"
	cyan   color = "\x1b[36m"
	reset  color = "\x1b[0m"
)

func (p *printer) on(c color) {
	if p.o.Color {
		p.buf = append(p.buf, c...)
	}
}

func (p *printer) off() { p.on(reset) }

func (p *printer) colored(c color, text string) {
	p.on(c)
	p.buf = append(p.buf, text...)
	p.off()
}

// header says what was captured when, and what that cost.
func (p *printer) header(views []ktsnap.MapView) {
	s := p.snap
	title := "snapshot"
	if s.Name != "" {
		title += " " + clean(s.Name)
	}
	p.colored(bold, title)
	if !s.Taken.IsZero() {
		p.buf = append(p.buf, "  "+s.Taken.UTC().Format("2006-01-02 15:04:05.000 UTC")...)
	}
	if s.Scheduler.State != "" {
		p.buf = append(p.buf, "  "+clean(s.Scheduler.String())...)
	}
	p.line()
	p.fact("guest", guestText(s.Guest))
	p.fact("paused", timingText(s.Timing))
	p.fact("maps", countStatuses(views))
	if s.KernelReason != "" {
		p.fact("kernel", clean(s.KernelReason))
	}
	if !p.o.Zeros {
		p.fact("note", "members, elements and entries that are zero are left out")
	}
	if p.chaser.brief && slices.ContainsFunc(s.Kernel, func(o ktsnap.KernelObject) bool { return ktsnap.KernelIdentity(o.Name) != nil }) {
		p.fact("note", "of the kernel's tasks what tells them apart is shown; ktgen dump -kernel shows all of them")
	}
}

func (p *printer) fact(name, text string) {
	p.colored(dim, fmt.Sprintf("%-8s ", name))
	p.buf = append(p.buf, text...)
	p.line()
}

// guestText describes a guest in a line.
func guestText(g ktsnap.Guest) string {
	parts := []string{fmt.Sprintf("%d possible CPUs", g.CPUs)}
	if g.CPUs == 1 {
		parts[0] = "1 possible CPU"
	}
	if g.Release != "" {
		parts = append([]string{"Linux " + clean(g.Release)}, parts...)
	}
	if g.Arch != "" {
		parts = append(parts, clean(g.Arch))
	}
	if online := ktsnap.CPUMaskOf(slices.DeleteFunc(slices.Clone(g.Online), impossible)...); !online.IsEmpty() {
		parts = append(parts, "online "+online.String())
	}
	return strings.Join(parts, ", ")
}

// maxCPUs is more than the kernel has.
const maxCPUs = 1 << 16

// impossible tells whether no CPU has an id.
func impossible(id int) bool { return id < 0 || id >= maxCPUs }

// timingText says how long a guest stood still, in a line.
func timingText(t ktsnap.Timing) string {
	if t == (ktsnap.Timing{}) {
		return "not at all: the snapshot is not of a running guest"
	}
	return fmt.Sprintf("%s (stop %s, walk %s, copy %s, tables %s, chase %s, resume %s), %s copied",
		short(t.Paused), short(t.Stop), short(t.Walk), short(t.Copy), short(t.Tables), short(t.Chase), short(t.Resume), size(t.Bytes))
}

func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(100 * time.Nanosecond).String()
	case d < time.Second:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Millisecond).String()
}

// size writes a number of bytes.
func size(n int) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}

func countStatuses(views []ktsnap.MapView) string {
	var counts [4]int
	for _, v := range views {
		counts[v.Map().Status&3]++
	}
	text, separator := strconv.Itoa(len(views)), ": "
	for i, name := range [...]string{"complete", "truncated", "unsupported", "failed"} {
		if counts[i] > 0 && counts[i] < len(views) || i > 0 && counts[i] > 0 {
			text += fmt.Sprintf("%s%d %s", separator, counts[i], name)
			separator = ", "
		}
	}
	return text
}

// statusText says how much of a map a snapshot holds: "complete", "truncated: 5
// of 9 entries: a limit was reached".
func statusText(m *ktsnap.Map) string {
	text := "complete"
	switch m.Status {
	case ktsnap.Complete:
		return text
	case ktsnap.Truncated:
		text = "truncated"
	case ktsnap.Unsupported:
		text = "unsupported"
	default:
		text = "failed"
	}
	switch {
	case m.Reason != "":
		text += ": " + clean(m.Reason)
	case m.Total > 0:
		text += fmt.Sprintf(": %d of %d entries", m.N, m.Total)
	}
	return text
}

// kernelValues are the values that a capture has in the place of what the kernel has in maps:
// mostly numbers of what is in their slots. Definitions say of what size they are at most.
var kernelValues = map[ktsnap.MapType]string{
	ktsnap.MapTypeProgArray:      "ids of programs",
	ktsnap.MapTypePerfEventArray: "ids of perf events",
	ktsnap.MapTypeStackTrace:     "stacks",
	ktsnap.MapTypeCgroupArray:    "inode numbers of cgroups",
	ktsnap.MapTypeArrayOfMaps:    "ids of maps",
	ktsnap.MapTypeHashOfMaps:     "ids of maps",
	ktsnap.MapTypeDevMap:         "indexes of network interfaces",
	ktsnap.MapTypeDevMapHash:     "indexes of network interfaces",
	ktsnap.MapTypeSockMap:        "inode numbers of sockets",
	ktsnap.MapTypeSockHash:       "inode numbers of sockets",
	ktsnap.MapTypeXSKMap:         "inode numbers of sockets",
	ktsnap.MapTypeReusePortArray: "inode numbers of sockets",
	ktsnap.MapTypeCPUMap:         "sizes of queues",
}

// typesText says what keys and values of a map are.
func typesText(m *ktsnap.Map) string {
	if m.Type == ktsnap.MapTypeArena || m.ValueSize == 0 {
		return ""
	}
	if isSection(m) {
		if n := untyped(m); n > 0 {
			return fmt.Sprintf("%d of %d bytes without a type, behind the variables", n, m.ValueSize)
		}
		return ""
	}
	value := fmt.Sprintf("%d bytes without a type", m.ValueSize)
	if m.Value != nil {
		value = clean(ctype.Spell(m.Value))
	}
	if text := kernelValues[m.Type]; text != "" && (m.Value == nil || m.Value.Underlying().Kind == ctype.KindInt) {
		value = text
	}
	if m.Key == nil || m.Keys == nil {
		return value
	}
	return value + " by " + clean(ctype.Spell(m.Key))
}

// untyped returns how many bytes a section has behind those that have a type.
func untyped(m *ktsnap.Map) int { return max(0, m.ValueSize-m.Value.Size) }

// clean makes a text from the guest fit for a line of a terminal.
func clean(text string) string {
	if isClean(text) {
		return text
	}
	quoted := strconv.QuoteToGraphic(text)
	return quoted[1 : len(quoted)-1]
}

func isClean[T string | []byte](text T) bool {
	for i := range len(text) {
		if c := text[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// visible is how many columns a text takes, colours aside.
func visible(b []byte) int {
	n := 0
	for i := 0; i < len(b); {
		switch {
		case b[i] == '\x1b':
			for i < len(b) && b[i] != 'm' {
				i++
			}
			i++
		case b[i] < utf8.RuneSelf:
			n++
			i++
		default:
			_, width := utf8.DecodeRune(b[i:])
			n++
			i += width
		}
	}
	return n
}
