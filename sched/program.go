package sched

import (
	"encoding/hex"
	"strings"
	"time"
)

// Program is a loaded BPF program: struct bpf_prog with its struct bpf_prog_aux.
type Program struct {
	Addr uint64 // of the struct bpf_prog_aux
	ID   int
	Name string // the kernel's, cut after 15 bytes
	Type string // "struct_ops", as bpftool names it
	Tag  string // of its instructions, in hexadecimal

	Verified   int           // instructions that the verifier went through
	Insns      int           // of the program, behind the verifier
	JITed      int           // bytes of machine code, of all its functions
	StackDepth int           // bytes
	Functions  int           // with the main one; 0 if it has no others
	Loaded     time.Duration // after boot

	// Runs and RunTime are counted while the kernel's statistics are on
	// (/proc/sys/kernel/bpf_stats_enabled); Misses, the runs that did not take place
	// since the program ran already, always are.
	Runs, Misses uint64
	RunTime      time.Duration
}

func (s *State) loadPrograms(t *records) {
	if t == nil {
		return
	}
	for i := range t.N {
		r := t.record(i)
		p := &Program{
			Addr: t.Addrs[i], ID: int(r.uint("id")), Name: r.text("name"), Tag: hex.EncodeToString(r.bytes("tag")),
			Verified: int(r.uint("verified_insns")), Insns: int(r.uint("insns")), JITed: int(r.uint("jited_bytes")),
			StackDepth: int(r.uint("stack_depth")), Functions: int(r.uint("func_cnt")), Loaded: time.Duration(r.uint("load_time")),
			Runs: r.uint("run_cnt"), Misses: r.uint("recursion_misses"), RunTime: time.Duration(r.uint("run_time_ns")),
		}
		if typ := r.place("type"); typ.shape != nil {
			p.Type = strings.ToLower(enum{values: typ.shape.Underlying().Values}.text(r.uint("type"), "BPF_PROG_TYPE_"))
		}
		s.programs = append(s.programs, p)
	}
}

// Programs returns the BPF programs of the guest, by ascending id.
func (s *State) Programs() []*Program { return s.programs }
