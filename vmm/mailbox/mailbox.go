// Package mailbox says where in a guest's memory host and agent exchange bytes, if the guest
// runs only between the host's calls.
//
// For contributors.
//
// The agent calls the host by one instruction, which QEMU finishes only when the host lets
// it. All of the guest stands still until then.
package mailbox

import "encoding/binary"

// Ports of the guest's that the agent writes a byte to. The first wakes the host, the
// second blocks until the host has answered.
const (
	PortNote  = 0x5c0
	PortBlock = 0x5c4
	// PortStop is of QEMU's pvpanic device: a vCPU that writes StopCPU to it does not execute
	// another instruction before the machine is stopped and goes on.
	PortStop = 0x5c8
)

// StopCPU is what the agent writes to PortStop, on each vCPU.
const StopCPU = 1

// Notes are what the agent writes to PortNote.
const (
	NoteHere = 'M' // and 8 bytes, little endian: the physical address of the box
	NoteCall = 'C' // a call: PortBlock is written next
)

// A box is a page of numbers, all little endian, and pages for the bytes, which it
// lists: they are anywhere in the guest's memory.
const (
	PageSize = 4096
	Pages    = 32               // for bytes
	Room     = Pages * PageSize // bytes of one message, of either side
)

// Offsets in the page of numbers.
const (
	OffMagic  = 0  // 16 bytes: Magic
	OffState  = 16 // uint32: Running or Parked
	OffLength = 20 // uint32: bytes of the message, the agent's before a call, the host's after
	OffNow    = 24 // uint64: the agent's CLOCK_MONOTONIC at a call, ns
	OffAlarm  = 32 // uint64: by then, on that clock, the host wants to be called
	OffOrder  = 40 // uint32: Go, Again or Park
	OffBurn   = 44 // uint32: turns of a loop before a parked agent goes on
	OffPages  = 64 // Pages of uint64: physical addresses of the pages for bytes
)

// Magic begins a box.
const Magic = "ktgen mailbox 1\n"

// States of the agent.
const (
	Running = 0
	Parked  = 1 // all vCPUs are stopped, or about to be, and the host has to write Running
)

// Orders are what a call returns.
const (
	Go    = 0
	Again = 1 // call at once: the host has more bytes
	Park  = 2 // park, and take no notice of the rest
)

// Box is the page of numbers as the host holds it.
type Box []byte

// Uint32 returns the number at an offset.
func (b Box) Uint32(off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }

// Uint64 returns the number at an offset.
func (b Box) Uint64(off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

// Put32 sets the number at an offset.
func (b Box) Put32(off int, v uint32) { binary.LittleEndian.PutUint32(b[off:], v) }

// Put64 sets the number at an offset.
func (b Box) Put64(off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }

// Valid reports whether the page is a box.
func (b Box) Valid() bool { return len(b) == PageSize && string(b[:len(Magic)]) == Magic }
