package ktest_test

// This file runs in the guest: it puts records into ring buffers.

import (
	"encoding/binary"
	"fmt"
	goruntime "runtime"
	"sync/atomic"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

const (
	ringSize     = 4096 // bytes
	recordHeader = 8    // bytes
	ringPage     = 4096 // bytes; the data begins behind a page for each position
)

// fillRings produces records by programs, as only those can, until the ring has
// wrapped around, and consumes some of them.
func (k *keeper) fillRings() error {
	m := k.maps["ring"]
	consumer, err := mapRing(m, unix.PROT_READ|unix.PROT_WRITE, 0)
	if err != nil {
		return err
	}
	var pending []zooRecord
	position := uint64(0) // of the consumer
	for i := range 200 {
		record := zooRecord{Data: noise(1 + i*7%24), Discarded: i%5 == 4}
		if err := k.produce(m, record); err != nil {
			return fmt.Errorf("produce record %d: %w", i, err)
		}
		pending = append(pending, record)
		if len(pending) > 60 {
			position += align8(recordHeader + len(pending[0].Data))
			pending = pending[1:]
			atomic.StoreUint64(consumer, position)
		}
	}
	k.zoo.Rings["ring"] = pending
	return nil
}

func align8(n int) uint64 { return uint64(n+7) &^ 7 }

// produce runs a program that submits a record of at most 24 bytes, or reserves
// and discards one.
func (k *keeper) produce(m *ebpf.Map, record zooRecord) error {
	program := outputProgram(m, len(record.Data))
	if record.Discarded {
		program = discardProgram(m, len(record.Data))
	}
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.Syscall, License: "GPL", Flags: unix.BPF_F_SLEEPABLE, Instructions: program})
	if err != nil {
		return err
	}
	defer p.Close()
	var ctx [24]byte
	copy(ctx[:], record.Data)
	status, err := p.Run(&ebpf.RunOptions{Context: ctx})
	if err == nil && status != 0 {
		err = fmt.Errorf("the program returned %d", int32(status))
	}
	return err
}

// outputProgram submits the first n bytes of its context.
func outputProgram(m *ebpf.Map, n int) asm.Instructions {
	var program asm.Instructions
	for at := int16(0); at < 24; at += 8 {
		program = append(program, asm.LoadMem(asm.R2, asm.R1, at, asm.DWord), asm.StoreMem(asm.R10, at-24, asm.R2, asm.DWord))
	}
	return append(program,
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -24),
		asm.Mov.Imm(asm.R3, int32(n)), asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.Return(),
	)
}

func discardProgram(m *ebpf.Map, n int) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, m.FD()),
		asm.Mov.Imm(asm.R2, int32(n)), asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JNE.Imm(asm.R0, 0, "reserved"),
		asm.Mov.Imm(asm.R0, 1), asm.Return(),
		asm.Mov.Reg(asm.R1, asm.R0).WithSymbol("reserved"), asm.Mov.Imm(asm.R2, 0),
		asm.FnRingbufDiscard.Call(),
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}
}

// fillUserRing produces records as user space does, into a ring that nobody
// consumes.
func (k *keeper) fillUserRing() error {
	m := k.maps["ring_user"]
	producer, err := mapRing(m, unix.PROT_READ|unix.PROT_WRITE, ringPage)
	if err != nil {
		return err
	}
	data := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(producer), ringPage)), ringSize)
	position := uint64(0)
	for i := range 40 {
		record := zooRecord{Data: noise(1 + i*7%24), Discarded: i%5 == 4}
		header := uint64(len(record.Data))
		if record.Discarded {
			header |= 1 << 30
		}
		binary.LittleEndian.PutUint64(data[position:], header)
		copy(data[position+recordHeader:], record.Data)
		position += align8(recordHeader + len(record.Data))
		atomic.StoreUint64(producer, position)
		k.zoo.Rings["ring_user"] = append(k.zoo.Rings["ring_user"], record)
	}
	return nil
}

// mapRing maps the page of a position, and what lies behind it up to the end of
// the data if it is the producer's.
func mapRing(m *ebpf.Map, protection int, offset int64) (*uint64, error) {
	size := uintptr(ringPage)
	if offset > 0 {
		size += ringSize
	}
	p, err := unix.MmapPtr(m.FD(), offset, nil, size, protection, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the ring at %d: %w", offset, err)
	}
	goruntime.KeepAlive(m)
	return (*uint64)(p), nil
}
