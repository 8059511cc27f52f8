package main

import (
	"bufio"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file has the commands that read snapshot files.

// Errors of commands whose exit status says more than that they failed.
var errDifferent = errors.New("the snapshots differ") // said by what was printed

// trouble is an error of a command whose status 1 is an answer.
type trouble struct{ error }

func (t trouble) Unwrap() error { return t.error }

// formats are what -o takes.
var formats = []string{"text", "json", "html"}

// names collects the values of a flag that can be repeated.
type names []string

func (n *names) String() string     { return strings.Join(*n, ",") }
func (n *names) Set(s string) error { *n = append(*n, s); return nil }

// dump shows a snapshot.
func (t *tool) dump(args []string) error {
	format, opts, files, err := t.dumpArguments(args)
	if err != nil {
		return err
	}
	var snaps []*ktsnap.Snapshot
	for _, file := range files {
		s, err := t.readSnapshot(file)
		if err != nil {
			return err
		}
		snaps = append(snaps, s)
	}
	out := bufio.NewWriter(t.stdout)
	switch format {
	case "json":
		err = dump.JSON(out, snaps[0], opts.Maps...)
	case "html":
		err = dump.Page(out, snaps, nil, opts.Maps...)
	default:
		t.fitTerminal(&opts)
		err = dump.Text(out, snaps[0], opts)
	}
	return errors.Join(err, out.Flush())
}

// dumpArguments returns what to show, of which files.
func (t *tool) dumpArguments(args []string) (format string, opts dump.Options, files []string, err error) {
	set := t.flags(`ktgen dump [-o text|json|html] [-map NAME] [-width N] [-zeros] [-kernel] FILE...

Shows what a snapshot file holds. With -o html, several files become one page
that compares them and plots their numbers over time.`)
	set.StringVar(&format, "o", "text", "the `format`: text, json (dump/SCHEMA.md describes it) or html (one page, which needs nothing else)")
	set.IntVar(&opts.Width, "width", 0, "with text: the `columns` of a line (default: those of the terminal, or 100)")
	set.BoolVar(&opts.Zeros, "zeros", false, "with text: show what is zero, too")
	set.BoolVar(&opts.Kernel, "kernel", false, "with text: show all members of the kernel's objects, not only\nwhat tells them apart: pid, tgid and comm of a task")
	set.Var((*names)(&opts.Maps), "map", "show only the map of that `name`; can be repeated")
	files, err = t.parseMixed(set, args)
	switch {
	case err != nil:
	case len(files) == 0:
		err = t.misused("dump which snapshot? Say ktgen dump FILE")
	case !slices.Contains(formats, format):
		err = t.unknown("format", format, formats)
	case format != "html" && len(files) > 1:
		err = t.misused("several snapshots are shown together with -o html")
	case format != "text" && (opts.Zeros || opts.Kernel || opts.Width != 0):
		err = t.misused("-width, -zeros and -kernel go with text")
	}
	return format, opts, files, err
}

// fitTerminal chooses colour and width if the output is a terminal.
func (t *tool) fitTerminal(opts *dump.Options) {
	f, ok := t.stdout.(*os.File)
	if !ok {
		return
	}
	opts.Color = dump.Colored(f)
	if opts.Width == 0 {
		opts.Width = dump.Columns(f)
	}
}

// readSnapshot reads a snapshot file, and says on a terminal that it does if
// that takes long.
func (t *tool) readSnapshot(file string) (*ktsnap.Snapshot, error) {
	defer t.progress("reading " + file)()
	s, err := ktsnap.ReadFile(file)
	if err != nil && isELF(file) {
		return nil, fmt.Errorf("read a snapshot: %s is an object file or a program; `ktgen objects %s` lists the BPF objects in it, and `ktgen types %s` prints their types", file, file, file)
	}
	if err != nil {
		return nil, fmt.Errorf("read a snapshot: %w", err)
	}
	return s, nil
}

// isELF tells whether a file begins as an ELF file does.
func isELF(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	magic := make([]byte, len(elf.ELFMAG))
	_, err = io.ReadFull(f, magic)
	return err == nil && string(magic) == elf.ELFMAG
}

// progress says what is going on, if that takes more than a second and somebody
// is watching. The function that it returns ends it.
func (t *tool) progress(what string) (done func()) {
	f, ok := t.stderr.(*os.File)
	if !ok || dump.Columns(f) == 0 {
		return func() {}
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		start, shown := time.Now(), false
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				fmt.Fprintf(f, "\r%s: %d s", what, int(time.Since(start).Seconds()))
				shown = true
			case <-stop:
				if shown {
					fmt.Fprint(f, "\r\x1b[K")
				}
				return
			}
		}
	}()
	return func() { close(stop); <-stopped }
}

// diff compares two snapshots.
func (t *tool) diff(args []string) error {
	set := t.flags(`ktgen diff [-o text|json] [-mask PATH] A B

Tells how snapshot B differs from A: maps by name, entries by key, values member
by member. What cannot be compared is said on the standard error. Exit status:
0 equal, 1 different, 2 trouble.`)
	format := set.String("o", "text", "the `format`: text, or json with an object in each line")
	var masks names
	set.Var(&masks, "mask", "leave out the `path` and what is in it; * stands for anything: '*.runtime_ns'; can be repeated")
	files, err := t.parseMixed(set, args)
	switch {
	case err != nil:
		return err
	case len(files) != 2:
		return t.misused("diff compares two snapshot files: say ktgen diff A B")
	case *format != "text" && *format != "json":
		return t.unknown("format", *format, formats[:2])
	}
	a, err := t.readSnapshot(files[0])
	if err != nil {
		return trouble{err}
	}
	b, err := t.readSnapshot(files[1])
	if err != nil {
		return trouble{err}
	}
	if len(a.Maps) == 0 && len(b.Maps) == 0 {
		return trouble{fmt.Errorf("compare %s with %s: neither holds a map, so there is nothing to compare; was a scheduler loaded when they were taken?", files[0], files[1])}
	}
	different, err := writeChanges(t.stdout, dump.Diff(a, b, masks...), *format)
	if err != nil {
		return trouble{err}
	}
	for _, text := range dump.Unseen(a, b, masks...) {
		fmt.Fprintf(t.stderr, "ktgen diff: %s\n", text)
	}
	if different {
		return errDifferent
	}
	return nil
}

// writeChanges writes changes, one a line, and says whether there are any.
func writeChanges(to io.Writer, changes iter.Seq[dump.Change], format string) (some bool, err error) {
	out := bufio.NewWriter(to)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	for c := range changes {
		some = true
		if format == "json" {
			err = lines.Encode(c)
		} else {
			_, err = fmt.Fprintln(out, c)
		}
		if err != nil {
			return some, err
		}
	}
	return some, out.Flush()
}

// get prints one value.
func (t *tool) get(args []string) error {
	set := t.flags(`ktgen get [-o text|json] FILE PATH

Prints one value of a snapshot file:

	ktgen get run.ktsnap 'scx_per_task[cpu=1][0].ctx.weight'
	ktgen get run.ktsnap 'task_ctxs[1234].comm'       an entry by its key
	ktgen get run.ktsnap 'task_ctxs[#0].comm'         by its place in the capture
	ktgen get run.ktsnap nr_dispatched                a global variable
	ktgen get run.ktsnap mysched.bss.nr_dispatched    that of one section`)
	format := set.String("o", "text", "the `format`: text or json")
	words, err := t.parseMixed(set, args)
	switch {
	case err != nil:
		return err
	case len(words) != 2:
		return t.misused("get takes a snapshot file and a path: say ktgen get FILE PATH")
	case *format != "text" && *format != "json":
		return t.unknown("format", *format, formats[:2])
	}
	s, err := t.readSnapshot(words[0])
	if err != nil {
		return err
	}
	v := s.Get(words[1])
	if v.Err() != nil {
		return v.Err()
	}
	if *format == "json" {
		return dump.JSONValue(t.stdout, s, v)
	}
	return writeValue(t.stdout, v)
}

// writeValue writes a value as dumps do, and a string without its quotes if it can be printed.
func writeValue(to io.Writer, v ktsnap.Value) error {
	if text, err := v.Str(); err == nil && v.IsString() && isPrintable(text) {
		_, err = fmt.Fprintln(to, text)
		return err
	}
	r, err := v.Rendered()
	if err == nil {
		_, err = fmt.Fprintln(to, r)
	}
	return err
}

// isPrintable tells whether a terminal shows a text and does nothing else with it.
func isPrintable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// listedMap is a line of ktgen maps, and an element of its JSON.
type listedMap struct {
	ID     uint32 `json:"id,omitempty"`    // absent of variables of an arena, which are no map
	Arena  uint32 `json:"arena,omitempty"` // whose variables they are: its id
	Name   string `json:"name"`
	Type   string `json:"type"`
	Key    string `json:"key_type,omitempty"`
	Value  string `json:"value_type,omitempty"`
	Held   int    `json:"held"`  // entries in the file
	Total  int    `json:"total"` // entries that the guest had, if known
	Bytes  int    `json:"bytes"` // of keys, values and pages in the file; those of variables of an arena are the arena's
	Status string `json:"status"`
}

// maps lists the maps of a snapshot.
func (t *tool) maps(args []string) error {
	set := t.flags("ktgen maps [-o text|json] FILE\n\nLists the maps of a snapshot file, and how much of each it holds.")
	format := set.String("o", "text", "the `format`: text or json")
	files, err := t.parseMixed(set, args)
	switch {
	case err != nil:
		return err
	case len(files) != 1:
		return t.misused("maps of which snapshot? Say ktgen maps FILE")
	case *format != "text" && *format != "json":
		return t.unknown("format", *format, formats[:2])
	}
	s, err := t.readSnapshot(files[0])
	if err != nil {
		return err
	}
	list := listMaps(s)
	if *format == "json" {
		return t.printJSON(list)
	}
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tTYPE\tENTRIES\tBYTES\tVALUE\tSTATUS")
	for _, m := range list {
		fmt.Fprintf(w, "%s\t%q\t%s\t%d\t%d\t%s\t%s\n", m.id(), m.Name, m.Type, m.Held, m.Bytes, dash(m.Value), m.Status)
	}
	return w.Flush()
}

// id says by which id the kernel has a map.
func (m *listedMap) id() string {
	if m.Arena != 0 {
		return fmt.Sprintf("in %d", m.Arena)
	}
	return fmt.Sprint(m.ID)
}

func listMaps(s *ktsnap.Snapshot) []listedMap {
	list := []listedMap{}
	for _, v := range s.Views() {
		l := describeMap(v.Map())
		if arena := v.Arena(); arena != nil {
			l.ID, l.Arena, l.Bytes = 0, arena.ID, 0
		}
		list = append(list, l)
	}
	return list
}

func describeMap(m *ktsnap.Map) listedMap {
	l := listedMap{
		ID: m.ID, Name: m.Name, Type: m.Type.String(), Held: m.N, Total: m.Total,
		Bytes: len(m.Keys) + len(m.Values), Status: dump.Status(m),
	}
	for _, x := range m.Extents {
		l.Bytes += len(x.Data)
	}
	if m.Key != nil {
		l.Key = ctype.Spell(m.Key)
	}
	if m.Value != nil {
		l.Value = ctype.Spell(m.Value)
	}
	return l
}
