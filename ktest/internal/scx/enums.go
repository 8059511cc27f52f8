package scx

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// enums are the kernel's enums whose values schedulers take from the kernel that
// they run on (tools/sched_ext/include/scx/enums.autogen.h).
var enums = []string{
	"scx_public_consts", "scx_dsq_id_flags", "scx_enq_flags", "scx_deq_flags", "scx_kick_flags",
	"scx_ent_flags", "scx_ent_dsq_flags", "scx_task_state", "scx_rq_flags", "scx_ops_flags", "scx_wake_flags",
}

// setEnums fills in the constants by which the kernel's sched_ext headers make
// one object fit all kernels: for each enumerator SCX_X a variable
//
//	const volatile u64 __SCX_X;
//
// which is the loader's to set. Without that it is 0, which would make
// SCX_DSQ_LOCAL the queue with the number 0. Enumerators that the kernel lacks
// stay 0, by which programs know.
func setEnums(spec *ebpf.CollectionSpec, kernel *btf.Spec) error {
	values := enumerators(kernel)
	for name, variable := range spec.Variables {
		enumerator, ok := strings.CutPrefix(name, "__")
		if !ok || !variable.Constant() || variable.Size() != 8 {
			continue
		}
		value, ok := values[enumerator]
		if !ok {
			continue
		}
		if err := variable.Set(value); err != nil {
			return fmt.Errorf("set %s to the kernel's %s: %w", name, enumerator, err)
		}
	}
	return nil
}

// enumerators returns the values of the kernel's enumerators by name.
func enumerators(kernel *btf.Spec) map[string]uint64 {
	values := make(map[string]uint64)
	for _, name := range enums {
		var enum *btf.Enum
		if err := kernel.TypeByName(name, &enum); err != nil {
			continue // of another kernel version
		}
		for _, v := range enum.Values {
			values[v.Name] = v.Value
		}
	}
	return values
}
