package main

// This file is the JSON that ktgen casts prints.

import (
	"strings"

	"github.com/cilium/ebpf/btf"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// castsDocument is the whole result.
type castsDocument struct {
	Findings  []castFinding  `json:"findings"`
	Conflicts []castConflict `json:"conflicts"`
	Gaps      []string       `json:"gaps"` // what was given up on
}

// castFinding is a place that holds pointers.
type castFinding struct {
	castSite
	Target   string         `json:"target"` // as C spells it
	Space    string         `json:"space"`
	Class    string         `json:"class"`
	Evidence []castEvidence `json:"evidence"`
}

// castConflict is a place that holds different things.
type castConflict struct {
	castSite
	Evidence []castEvidence `json:"evidence"`
}

// castSite is a place: in a struct, union or section, or in a map's value.
type castSite struct {
	Container string `json:"container,omitempty"`
	Map       string `json:"map,omitempty"`
	Path      string `json:"path"`
	Offset    uint32 `json:"offset"` // bytes
}

// castEvidence is an instruction that shows something, and how the value got
// there.
type castEvidence struct {
	Kind     string     `json:"kind"`
	What     string     `json:"what"`
	Function string     `json:"function"`
	Section  string     `json:"section"`
	Insn     int        `json:"insn"`
	Source   *castLine  `json:"source,omitempty"`
	Chain    []castStep `json:"chain"`
}

// castStep is an instruction that the value passes through.
type castStep struct {
	Insn   int       `json:"insn"`
	Text   string    `json:"text"`
	What   string    `json:"what"`
	Source *castLine `json:"source,omitempty"`
}

// castLine is a line of C.
type castLine struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// castExplanation is what became of one place.
type castExplanation struct {
	Place    string         `json:"place"`
	Type     string         `json:"type"`
	Finding  *castFinding   `json:"finding,omitempty"`
	Why      string         `json:"why,omitempty"` // there is no finding
	Evidence []castEvidence `json:"evidence"`
}

func castsJSON(a *cast.Analysis) castsDocument {
	r := a.Result()
	d := castsDocument{Findings: []castFinding{}, Conflicts: []castConflict{}, Gaps: []string{}}
	for _, f := range r.Findings {
		d.Findings = append(d.Findings, findingJSON(a, f))
	}
	for _, c := range r.Conflicts {
		d.Conflicts = append(d.Conflicts, castConflict{siteJSON(c.Container, c.Map, c.Path, c.Offset), evidenceJSON(a, c.Evidence)})
	}
	d.Gaps = append(d.Gaps, r.Gaps...)
	return d
}

func findingJSON(a *cast.Analysis, f cast.Finding) castFinding {
	return castFinding{
		castSite: siteJSON(f.Container, f.Map, f.Path, f.Offset),
		Target:   ktbtf.Spell(f.Target), Space: f.Space.String(), Class: f.Class.String(),
		Evidence: evidenceJSON(a, f.Evidence),
	}
}

func explanationJSON(a *cast.Analysis, x *cast.Explanation) castExplanation {
	out := castExplanation{Place: x.Place, Type: x.Type, Why: x.Why, Evidence: evidenceJSON(a, x.Evidence)}
	if x.Finding != nil {
		f := findingJSON(a, *x.Finding)
		out.Finding = &f
	}
	return out
}

func siteJSON(container btf.Type, m *object.Map, path string, offset uint32) castSite {
	s := castSite{Path: path, Offset: offset}
	if m != nil {
		s.Map = m.Name
	} else {
		s.Container = ktbtf.Spell(container)
	}
	return s
}

func evidenceJSON(a *cast.Analysis, evidence []cast.Evidence) []castEvidence {
	out := []castEvidence{}
	for _, e := range evidence {
		ev := castEvidence{
			Kind: e.Kind.String(), What: e.What, Function: e.Function, Section: e.Section, Insn: e.Insn,
			Source: lineJSON(e.Line), Chain: []castStep{},
		}
		for _, s := range a.Chain(e) {
			ev.Chain = append(ev.Chain, castStep{s.Insn, s.Text, s.What, lineJSON(s.Line)})
		}
		out = append(out, ev)
	}
	return out
}

func lineJSON(l *object.Line) *castLine {
	if l == nil {
		return nil
	}
	return &castLine{l.File, l.Number, strings.TrimSpace(l.Text)}
}
