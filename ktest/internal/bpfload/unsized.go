package bpfload

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/cilium/ebpf"
)

// unsizedLine is how the kernel says that a variable is void, which clang makes of
// _Atomic types (btf_var_check_meta and btf_verifier_log_type, kernel/bpf/btf.c).
var unsizedLine = regexp.MustCompile(`\] VAR (\S{1,128}) type_id=0 linkage=\d+ Invalid type_id`)

// UnsizedVariable says which variable the kernel refuses an object's BTF for, as it
// has no size, from the log of the load. It is empty if the log tells of none.
func UnsizedVariable(log string) string {
	line := unsizedLine.FindStringSubmatch(log)
	if line == nil {
		return ""
	}
	return fmt.Sprintf("the kernel does not take the object's BTF: variable %s has no size in it, where clang makes void of _Atomic types; declare it without _Atomic and use __sync_fetch_and_add or __atomic_fetch_add", line[1])
}

// refusedBTF explains the refusal of an object's BTF.
func refusedBTF(err error) error {
	var log *ebpf.VerifierError
	if errors.As(err, &log) {
		if why := UnsizedVariable(strings.Join(log.Log, "\n")); why != "" {
			return fmt.Errorf("%s (%w)", why, err)
		}
	}
	return fmt.Errorf("loading the object's BTF: %w", err)
}
