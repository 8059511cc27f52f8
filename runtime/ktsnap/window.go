package ktsnap

import "fmt"

// windowSize is how many addresses an arena has, in user space and in the kernel, in
// bytes.
const windowSize = 1 << 32

// Window is the addresses of an arena. It has at most 4 GiB and does not cross a
// multiple of that in user space (arena_map_mmap, kernel/bpf/arena.c), so that the low
// half of an address names its place.
type Window struct {
	User   uint64 // where it begins for user space: the upper half of its addresses there
	Kernel uint64 // where it begins in the kernel; 0 if that is not known
}

// Window returns the addresses of an arena, also of one of which no page was captured; ok is
// false if they are not known, and for other maps.
func (m *Map) Window() (w Window, ok bool) {
	start := m.Extra
	if len(m.Extents) > 0 {
		start = m.Extents[0].Addr
	}
	if m.Type.IsRing() || len(m.Extents) == 0 && (m.Type != MapTypeArena || start == 0) {
		return Window{}, false
	}
	return Window{User: start &^ (windowSize - 1), Kernel: m.Base}, true
}

// userEnd is where the addresses of user space end, which are those of arenas only where
// programs store them.
const userEnd = 1 << 47

// Unheld says why no memory of an arena is in the snapshot at an address that a program has
// stored; it is empty if no arena can have had it. It is sure if the address can hardly be
// another thing than one of the arena.
func (s *Snapshot) Unheld(addr uint64) (why string, sure bool) {
	for _, m := range s.Maps {
		if m.Type != MapTypeArena {
			continue
		}
		w, known := m.Window()
		if !known {
			w = Window{User: addr &^ (windowSize - 1), Kernel: m.Base}
		}
		kernel := w.hasKernel(addr)
		sure = kernel || addr >= windowSize && addr < userEnd && w.hasUser(addr)
		switch {
		case m.Status != Complete && (sure || addr < windowSize):
			return fmt.Sprintf("the arena %s was not captured whole: %s", m.Name, m.Reason), sure
		case m.Status == Complete && sure && (known || kernel):
			return fmt.Sprintf("the arena %s, which was captured whole, has no page there: the program keeps a pointer to memory that it has freed or never allocated", m.Name), true
		}
	}
	return "", false
}

func (w Window) hasUser(addr uint64) bool { return addr-w.User < windowSize }

func (w Window) hasKernel(addr uint64) bool { return w.Kernel != 0 && addr-w.Kernel < windowSize }

// Windows are those of all arenas that a program could point into. Programs store
// pointers as the kernel has them, as user space has them, or their low halves; these
// name a place if there is one arena.
type Windows []Window

// ToUser returns the address in user space of a pointer into an arena, and any other
// as it is.
func (ws Windows) ToUser(addr uint64) uint64 {
	for _, w := range ws {
		if w.hasKernel(addr) {
			return w.User | (addr - w.Kernel)
		}
	}
	if addr < windowSize && len(ws) == 1 {
		return ws[0].User | addr
	}
	return addr
}

// ToKernel returns the address in the kernel of a pointer into an arena; ok is false
// for any other.
func (ws Windows) ToKernel(addr uint64) (kernel uint64, ok bool) {
	for _, w := range ws {
		switch {
		case w.Kernel == 0:
		case w.hasKernel(addr):
			return addr, true
		case w.hasUser(addr):
			return w.Kernel + (addr - w.User), true
		case addr < windowSize && len(ws) == 1:
			return w.Kernel + addr, true
		}
	}
	return 0, false
}

// Has tells whether an address of user space is in an arena.
func (ws Windows) Has(user uint64) bool {
	for _, w := range ws {
		if w.hasUser(user) {
			return true
		}
	}
	return false
}
