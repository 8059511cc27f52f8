package scx

import (
	"slices"
	"time"

	"github.com/cilium/ebpf"
)

// This file keeps the maps of a scheduler that has ended by itself: they tell
// why, and would be gone before anyone can look.

// maxHeld bounds the maps that are kept. The agent may have many more files open.
const maxHeld = 1 << 16

// holding is the maps that are kept.
type holding struct {
	maps  []*ebpf.Map
	first ebpf.MapID   // maps up to this one are not the scheduler's
	gone  []ebpf.MapID // the scheduler's that are not kept any more, and may be there yet
}

// hold keeps all maps that exist in the guest, those of the scheduler among
// them. What cannot be kept is left out: it is for diagnosis only.
func (l *Loader) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &l.held
	var id ebpf.MapID
	for len(h.maps) < maxHeld {
		next, err := ebpf.MapGetNextID(id)
		if err != nil {
			return // there are no more
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue
		}
		h.maps = append(h.maps, m)
		if id > h.first {
			h.gone = append(h.gone, id)
		}
	}
}

// release lets go of what hold keeps.
func (l *Loader) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.held.maps {
		m.Close()
	}
	l.held.maps = nil
}

// begin is called before a scheduler is started: what is there by then is not its own.
// Maps of the one before are there for some time after their last user: programs let
// go of them after grace periods of RCU. A capture that has both cannot tell which of
// two maps of one name is meant.
func (l *Loader) begin() {
	l.release()
	l.awaitGone()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held.first = newestMap()
}

// goneTime bounds the wait for maps to go, which somebody else may keep.
const goneTime = 5 * time.Second

// awaitGone waits until maps that were released are gone.
func (l *Loader) awaitGone() {
	l.mu.Lock()
	gone := l.held.gone
	l.held.gone = nil
	l.mu.Unlock()
	for begin := time.Now(); time.Since(begin) < goneTime; time.Sleep(5 * time.Millisecond) { // there is no event
		if gone = slices.DeleteFunc(gone, isGone); len(gone) == 0 {
			return
		}
	}
}

func isGone(id ebpf.MapID) bool {
	m, err := ebpf.NewMapFromID(id)
	if err != nil {
		return true
	}
	m.Close()
	return false
}

// newestMap returns the largest id of a map, 0 if there is none. The kernel gives
// larger ones to maps that come later (idr_alloc_cyclic, kernel/bpf/syscall.c).
func newestMap() ebpf.MapID {
	var newest ebpf.MapID
	for {
		next, err := ebpf.MapGetNextID(newest)
		if err != nil {
			return newest
		}
		newest = next
	}
}
