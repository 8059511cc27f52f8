package vmm

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ktgen/ktgen/vmm/gdb"
)

// This file arms watchpoints: in QEMU's gdbstub, or in the plugin of a guest in lockstep.

// Hit is a write to a watched place. The guest stands still, just after it.
type Hit struct {
	CPU      int           // vCPU that wrote, from 0
	PC       uint64        // of the instruction after the one that wrote; in lockstep of the one that wrote
	Within   uint64        // an address of the function that wrote
	Old, New uint64        // the place's value before and after, little-endian
	Time     time.Duration // of a guest in lockstep; see [Access]
}

// Watchpoint is a place in the guest's memory whose writes stop the guest.
type Watchpoint struct {
	vm    *VM
	addr  uint64
	size  int
	mem   Memory
	onHit func(Hit) (keep bool)

	lost chan struct{} // closed when the place is no more

	// The fields below belong to whoever has the guest paused.
	armed bool
	value uint64 // when the guest was let go, or at the last hit
	at    Extent // of a guest in lockstep
}

// Memory is the memory of a guest's kernel by virtual addresses, while the guest
// stands still. The errors say that there is none. QEMU's gdbstub is of no help
// there: it reads as a vCPU does, and one in user mode may have no kernel mapped (page
// table isolation, arch/x86/mm/pti.c).
type Memory struct {
	Read   func(addr uint64, p []byte) error
	Locate func(addr uint64) (pa int64, err error) // is asked of guests in lockstep only
}

// Lost is closed when the place has no memory any more. The watchpoint is
// disarmed then.
func (w *Watchpoint) Lost() <-chan struct{} { return w.lost }

// watches are the watchpoints of a VM.
type watches struct {
	mu      sync.Mutex
	stub    *gdb.Client // nil until the first watchpoint
	points  []*Watchpoint
	pending *gdb.Stop     // a hit that nobody has looked at
	latest  gdb.Stop      // of any kind
	wake    chan struct{} // holds a token while there may be one
	resumed chan struct{} // holds a token after a RESUME event
	telling atomic.Bool   // onHit of one is called
}

func (w *watches) init() {
	w.wake = make(chan struct{}, 1)
	w.resumed = make(chan struct{}, 1)
}

// Watch stops the guest after each write of a vCPU to the size bytes at the
// virtual address addr of mem, calls onHit, and lets it go on. Writes of devices and of
// the host are not seen. onHit is called by one goroutine for all watchpoints of
// the VM; it may read the guest's memory, and write it unless the guest is in lockstep, but not pause the guest, nor
// arm or close watchpoints. If it returns false, the watchpoint is disarmed until [Watchpoint.Arm].
//
// A hit while the guest is paused by another is seen when that one resumes.
//
// A guest in lockstep does the same as without watchpoints, and each write is one hit: the vCPU
// waits in the middle of its instruction.
//
// The error is [ErrLockstepWatch], a [*WatchSizeError], a [*WatchOverlapError], a
// [*WatchLostError] if there is no memory at addr, a [*WatchLimitError], or as
// those of [VM.Pause].
func (vm *VM) Watch(ctx context.Context, addr uint64, size int, mem Memory, onHit func(Hit) (keep bool)) (*Watchpoint, error) {
	if size < 1 || size > 8 || bits.OnesCount(uint(size)) != 1 || addr%uint64(size) != 0 {
		return nil, &WatchSizeError{Addr: addr, Size: size}
	}
	if vm.calls != nil && vm.witness == nil {
		return nil, ErrLockstepWatch
	}
	w := &Watchpoint{vm: vm, addr: addr, size: size, mem: mem, onHit: onHit, lost: make(chan struct{})}
	if err := w.Arm(ctx); err != nil {
		return nil, err
	}
	return w, nil
}

// Arm makes a watchpoint that was disarmed stop the guest again.
func (w *Watchpoint) Arm(ctx context.Context) error {
	return w.vm.whilePaused(ctx, w.arm)
}

// Close takes the watchpoint back. After it onHit is not called, unless it is
// being called.
func (w *Watchpoint) Close(ctx context.Context) error {
	return w.vm.whilePaused(ctx, w.disarm)
}

// whilePaused calls f while the guest stands still. ctx bounds the wait for that only.
func (vm *VM) whilePaused(ctx context.Context, f func(context.Context) error) (err error) {
	if err := vm.Pause(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.Resume()) }()
	bounded, cancel := vm.stubTime()
	defer cancel()
	return f(bounded)
}

// arm is called while the guest is paused.
func (w *Watchpoint) arm(ctx context.Context) error {
	vm := w.vm
	switch {
	case w.armed:
		return nil
	case vm.calls != nil:
		return w.armWitness()
	}
	if err := w.checkOverlap(); err != nil {
		return err
	}
	stub, err := vm.attachStub(ctx)
	if err != nil {
		return err
	}
	if _, err := w.held(); err != nil {
		return err
	}
	if !vm.isWatched(w.addr, w.size) {
		if err := stub.Watch(ctx, w.addr, w.size); err != nil {
			return &WatchLimitError{Addr: w.addr, Size: w.size, Armed: len(vm.watches.points), Accel: vm.accel.Accel, Err: vm.stubGone(err)}
		}
	}
	w.add()
	return nil
}

func (w *Watchpoint) add() {
	w.vm.watches.mu.Lock()
	defer w.vm.watches.mu.Unlock()
	w.vm.watches.points = append(w.vm.watches.points, w)
	w.armed = true
}

func (w *Watchpoint) remove() {
	w.vm.watches.mu.Lock()
	defer w.vm.watches.mu.Unlock()
	w.vm.watches.points = slices.DeleteFunc(w.vm.watches.points, func(p *Watchpoint) bool { return p == w })
	w.armed = false
}

// disarm is called while the guest is paused. A hit that nobody has looked at
// is dropped with its last watchpoint.
func (w *Watchpoint) disarm(ctx context.Context) error {
	vm := w.vm
	if !w.armed {
		return nil
	}
	w.remove()
	if vm.calls != nil {
		vm.witness.watch(vm.watches.extents())
		return nil
	}
	if vm.isWatched(w.addr, w.size) {
		return nil
	}
	if err := vm.stub().Unwatch(ctx, w.addr, w.size); err != nil {
		return fmt.Errorf("taking back the watchpoint at %#x: %w", w.addr, vm.stubGone(err))
	}
	return nil
}

// held returns what the place holds. The error is a [*WatchLostError].
func (w *Watchpoint) held() (uint64, error) {
	var word [8]byte
	if err := w.mem.Read(w.addr, word[:w.size]); err != nil {
		return 0, &WatchLostError{Addr: w.addr, Size: w.size, Err: err}
	}
	return binary.LittleEndian.Uint64(word[:]), nil
}

// note keeps what the place holds when the guest is let go. A place without
// memory is let go of: the next that is there is something else.
func (w *Watchpoint) note(ctx context.Context) (err error) {
	if w.value, err = w.held(); err == nil {
		return nil
	}
	if err := w.disarm(ctx); err != nil {
		return err
	}
	select {
	case <-w.lost:
	default:
		close(w.lost)
	}
	return nil
}

func (w *Watchpoint) checkOverlap() error {
	for _, p := range w.vm.watches.list() {
		same := p.addr == w.addr && p.size == w.size
		if !same && p.addr < w.addr+uint64(w.size) && w.addr < p.addr+uint64(p.size) {
			return &WatchOverlapError{Addr: w.addr, Size: w.size, OtherAddr: p.addr, OtherSize: p.size}
		}
	}
	return nil
}

// isWatched reports whether a watchpoint of this very place is armed.
func (vm *VM) isWatched(addr uint64, size int) bool {
	return slices.ContainsFunc(vm.watches.list(), func(p *Watchpoint) bool { return p.addr == addr && p.size == size })
}

func (w *watches) list() []*Watchpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.points)
}

// stubGone turns the error of a call to the stub into the VM's error, if the
// call failed because QEMU has ended.
func (vm *VM) stubGone(err error) error {
	if errors.Is(err, gdb.ErrGone) {
		vm.settle()
		return cmp.Or(vm.Err(), err)
	}
	return err
}

const stubName = "ktgen-gdb"

// attachStub returns the stub, attached if it was not. The guest is paused.
func (vm *VM) attachStub(ctx context.Context) (*gdb.Client, error) {
	if stub := vm.stub(); stub != nil {
		return stub, nil
	}
	stub, err := vm.openStub(ctx)
	if err != nil {
		return nil, fmt.Errorf("attaching QEMU's gdbstub: %w", vm.gone(err))
	}
	vm.watches.mu.Lock()
	vm.watches.stub = stub
	vm.watches.mu.Unlock()
	go vm.serveHits(stub)
	return stub, nil
}

func (vm *VM) stub() *gdb.Client {
	vm.watches.mu.Lock()
	defer vm.watches.mu.Unlock()
	return vm.watches.stub
}

// openStub gives QEMU a connection and makes its gdbstub listen to it.
func (vm *VM) openStub(ctx context.Context) (*gdb.Client, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	if err := vm.mon.SendFile(ctx, stubName, theirs); err != nil {
		ours.Close()
		return nil, err
	}
	type address struct {
		Type string            `json:"type"`
		Data map[string]string `json:"data"`
	}
	type socket struct {
		Addr   address `json:"addr"`
		Server bool    `json:"server"`
	}
	type backend struct {
		Type string `json:"type"`
		Data socket `json:"data"`
	}
	chardev := struct {
		ID      string  `json:"id"`
		Backend backend `json:"backend"`
	}{stubName, backend{"socket", socket{address{"fd", map[string]string{"str": stubName}}, false}}}
	if err := vm.mon.Do(ctx, "chardev-add", chardev, nil); err != nil {
		ours.Close()
		return nil, err
	}
	if said, err := vm.Monitor(ctx, "gdbserver chardev:"+stubName); err != nil {
		ours.Close()
		return nil, fmt.Errorf("%w (it says %q)", err, said)
	}
	return gdb.New(ctx, ours, vm.onStubStop)
}
