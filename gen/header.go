package gen

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ktgen/ktgen/gen/internal/gofile"
)

// This file keeps the choices of a user in the generated file, so that it can
// be generated again.

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
	add("payload", o.Payloads)
	if o.Split != 0 {
		add("split", []string{strconv.Itoa(o.Split)})
	}
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
		text, found := strings.CutPrefix(line, gofile.ChoicesPrefix)
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
		case "-payload":
			o.Payloads = values
		case "-split":
			if o.Split, err = strconv.Atoi(words[1]); err != nil {
				return err
			}
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

// CommentHeader makes Go comments of a text that is to be above a generated
// file, such as a license. Comments in it stay what they are.
func CommentHeader(text string) (string, error) {
	text = strings.TrimSpace(strings.ReplaceAll(text, "\r", ""))
	if block, isBlock := strings.CutPrefix(text, "/*"); isBlock {
		text = strings.TrimRight(strings.TrimSuffix(block, "*/"), " \n")
	}
	var b strings.Builder
	for line := range strings.SplitSeq(strings.Trim(text, "\n"), "\n") {
		line = strings.TrimSpace(line)
		if bare, isComment := strings.CutPrefix(line, "//"); isComment {
			line = bare
		} else if bare, isComment := strings.CutPrefix(line, "*"); isComment {
			line = bare
		}
		switch line = strings.TrimPrefix(line, " "); {
		case line != gofile.Printable(line):
			return "", fmt.Errorf("the header has unprintable characters: %q", line)
		case strings.HasPrefix(line, "go:"), strings.HasPrefix(line, "+build"), strings.Contains(line, "Code generated"):
			return "", fmt.Errorf("the header has a line that says something to Go: %q; constraints are for -tags", line)
		}
		b.WriteString(strings.TrimRight("// "+line, " ") + "\n")
	}
	if b.String() == "//\n" {
		return "", errors.New("the header is empty")
	}
	return b.String(), nil
}

// ReadHeader returns what [CommentHeader] had made for a generated file, empty
// if there was none.
func ReadHeader(src []byte) string {
	header, _, found := strings.Cut(string(src), gofile.GeneratedPrefix)
	if !found {
		return ""
	}
	return strings.TrimSuffix(header, "\n")
}
