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

	Verification Verification // of the load; zeroes for programs that the scheduler's own program loads

	// Runs and RunTime are counted while the kernel's statistics are on (ktest's VM.CountRuns
	// switches them); Misses, the runs that did not take place
	// since the program ran already, always are.
	Runs, Misses uint64
	RunTime      time.Duration
}

// Verification is what the verifier says of a program, as veristat has it.
type Verification struct {
	Time                  time.Duration
	States, PeakStates    int
	MaxStates, MarkedRead int // states of one instruction; marks of registers that are read
}

// loadVerified gives programs what their loader was told.
func (s *State) loadVerified(t *records) {
	if t == nil {
		return
	}
	byID := make(map[int]*Program)
	for _, p := range s.programs {
		byID[p.ID] = p
	}
	for i := range t.N {
		r := t.record(i)
		if p := byID[int(r.uint("id"))]; p != nil {
			p.Verification = Verification{
				Time: time.Duration(r.uint("time_us")) * time.Microsecond, States: int(r.uint("total_states")),
				PeakStates: int(r.uint("peak_states")), MaxStates: int(r.uint("max_states_per_insn")), MarkedRead: int(r.uint("mark_read")),
			}
		}
	}
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
