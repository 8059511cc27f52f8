package bpfload

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// unsizedVariable and unsizedMember are how the kernel says that something is
// void, which clang makes of _Atomic types (btf_var_check_meta and
// btf_struct_check_meta, kernel/bpf/btf.c). What the member is of is in a line above.
var (
	unsizedVariable = regexp.MustCompile(`\] VAR (\S{1,128}) type_id=0 linkage=\d+ Invalid type_id`)
	unsizedMember   = regexp.MustCompile(`(?m)^\s*(\S{1,128}) type_id=0 (?:bitfield_size=\d+ )?bits_offset=\d+ Invalid type_id`)
	structLine      = regexp.MustCompile(`\] (STRUCT|UNION) (\S{1,128}) size=\d+ vlen=\d+`)
)

// Unsized says which variable or member the kernel refuses an object's BTF for, as
// it has no size, from the log of the load. It is empty if the log tells of none.
func Unsized(log string) string {
	what := ""
	if line := unsizedVariable.FindStringSubmatch(log); line != nil {
		what = "variable " + line[1]
	} else if at := unsizedMember.FindStringSubmatchIndex(log); at != nil {
		what = fmt.Sprintf("member %s of %s", log[at[2]:at[3]], lastStruct(log[:at[0]]))
	} else {
		return ""
	}
	return noSize(what)
}

func noSize(what string) string {
	return fmt.Sprintf("the kernel does not take the object's BTF: %s has no size in it, where clang makes void of _Atomic types; declare it without _Atomic and use __sync_fetch_and_add or __atomic_fetch_add", what)
}

// lastStruct names the last struct or union that a log tells of, as C spells it.
func lastStruct(log string) string {
	lines := structLine.FindAllStringSubmatch(log, -1)
	if len(lines) == 0 {
		return "a struct or union"
	}
	last := lines[len(lines)-1]
	kind := strings.ToLower(last[1])
	if last[2] == "(anon)" {
		return "a nameless " + kind
	}
	return kind + " " + last[2]
}

// refusedBTF explains the refusal of an object's BTF, in which types are.
func refusedBTF(err error, types *btf.Spec) error {
	var log *ebpf.VerifierError
	if errors.As(err, &log) {
		if why := Unsized(strings.Join(log.Log, "\n")); why != "" {
			return fmt.Errorf("%s (%w)", why, err)
		}
	}
	if why := bitsBesideKept(types); why != "" {
		return errors.New(why)
	}
	return fmt.Errorf("loading the object's BTF: %w", err)
}
