package scx

import "github.com/cilium/ebpf"

// This file keeps the maps of a scheduler that has ended by itself: they tell
// why, and would be gone before anyone can look.

// maxHeld bounds the maps that are kept.
const maxHeld = 4096

// hold keeps all maps that exist in the guest, those of the scheduler among
// them. What cannot be kept is left out: it is for diagnosis only.
func (l *Loader) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	var id ebpf.MapID
	for len(l.held) < maxHeld {
		next, err := ebpf.MapGetNextID(id)
		if err != nil {
			return // there are no more
		}
		id = next
		if m, err := ebpf.NewMapFromID(id); err == nil {
			l.held = append(l.held, m)
		}
	}
}

// release lets go of what hold keeps.
func (l *Loader) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range l.held {
		m.Close()
	}
	l.held = nil
}
