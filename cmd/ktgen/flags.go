package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/ktgen/ktgen/runtime/nearest"
)

// This file parses the flags of commands, and says what was meant by one that
// does not exist.

// flags returns an empty set of flags for a command.
func (t *tool) flags(synopsis string) *flag.FlagSet {
	set := flag.NewFlagSet("ktgen", flag.ContinueOnError)
	set.SetOutput(io.Discard)
	set.Usage = func() {
		fmt.Fprintf(set.Output(), "Usage: %s\n\n", synopsis)
		set.PrintDefaults()
	}
	return set
}

// parse parses flags that no arguments may follow.
func (t *tool) parse(set *flag.FlagSet, args []string) error {
	if err := t.parseFlags(set, args); err != nil {
		return err
	}
	if set.NArg() > 0 {
		return t.misused("%q is not understood: flags begin with a dash", set.Arg(0))
	}
	return nil
}

// parseFlags parses flags, and leaves what follows them to the caller. If it
// returns an error, what there is to say has been said.
func (t *tool) parseFlags(set *flag.FlagSet, args []string) error {
	if t.probe != nil {
		t.probe(set)
		return flag.ErrHelp
	}
	err := set.Parse(args)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, flag.ErrHelp):
		set.SetOutput(t.stdout)
		set.Usage()
		return err
	}
	text := err.Error()
	if name, undefined := strings.CutPrefix(text, "flag provided but not defined: "); undefined {
		name = strings.TrimLeft(name, "-")
		text += didYouMeanFlag(name, flagNames(set))
	}
	return t.misused("%s", text)
}

// parseMixed parses flags that can stand before, between and behind arguments,
// and returns the arguments.
func (t *tool) parseMixed(set *flag.FlagSet, args []string) (words []string, err error) {
	for {
		if err := t.parseFlags(set, args); err != nil {
			return nil, err
		}
		if args = set.Args(); len(args) == 0 {
			return words, nil
		}
		words, args = append(words, args[0]), args[1:]
	}
}

func flagNames(set *flag.FlagSet) []string {
	var names []string
	set.VisitAll(func(f *flag.Flag) { names = append(names, f.Name) })
	return names
}

func didYouMeanFlag(name string, known []string) string {
	if near := nearest.Name(name, known); near != "" {
		return "; did you mean -" + near + "?"
	}
	if len(known) == 0 {
		return "; there are no flags here"
	}
	return "; there are -" + strings.Join(known, ", -")
}

// list is a flag that can be repeated, and takes several values separated by
// commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	for value := range strings.SplitSeq(text, ",") {
		if value = strings.TrimSpace(value); value == "" {
			return errors.New("a name is empty")
		}
		*l = append(*l, value)
	}
	return nil
}
