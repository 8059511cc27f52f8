package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/nearest"
)

const castsSynopsis = `ktgen casts [-conflicts] [-json] [-btf FILE] [-name NAME] OBJECT
       ktgen casts -explain STRUCT.FIELD [-json] OBJECT
       ktgen casts -asm [-function NAME] OBJECT
       ktgen casts -erase [-json] OBJECT
       ktgen casts -live [-json] OBJECT FILE.ktsnap...

Lists the integers and untyped pointers of a BPF object that hold pointers to
something, as its instructions show. OBJECT is a .bpf.o, or an executable with
one inside.

A finding is proven if the program stores only such pointers there, and zero. It
is likely if some of what is stored cannot be followed, or if only the use of
the pointer, or lines of C that use it, show where it leads. It is guessed if
only one struct fits the places that it is copied from or to, or the shape of
accesses.

-erase measures the analysis on the object. It hides the pointers that types
declare, analyses, and compares. A pointer is touched if an instruction loads or
stores it, and the analysis can tell which member that is.

-live holds the findings against captures of the object's state: how many pointers
led to what the finding says, and which values are no such pointers. It also lists
integers without a finding that hold addresses.`

// castsFlags are the flags of ktgen casts.
type castsFlags struct {
	asJSON, asm, erase *bool
	live, conflicts    *bool
	explain, function  *string
	kernel, name       *string
}

// casts says which integers of an object hold pointers.
func (t *tool) casts(args []string) error {
	set := t.flags(castsSynopsis)
	f := castsFlags{
		asJSON:    set.Bool("json", false, "print JSON"),
		conflicts: set.Bool("conflicts", false, "print each instruction that shows that a place holds different things"),
		asm:       set.Bool("asm", false, "print the instructions, with what is known at each"),
		erase:     set.Bool("erase", false, "hide the pointers that BTF declares, and tell which are found again"),
		live:      set.Bool("live", false, "hold the findings against captures"),
		explain:   set.String("explain", "", "say why a `place` was found to hold pointers or was not: task_ctx.task, .bss.head, a variable, a map"),
		function:  set.String("function", "", "with -asm: only the function `name`"),
		kernel:    set.String("btf", "", "the `file` with the kernel's BTF, such as /sys/kernel/btf/vmlinux: types the arguments of tracing programs"),
		name:      set.String("name", "", "the `name` of the object, in an executable with several"),
	}
	if err := t.parseFlags(set, args); err != nil {
		return err
	}
	switch {
	case set.NArg() == 0:
		return t.misused("casts of which object? Say ktgen casts FILE")
	case *f.live && set.NArg() == 1:
		return t.misused("casts -live of which captures? Name .ktsnap files after the object: failed tests leave them in their artifacts, and ktsnap.Snapshot.WriteFile writes one")
	case set.NArg() > 1 && !*f.live:
		return t.misused("casts takes one object after its flags, not %q too", set.Arg(1))
	case count(*f.asm, *f.erase, *f.live, *f.explain != "") > 1:
		return t.misused("-asm, -erase, -live and -explain exclude one another")
	case *f.function != "" && !*f.asm:
		return t.misused("-function NAME goes with -asm")
	case *f.conflicts && (*f.asm || *f.erase || *f.live || *f.explain != ""):
		return t.misused("-conflicts goes with none of -asm, -erase, -live and -explain")
	case *f.asm && *f.asJSON:
		return t.misused("-asm prints no JSON")
	}
	return t.runCasts(f, set.Arg(0), set.Args()[1:])
}

func count(all ...bool) (n int) {
	for _, b := range all {
		if b {
			n++
		}
	}
	return n
}

func (t *tool) runCasts(f castsFlags, path string, captures []string) error {
	if *f.name != "" {
		path += ":" + *f.name
	}
	obj, err := openObject(path)
	if err != nil {
		return err
	}
	opts := cast.Options{Listing: *f.asm}
	if *f.kernel != "" {
		if opts.Kernel, err = readKernelBTF(*f.kernel); err != nil {
			return err
		}
	}
	if *f.erase {
		return t.printRuling(obj.Name, cast.Rule(obj, opts), *f.asJSON)
	}
	a := cast.Run(obj, opts)
	switch {
	case *f.live:
		return t.liveCasts(a, captures, *f.asJSON)
	case *f.explain != "":
		return t.explainCast(a, *f.explain, *f.asJSON)
	case *f.asm:
		return t.listCasts(a, *f.function)
	case *f.asJSON:
		return t.printJSON(castsJSON(a))
	}
	return t.printCasts(a, *f.conflicts)
}

func readKernelBTF(path string) (*btf.Spec, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's BTF: %w", err)
	}
	spec, err := ktbtf.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("read the kernel's BTF in %s: %w; it takes raw BTF, as /sys/kernel/btf/vmlinux is", path, err)
	}
	return spec, nil
}

// castPlace names the place of a finding: "task_ctx.task", ".bss.head".
func castPlace(container btf.Type, m *object.Map, path string) string {
	if m != nil {
		return "map " + m.Name
	}
	return strings.TrimPrefix(strings.TrimPrefix(ktbtf.Spell(container), "struct "), "section ") + "." + path
}

// findingPlace is castPlace, and how far behind a header the target is:
// "task_slot.data+8".
func findingPlace(f cast.Finding) string {
	place := castPlace(f.Container, f.Map, f.Path)
	if f.Behind > 0 {
		return fmt.Sprintf("%s+%d", place, f.Behind)
	}
	return place
}

// line is the place in C of a piece of evidence.
func line(l *object.Line) string {
	if l == nil {
		return ""
	}
	return fmt.Sprintf("%s:%d", l.File[strings.LastIndexByte(l.File, '/')+1:], l.Number)
}

// proofOf returns the evidence that says most: a store, if there is one.
func proofOf(evidence []cast.Evidence) (ev cast.Evidence, ok bool) {
	for _, e := range evidence {
		if !ok || e.Kind < ev.Kind && e.Line != nil || ev.Line == nil && e.Line != nil {
			ev, ok = e, true
		}
	}
	return ev, ok
}

func (t *tool) printCasts(a *cast.Analysis, allConflicts bool) error {
	r := a.Result()
	if len(r.Findings) == 0 {
		fmt.Fprintln(t.stdout, "no integer of the program's own types is seen to hold pointers")
	} else {
		w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "FIELD\tPOINTS TO\tSPACE\tCLASS\tPROOF")
		for _, f := range r.Findings {
			proof := ""
			if ev, ok := proofOf(f.Evidence); ok && ev.Line != nil {
				proof = line(ev.Line) + ": " + strings.TrimSpace(ev.Line.Text)
			}
			fmt.Fprintf(w, "%s\t%s\t%v\t%v\t%s\n", findingPlace(f), ktbtf.Spell(f.Target), f.Space, f.Class, proof)
		}
		w.Flush()
	}
	if allConflicts {
		t.printConflicts(r.Conflicts)
	} else {
		t.summarizeConflicts(r.Conflicts)
	}
	for _, gap := range r.Gaps {
		fmt.Fprintf(t.stderr, "ktgen: given up on: %s\n", gap)
	}
	return nil
}

// printConflicts prints each instruction that shows one.
func (t *tool) printConflicts(conflicts []cast.Conflict) {
	for _, c := range conflicts {
		fmt.Fprintf(t.stdout, "\nconflict: %s holds different things:\n", castPlace(c.Container, c.Map, c.Path))
		for _, e := range c.Evidence {
			fmt.Fprintf(t.stdout, "\t%s\n", evidenceText(e))
		}
	}
}

// What is printed of conflicts unless all is asked for.
const (
	maxConflicts = 20
	maxHeld      = 2 // things that one place holds
)

// summarizeConflicts prints a line for each.
func (t *tool) summarizeConflicts(conflicts []cast.Conflict) {
	if len(conflicts) == 0 {
		return
	}
	fmt.Fprintln(t.stdout, "\nno finding, as they hold different things (-conflicts says what shows that, -explain PLACE all of one place):")
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	for _, c := range conflicts[:min(len(conflicts), maxConflicts)] {
		fmt.Fprintf(w, "%s\t%s\n", castPlace(c.Container, c.Map, c.Path), heldText(c.Evidence))
	}
	w.Flush()
	if more := len(conflicts) - maxConflicts; more > 0 {
		fmt.Fprintf(t.stdout, "and %d more\n", more)
	}
}

// heldText says which different things a place holds, and on which line each.
func heldText(evidence []cast.Evidence) string {
	var held []string
	seen := make(map[string]bool)
	for _, e := range evidence {
		if seen[e.What] {
			continue
		}
		seen[e.What] = true
		if at := line(e.Line); at != "" {
			held = append(held, fmt.Sprintf("%s (%s)", e.What, at))
		} else {
			held = append(held, e.What)
		}
	}
	if len(held) == 1 {
		held = append(held, "copied from a place that holds others, too")
	}
	if more := len(held) - maxHeld; more > 0 {
		held = append(held[:maxHeld], fmt.Sprintf("%d more", more))
	}
	return strings.Join(held, ", ")
}

// evidenceText is a piece of evidence on one line.
func evidenceText(e cast.Evidence) string {
	text := fmt.Sprintf("%v %s, in %s at instruction %d of %s", e.Kind, e.What, e.Function, e.Insn, e.Section)
	if e.Line != nil {
		text += fmt.Sprintf(" (%s: %s)", line(e.Line), strings.TrimSpace(e.Line.Text))
	}
	return text
}

func (t *tool) listCasts(a *cast.Analysis, function string) error {
	names := a.FunctionNames()
	if function != "" && !slices.Contains(names, function) {
		hint := "; it has " + strings.Join(names, ", ")
		if advice := nearest.Advice(function, names); advice != "" {
			hint = advice
		}
		return fmt.Errorf("list function %s: the object has none of that name%s", function, hint)
	}
	return a.List(t.stdout, function)
}

func (t *tool) explainCast(a *cast.Analysis, place string, asJSON bool) error {
	x, err := a.Explain(place)
	if err != nil {
		return err
	}
	if asJSON {
		return t.printJSON(explanationJSON(a, x))
	}
	if x.Finding != nil {
		fmt.Fprintf(t.stdout, "%s (%s) holds pointers to %s (%v): %v\n", x.Place, x.Type, ktbtf.Spell(x.Finding.Target), x.Finding.Space, x.Finding.Class)
	} else {
		fmt.Fprintf(t.stdout, "%s (%s) is not found to hold pointers: %s\n", x.Place, x.Type, x.Why)
	}
	for _, e := range x.Evidence {
		fmt.Fprintf(t.stdout, "\n%s\n", evidenceText(e))
		for _, s := range a.Chain(e) {
			text := fmt.Sprintf("%6d: %-44s ; %s", s.Insn, s.Text, s.What)
			if l := line(s.Line); l != "" {
				text += " (" + l + ")"
			}
			fmt.Fprintln(t.stdout, text)
		}
	}
	return nil
}

func (t *tool) printRuling(name string, r *cast.Ruling, asJSON bool) error {
	if asJSON {
		return t.printJSON(r)
	}
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "OUTCOME\tFIELD\tDECLARED\tFOUND\tWHY")
	for _, list := range []struct {
		outcome string
		places  []cast.Erased
	}{{"recovered", r.Recovered}, {"missed", r.Missed}, {"wrong", r.Wrong}, {"spurious", r.Spurious}, {"untouched", r.Untouched}} {
		for _, p := range list.places {
			why := p.Why
			if p.Proof != "" {
				why = p.Proof
			}
			field := strings.TrimPrefix(strings.TrimPrefix(p.Container, "struct "), "section ") + "." + p.Path
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", list.outcome, field, dash(p.Was), dash(p.Found), why)
		}
	}
	w.Flush()
	fmt.Fprintf(t.stdout, "%s: recall %.3f: %d recovered, %d missed, %d wrong of %d touched; %d untouched, %d spurious\n",
		name, r.Recall(), len(r.Recovered), len(r.Missed), len(r.Wrong), r.Touched(), len(r.Untouched), len(r.Spurious))
	if silent := r.Touched() - r.Shown(); silent > 0 {
		fmt.Fprintf(t.stdout, "%d of the missed are only copied, or only declared: no instruction tells what they point to; recall of the others is %.3f\n",
			silent, float64(len(r.Recovered))/float64(max(1, r.Shown())))
	}
	return nil
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (t *tool) printJSON(v any) error {
	e := json.NewEncoder(t.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
