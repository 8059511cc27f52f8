package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// This file completes command lines. The scripts for shells only ask ktgen,
// which knows its commands and flags; what it has no answer for, shells
// complete as a file.

// completeWord is the command that the scripts call; it is not in the help.
const completeWord = "__complete"

var completions = map[string]string{
	"bash": `# bash completion for ktgen: source <(ktgen completion bash)
_ktgen() {
	local IFS=$'\n'
	COMPREPLY=($(compgen -W "$(ktgen __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _ktgen ktgen
`,
	"zsh": `#compdef ktgen
# zsh completion for ktgen: source <(ktgen completion zsh)
_ktgen() {
	local -a answers
	answers=(${(f)"$(ktgen __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	if (( ${#answers} )); then
		compadd -- $answers
	else
		_files
	fi
}
compdef _ktgen ktgen
`,
	"fish": `# fish completion for ktgen: ktgen completion fish | source
complete -c ktgen -a '(ktgen __complete (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
`,
}

// completion prints the script for a shell.
func (t *tool) completion(args []string) error {
	set := t.flags("ktgen completion bash|zsh|fish")
	if err := t.parseFlags(set, args); err != nil {
		return err
	}
	shells := []string{"bash", "fish", "zsh"}
	if set.NArg() != 1 {
		return t.misused("completion for which shell? Say ktgen completion bash, zsh or fish")
	}
	script, known := completions[set.Arg(0)]
	if !known {
		return t.unknown("shell", set.Arg(0), shells)
	}
	_, err := fmt.Fprint(t.stdout, script)
	return err
}

// complete prints what the last word can become, each on a line. The words
// are those of a command line, without ktgen.
func (t *tool) complete(ctx context.Context, words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, answer := range answers(ctx, words) {
		if strings.HasPrefix(answer, last) {
			fmt.Fprintln(t.stdout, answer)
		}
	}
	return nil
}

// answers are the words that can stand where the last one is.
func answers(ctx context.Context, words []string) []string {
	before, last := words[:len(words)-1], words[len(words)-1]
	if len(before) == 0 {
		if strings.HasPrefix(last, "-") {
			return flagsOf(ctx, []string{"-"})
		}
		return commandNames()
	}
	if strings.HasPrefix(last, "-") {
		return flagsOf(ctx, before)
	}
	if len(before) == 1 {
		switch before[0] {
		case "kernel":
			return kernelCommands
		case "cache":
			return cacheCommands
		case "completion":
			return []string{"bash", "fish", "zsh"}
		case "help":
			return commandNames()
		}
	}
	return nil
}

// flagsOf are the flags of the command that words begin to call.
func flagsOf(ctx context.Context, words []string) []string {
	var names []string
	probe := &tool{stdout: io.Discard, stderr: io.Discard, probe: func(set *flag.FlagSet) {
		for _, name := range flagNames(set) {
			names = append(names, "-"+name)
		}
	}}
	_ = probe.dispatch(ctx, words[:min(2, len(words))]) // it ends at the flags
	slices.Sort(names)
	return names
}
