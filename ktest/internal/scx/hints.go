package scx

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
)

// This file says what the errors that programs on libbpf repeat can mean for a
// scheduler. Of objects that ktest loads exact reasons are given.

// hint is what words in a program's output, in lower case, can mean.
type hint struct {
	words []string
	means string
}

var hints = []hint{
	{[]string{"failed to open system kconfig"}, "it needs the kernel's configuration, which can be put into the guest as /boot/config-RELEASE"},
	{[]string{"argument list too long", "-e2big"}, "\"argument list too long\" is the kernel's word for a number that is too large, such as timeout_ms of sched_ext_ops, or the value of a map that is per CPU: ktest.Object says which of an object"},
	{[]string{"device or resource busy", "-ebusy"}, "\"device or resource busy\" is the kernel's word for a scheduler beside another one, or for CPUs that have come or gone since it was loaded"},
	{[]string{"network is unreachable", "enetunreach", "name or service not known", "name resolution", "lookup address information", "no such host"},
		"the guest has no network but its loopback interface: have the program do without, or start what it talks to in the guest"},
	{[]string{"not a tty", "not a terminal", "no terminal", "controlling terminal", "inappropriate ioctl for device", "enotty", terminal},
		"programs in the guest have no terminal: give it the option with which it writes lines"},
}

// terminal is what a program opens to find its own.
const terminal = "/dev/tty"

// hintsFor returns what is to be said of a program's output.
func hintsFor(output string) []string {
	if why := cmp.Or(refusedMap(output), bpfload.Unsized(output)); why != "" {
		return []string{why}
	}
	var all []string
	if skipped := skippedSection(output); skipped != "" {
		all = append(all, skipped)
	}
	lower := strings.ToLower(output)
	for _, h := range hints {
		if slices.ContainsFunc(h.words, func(w string) bool { return strings.Contains(lower, w) }) {
			all = append(all, h.means)
		}
	}
	return all
}

// skippedLine is how libbpf says that it does not know a section of struct_ops maps
// (bpf_object__elf_collect in tools/lib/bpf/libbpf.c).
var skippedLine = regexp.MustCompile(`skipping unrecognized data section\(\d+\) (\.struct_ops[.\w]*)`)

// skippedSection says that the program's libbpf left out the scheduler's operations, whose
// programs the kernel does not take then; it is empty if it did not.
func skippedSection(output string) string {
	at := skippedLine.FindStringSubmatch(output)
	if at == nil {
		return ""
	}
	return fmt.Sprintf("its libbpf is too old for section %s, and left it out: link the program with a later one, such as that of the kernel's tools/lib/bpf", at[1])
}

// mapLine is how libbpf says which map the kernel does not make
// (bpf_object__create_maps in tools/lib/bpf/libbpf.c): by the error's name or, up
// to v1.5, by its words and number.
var mapLine = regexp.MustCompile(`map '([^'\n]{1,128})': failed to create: (?:(-E\w+)|.*\((-\d+)\))`)

// mapErrors are what the kernel returns for maps, and what of a map it is about.
var mapErrors = []struct{ name, number, means string }{
	{"E2BIG", "-7", "a number of it is too large: the size of its values (32768 bytes in a map that is per CPU), of its keys, or max_entries"},
	{"EINVAL", "-22", "it breaks a rule of its type: about map_flags, max_entries (of a ring buffer a power of two, and whole pages), or the size of its keys"},
	{"ENOMEM", "-12", "it takes more memory than the guest has: lower max_entries, or give the guest more (ktest.Config.Memory)"},
}

// refusedMap says which map the kernel has refused to make, and for what; it is
// empty if the output tells of none.
func refusedMap(output string) string {
	line := mapLine.FindStringSubmatch(output)
	if line == nil {
		return ""
	}
	for _, e := range mapErrors {
		if line[2] == "-"+e.name || line[3] == e.number {
			return fmt.Sprintf("the kernel does not make the map %q: %s, %s; ktest.Object says of an object what the kernel would take", line[1], e.name, e.means)
		}
	}
	return fmt.Sprintf("the kernel does not make the map %q", line[1])
}
