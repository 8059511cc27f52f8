package ktest

import (
	"encoding/binary"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// addVerified adds to a snapshot what the verifier said when the scheduler's object was
// loaded, which the kernel does not keep: table "verified", for package sched.
func (vm *VM) addVerified(snap *ktsnap.Snapshot) {
	s := vm.current()
	if s == nil || len(s.Verified()) == 0 || len(snap.Tables) == 0 {
		return
	}
	snap.Tables = append(snap.Tables, verifiedTable(s.Verified()))
}

func verifiedTable(programs []bpfload.Verification) *ktsnap.Table {
	number := &ctype.Shape{Kind: ctype.KindInt, Name: "unsigned long", Size: 8}
	row := &ctype.Shape{Kind: ctype.KindStruct, Name: "verified"}
	for _, name := range []string{"id", "time_us", "insns", "max_states_per_insn", "total_states", "peak_states", "mark_read"} {
		row.Members = append(row.Members, ctype.Member{Name: name, Offset: row.Size, Type: number})
		row.Size += number.Size
	}
	t := &ktsnap.Table{Name: row.Name, Type: row, N: len(programs), Addrs: make([]uint64, len(programs))}
	for _, v := range programs {
		for _, n := range []uint64{uint64(v.ID), v.Micros, v.Insns, v.MaxPerInsn, v.States, v.PeakStates, v.MaxMarkRead} {
			t.Data = binary.LittleEndian.AppendUint64(t.Data, n)
		}
	}
	return t
}
