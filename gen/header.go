package gen

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// This file keeps the choices of a user in the generated file, so that it can
// be generated again.

// choicesPrefix begins the line of a generated file that has the choices.
const choicesPrefix = "// choices: "

// Flags are the choices as the command line has them, apart from the package,
// the object and the build constraint. Lists are in the order in which they
// were given.
func (o *Options) Flags() string {
	var words []string
	add := func(flag string, values []string) {
		if len(values) > 0 {
			words = append(words, "-"+flag, quoteWord(strings.Join(values, ",")))
		}
	}
	add("map", o.Maps)
	add("type", o.Types)
	var renames []string
	for _, r := range o.Renames {
		renames = append(renames, r.String())
	}
	add("rename", renames)
	return strings.Join(words, " ")
}

// quoteWord quotes a word that a shell would take for something else.
func quoteWord(word string) string {
	if strings.ContainsFunc(word, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.,=/-", r)
	}) {
		return strconv.QuoteToASCII(word)
	}
	return word
}

// ReadChoices returns the choices that a generated file was made with.
func ReadChoices(src []byte) (Options, error) {
	var o Options
	for line := range strings.Lines(string(src)) {
		if strings.HasPrefix(line, "package ") {
			break
		}
		text, found := strings.CutPrefix(line, choicesPrefix)
		if !found {
			continue
		}
		if err := o.readFlags(strings.TrimSpace(text)); err != nil {
			return o, fmt.Errorf("the line %q was edited, or another ktgen wrote it: %w", strings.TrimSpace(line), err)
		}
	}
	return o, nil
}

func (o *Options) readFlags(text string) error {
	words, err := splitWords(text)
	if err != nil {
		return err
	}
	for len(words) > 1 {
		values := strings.Split(words[1], ",")
		switch words[0] {
		case "-map":
			o.Maps = values
		case "-type":
			o.Types = values
		case "-rename":
			for _, v := range values {
				r, err := ParseRename(v)
				if err != nil {
					return err
				}
				o.Renames = append(o.Renames, r)
			}
		default:
			return fmt.Errorf("%s is not known", words[0])
		}
		words = words[2:]
	}
	if len(words) > 0 {
		return fmt.Errorf("%s has no value", words[0])
	}
	return nil
}

// splitWords is the inverse of quoteWord for each of several words.
func splitWords(text string) (words []string, err error) {
	for text != "" {
		word, rest, _ := strings.Cut(text, " ")
		if text[0] == '"' {
			quoted, err := strconv.QuotedPrefix(text)
			if err != nil {
				return nil, errors.New("a quotation mark is missing")
			}
			if word, err = strconv.Unquote(quoted); err != nil {
				return nil, err
			}
			rest = strings.TrimPrefix(text[len(quoted):], " ")
		}
		words, text = append(words, word), rest
	}
	return words, nil
}
