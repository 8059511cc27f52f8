package sched

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// This file keeps figures of programs in files as veristat has them, and compares them.

// ProgramFigures are the figures of a program that a file keeps.
type ProgramFigures struct {
	Program  string // its name; the second of one name has "#2" behind
	Verified int    // instructions that the verifier went through
	Insns    int    // of the program
	JITed    int    // bytes of machine code
	Stack    int    // bytes, of the main function
	Type     string

	Verification // zeroes if it is not known
}

// ProgramFigures returns those of all programs of the guest, by ascending id.
func (s *State) ProgramFigures() (figures []ProgramFigures) {
	seen := make(map[string]int)
	for _, p := range s.programs {
		name := p.Name
		if seen[p.Name]++; seen[p.Name] > 1 {
			name = fmt.Sprintf("%s#%d", p.Name, seen[p.Name])
		}
		figures = append(figures, ProgramFigures{name, p.Verified, p.Insns, p.JITed, p.StackDepth, p.Type, p.Verification})
	}
	return figures
}

// csvColumns are named as veristat names them.
var csvColumns = []string{"file_name", "prog_name", "verdict", "total_insns", "prog_size", "prog_size_jited", "stack_depth", "prog_type", "duration", "total_states", "peak_states", "max_states_per_insn", "max_mark_read_len"}

// WriteProgramsCSV writes figures as veristat -o csv does, for veristat -C. file stands
// for the object that the programs are of.
func WriteProgramsCSV(w io.Writer, file string, figures []ProgramFigures) error {
	out := csv.NewWriter(w)
	rows := [][]string{csvColumns}
	for _, f := range figures {
		rows = append(rows, []string{
			plain(file), plain(f.Program), "success", strconv.Itoa(f.Verified), strconv.Itoa(f.Insns), strconv.Itoa(f.JITed), strconv.Itoa(f.Stack), plain(f.Type),
			strconv.FormatInt(f.Time.Microseconds(), 10), strconv.Itoa(f.States), strconv.Itoa(f.PeakStates), strconv.Itoa(f.MaxStates), strconv.Itoa(f.MarkedRead),
		})
	}
	return out.WriteAll(rows)
}

// plain replaces what veristat, which knows no quotes, cannot have in a field.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ',' || r == '"' || r < ' ' {
			return '_'
		}
		return r
	}, s)
}

// ReadProgramsCSV reads the figures that WriteProgramsCSV or veristat has written. Columns
// that are not there are 0.
func ReadProgramsCSV(r io.Reader) ([]ProgramFigures, error) {
	rows, err := csv.NewReader(r).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read figures of programs: %w", err)
	}
	if len(rows) == 0 {
		return nil, errors.New("read figures of programs: the file is empty")
	}
	column := make(map[string]int)
	for i, name := range rows[0] {
		column[name] = i
	}
	if _, ok := column["prog_name"]; !ok {
		return nil, fmt.Errorf("read figures of programs: the file has no column prog_name, and so is not as veristat -o csv writes it: its first line is %q", strings.Join(rows[0], ","))
	}
	var figures []ProgramFigures
	for line, row := range rows[1:] {
		f := ProgramFigures{Program: row[column["prog_name"]]}
		var micros int
		for name, to := range map[string]*int{
			"total_insns": &f.Verified, "prog_size": &f.Insns, "prog_size_jited": &f.JITed, "stack_depth": &f.Stack, "duration": &micros,
			"total_states": &f.States, "peak_states": &f.PeakStates, "max_states_per_insn": &f.MaxStates, "max_mark_read_len": &f.MarkedRead,
		} {
			i, ok := column[name]
			if !ok {
				continue
			}
			if *to, err = strconv.Atoi(row[i]); err != nil {
				return nil, fmt.Errorf("read figures of programs: line %d, %s of %s: %w", line+2, name, f.Program, err)
			}
		}
		f.Time = time.Duration(micros) * time.Microsecond
		if i, ok := column["prog_type"]; ok {
			f.Type = row[i]
		}
		figures = append(figures, f)
	}
	return figures, nil
}

// ProgramChange is a figure of a program that is not what it was. One that has come
// or gone has no Figure.
type ProgramChange struct {
	Program string
	Figure  string // "verified instructions", "instructions", "bytes of stack"
	Was, Is int
	Gone    bool // it has gone
}

// Grown tells whether the figure is larger than it was, by more than a part of it: 0.1 is
// a tenth. Programs that have come or gone are.
func (c ProgramChange) Grown(part float64) bool {
	return c.Figure == "" || float64(c.Is) > math.Floor(float64(c.Was)*(1+part))
}

func (c ProgramChange) String() string {
	switch {
	case c.Figure == "" && c.Gone:
		return c.Program + " is gone"
	case c.Figure == "":
		return c.Program + " is new"
	}
	verb := "grew"
	if c.Is < c.Was {
		verb = "shrank"
	}
	return fmt.Sprintf("%s %s from %s to %s %s", c.Program, verb, grouped(c.Was), grouped(c.Is), c.Figure)
}

// grouped writes a number with commas.
func grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// known returns n, or 0 if there is nothing to compare it with.
func known(n, other int) int {
	if other == 0 {
		return 0
	}
	return n
}

// ComparePrograms returns what has changed, in the order of is; what is gone comes last.
// The size of machine code, which is the kernel's matter, and times are not compared, nor
// states where one side has none.
func ComparePrograms(was, is []ProgramFigures) (changes []ProgramChange) {
	before := make(map[string]ProgramFigures)
	for _, f := range was {
		before[f.Program] = f
	}
	for _, f := range is {
		old, ok := before[f.Program]
		delete(before, f.Program)
		if !ok {
			changes = append(changes, ProgramChange{Program: f.Program})
			continue
		}
		for _, c := range []ProgramChange{
			{f.Program, "verified instructions", old.Verified, f.Verified, false},
			{f.Program, "instructions", old.Insns, f.Insns, false},
			{f.Program, "bytes of stack", old.Stack, f.Stack, false},
			{f.Program, "states of the verifier", known(old.States, f.States), known(f.States, old.States), false},
		} {
			if c.Was != c.Is {
				changes = append(changes, c)
			}
		}
	}
	for _, f := range was {
		if _, ok := before[f.Program]; ok {
			changes = append(changes, ProgramChange{Program: f.Program, Gone: true})
		}
	}
	return changes
}
