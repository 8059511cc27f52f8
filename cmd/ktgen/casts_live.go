package main

import (
	"fmt"
	"slices"
	"text/tabwriter"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/cast/live"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// liveDocument is the JSON of ktgen casts -live.
type liveDocument struct {
	Places []livePlace `json:"places"` // of findings
	Silent []liveInt   `json:"silent"` // integers without a finding that hold addresses
}

type livePlace struct {
	Place    string      `json:"place"`
	Target   string      `json:"target"` // as C spells it
	Space    string      `json:"space"`
	Class    string      `json:"class"`
	Null     int         `json:"null"`
	Led      int         `json:"led"`     // pointers whose target was captured
	Unknown  int         `json:"unknown"` // that have another address
	Wrong    int         `json:"wrong"`
	Examples []liveWrong `json:"examples,omitempty"` // of what is wrong
}

type liveWrong struct {
	Snapshot string `json:"snapshot"`
	Path     string `json:"path"`
	Value    string `json:"value"`
	Why      string `json:"why"`
}

type liveInt struct {
	Place     string `json:"place"`
	Null      int    `json:"null"`
	Addresses int    `json:"addresses"`
	Example   string `json:"example"`
}

// liveCasts holds the findings of an object against captures in files.
func (t *tool) liveCasts(a *cast.Analysis, files []string, asJSON bool) error {
	var snaps []*ktsnap.Snapshot
	for _, file := range files {
		snap, err := ktsnap.ReadFile(file)
		if err != nil {
			return err
		}
		snaps = append(snaps, snap)
	}
	report := live.Check(a.Result(), snaps...)
	if asJSON {
		return t.printJSON(liveJSON(report))
	}
	t.printLive(report)
	return nil
}

func liveJSON(r *live.Report) liveDocument {
	doc := liveDocument{Places: []livePlace{}, Silent: []liveInt{}}
	for _, c := range r.Claims {
		p := livePlace{
			Place: findingPlace(c.Finding), Target: ktbtf.Spell(c.Finding.Target), Space: c.Finding.Space.String(), Class: c.Finding.Class.String(),
			Null: c.Null, Led: c.Led, Unknown: c.Addresses - c.Led, Wrong: c.Wrong,
		}
		for _, w := range c.Examples {
			p.Examples = append(p.Examples, liveWrong{w.Snapshot, w.Path, fmt.Sprintf("%#x", w.Value), w.Why})
		}
		doc.Places = append(doc.Places, p)
	}
	for _, p := range r.Silent {
		doc.Silent = append(doc.Silent, liveInt{p.Name, p.Null, p.Addresses, p.Example})
	}
	return doc
}

func (t *tool) printLive(r *live.Report) {
	w := tabwriter.NewWriter(t.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FIELD\tPOINTS TO\tCLASS\tNULL\tLED THERE\tNOT CAPTURED\tWRONG")
	for _, p := range liveJSON(r).Places {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\n", p.Place, p.Target, p.Class, p.Null, p.Led, p.Unknown, p.Wrong)
	}
	w.Flush()
	for _, c := range r.Claims {
		for _, e := range c.Examples {
			fmt.Fprintf(t.stdout, "wrong: %s holds %#x at %s in %q: %s\n", findingPlace(c.Finding), e.Value, e.Path, e.Snapshot, e.Why)
		}
	}
	for _, p := range r.Silent {
		fmt.Fprintf(t.stdout, "no finding: %s holds addresses (%d, and %d zeros), such as at %s\n", p.Name, p.Addresses, p.Null, p.Example)
	}
	for _, class := range []cast.Class{cast.Proven, cast.Likely, cast.Guessed} {
		t.printPrecision(r, class)
	}
}

// printPrecision sums up the findings of a class.
func (t *tool) printPrecision(r *live.Report, class cast.Class) {
	of := slices.DeleteFunc(slices.Clone(r.Claims), func(c *live.Claim) bool { return c.Finding.Class != class })
	seen, wrong := 0, 0
	for _, c := range of {
		if c.Seen() {
			seen++
		}
		if c.Wrong > 0 {
			wrong++
		}
	}
	if len(of) > 0 {
		fmt.Fprintf(t.stdout, "%v: %d places, %d with pointers that could be followed or were none, %d wrong\n", class, len(of), seen, wrong)
	}
}
