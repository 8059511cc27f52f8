package vmm

import (
	"cmp"
	"encoding/binary"
	"errors"
)

// This file arms watchpoints of guests in lockstep. The plugin in QEMU has a vCPU wait at each store to
// a watched place until those who watch it have seen it. So all stores are seen, in their
// order, and the guest does what it does without.

// errInHit says why a guest in lockstep cannot be paused by who is shown a write.
var errInHit = errors.New("the guest stands in the middle of a write, which a watch shows: what is called there can take no snapshot and write nothing (a snapshot of that moment is made with WatchOptions.Capture); do it after the call that lets the guest run")

// armWitness is called while the guest is paused.
func (w *Watchpoint) armWitness() error {
	value, err := w.held()
	if err != nil {
		return err
	}
	if n := len(w.vm.watches.list()); n == maxExtents {
		return &WatchLimitError{Addr: w.addr, Size: w.size, Armed: n, Accel: TCG, Err: errors.New("the plugin in QEMU has no room for more")}
	}
	pa, err := w.mem.Locate(w.addr)
	if err != nil {
		return &WatchLostError{Addr: w.addr, Size: w.size, Err: err}
	}
	w.value, w.at = value, Extent{pa, w.size}
	w.add()
	w.vm.witness.watch(w.vm.watches.extents())
	return nil
}

func (w *watches) extents() (all []Extent) {
	for _, p := range w.list() {
		all = append(all, p.at)
	}
	return all
}

// onStore shows a store to those who watch its place. The vCPU waits in it.
func (vm *VM) onStore(a Access) {
	if !vm.ram.acquire() {
		return // nobody has the guest any more
	}
	defer vm.ram.release()
	for _, w := range vm.watches.list() {
		if w.take(a) {
			continue
		}
		w.remove()
		vm.witness.watch(vm.watches.extents())
	}
}

// take notes what a store leaves in the place, and shows it unless it is the host's.
func (w *Watchpoint) take(a Access) (keep bool) {
	from, to := max(a.Phys, w.at.Addr), min(a.Phys+int64(len(a.New)), w.at.Addr+int64(w.size))
	if from >= to {
		return true
	}
	hit := Hit{CPU: a.CPU, PC: a.PC, Within: a.PC, Old: w.value, Time: cmp.Or(a.Time, w.vm.calls.Now())}
	var word [8]byte
	binary.LittleEndian.PutUint64(word[:], w.value)
	copy(word[from-w.at.Addr:], a.New[from-a.Phys:to-a.Phys])
	w.value = binary.LittleEndian.Uint64(word[:])
	hit.New = w.value
	return a.Host || w.tell(hit)
}

// wrote takes what the host is about to write into a guest in lockstep.
func (vm *VM) wrote(p []byte, pa int64) (there bool) {
	there = vm.calls.noteWrite(p, pa)
	if vm.witness != nil && vm.cfg.replay == nil {
		vm.witness.host(ramWrite{pa, p}, vm.calls.Now())
	}
	return there
}
