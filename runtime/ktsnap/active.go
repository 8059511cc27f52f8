package ktsnap

import (
	"fmt"
	"slices"
)

// schedOps are the values of the struct_ops maps that register a scheduler: struct
// sched_ext_ops, or sched_ext_ops_cid from Linux 7.3 on, in what bpf_struct_ops wraps
// each kind in (kernel/bpf/bpf_struct_ops.c, VALUE_PREFIX).
var schedOps = []string{"bpf_struct_ops_sched_ext_ops", "bpf_struct_ops_sched_ext_ops_cid"}

// Active returns a view of the maps of the active scheduler: the one program that has a
// sched_ext_ops registered with the kernel. With it a name is not ambiguous if an object
// is loaded more than once, or if several objects are loaded. It has a
// [*NoActiveSchedulerError] if there is no such program, or more than one.
func (s *Snapshot) Active() View {
	v := s.view()
	if v.err != nil {
		return v
	}
	program, reason := v.r.activeProgram()
	if reason != "" {
		return View{r: v.r, err: &NoActiveSchedulerError{Reason: reason}}
	}
	v.ids = []uint32{}
	for _, m := range v.r.maps {
		if m.m.Program == program {
			v.ids = append(v.ids, m.m.ID)
		}
	}
	return v
}

// activeProgram returns the program that is registered as a scheduler, or why
// it cannot be told.
func (r *reader) activeProgram() (program *Program, reason string) {
	registered, captured := make(map[*Program]bool), 0
	for _, m := range r.maps {
		if m.m.Value == nil || !slices.Contains(schedOps, m.m.Value.Name) || m.m.Type != MapTypeStructOps {
			continue
		}
		captured++
		if m.m.Program != nil && m.isRegistered() {
			program = m.m.Program
			registered[program] = true
		}
	}
	switch {
	case len(registered) == 1:
		return program, ""
	case len(registered) > 1:
		return nil, fmt.Sprintf("%d programs have registered one", len(registered))
	case captured > 0:
		return nil, "the programs that have a sched_ext_ops have not registered it"
	}
	return nil, "no captured program has a sched_ext_ops"
}

// isRegistered tells whether the kernel uses a struct_ops map: whether its
// state is in use, or ready, which is that of maps that are registered through
// a link (enum bpf_struct_ops_state, include/linux/bpf.h).
func (m *mapReader) isRegistered() bool {
	state, err := m.view().At(0).Get("common.state").Str()
	return err == nil && (state == "BPF_STRUCT_OPS_STATE_INUSE" || state == "BPF_STRUCT_OPS_STATE_READY")
}
