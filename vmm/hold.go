package vmm

import (
	_ "embed"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

//go:generate make -s -C hold

// holdLibrary is loaded into QEMU: hold/hold.c says what it does there.
//
//go:embed hold/hold.so
var holdLibrary []byte

// hold is the host's side of the library, a page of memory that both have.
type hold struct {
	mu  sync.Mutex
	mem []byte // nil once the guest is no more

	library, shared *os.File // QEMU's, until it runs
}

// holdPage is struct shared of hold/hold.c.
type holdPage struct {
	magic   uint32 // holdMagic once the library is there
	closed  uint32 // QEMU's main loop waits while vCPUs run
	idle    uint32 // all vCPUs wait
	answers uint32 // of the host's to calls
	inlined uint32 // idle time passes without the main loop
}

const holdMagic = 0x31646c68

// noteStands is what the library writes to the notes when the guest stands in a call.
const noteStands = 'S'

func newHold() (h *hold, err error) {
	h = new(hold)
	if h.library, err = memoryFile("ktgen-hold", holdLibrary); err != nil {
		return nil, err
	}
	if h.shared, err = memoryFile("ktgen-hold-page", make([]byte, os.Getpagesize())); err == nil {
		h.mem, err = unix.Mmap(int(h.shared.Fd()), 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	}
	if err != nil {
		h.library.Close()
		if h.shared != nil {
			h.shared.Close()
		}
		return nil, fmt.Errorf("share a page with QEMU: %w", err)
	}
	return h, nil
}

// memoryFile returns a file without a name that has contents.
func memoryFile(name string, contents []byte) (*os.File, error) {
	f, err := memfd(name, 0)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(contents); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// holdEnvironment returns what QEMU finds the library by, and what the library does the rest by:
// numbers of QEMU's descriptors.
func holdEnvironment(library, page, notes int) []string {
	preload := fmt.Sprintf("/proc/self/fd/%d", library)
	if others := os.Getenv("LD_PRELOAD"); others != "" {
		preload += ":" + others
	}
	return []string{"LD_PRELOAD=" + preload, fmt.Sprintf("KTGEN_HOLD=%d", page), fmt.Sprintf("KTGEN_NOTE=%d", notes)}
}

// check says why a QEMU that has answered cannot be held.
func (h *hold) check(qemu string) error {
	there := false
	h.set(func(p *holdPage) { there = atomic.LoadUint32(&p.magic) == holdMagic })
	if there {
		return nil
	}
	return &ConfigError{"QEMU", fmt.Sprintf("%s does not load the library that guests in lockstep need (by LD_PRELOAD): it is linked statically, runs as another user, or there is another program between; take one that is linked dynamically", qemu)}
}

// close has QEMU's main loop wait while vCPUs run, until open is called.
func (h *hold) close() { h.set(func(p *holdPage) { atomic.StoreUint32(&p.closed, 1) }) }

// still has idle time pass in QEMU's main loop only, from now on.
func (h *hold) still() { h.set(func(p *holdPage) { atomic.StoreUint32(&p.inlined, 0) }) }

func (h *hold) open() {
	h.set(func(p *holdPage) {
		atomic.StoreUint32(&p.closed, 0)
		wake(&p.idle)
	})
}

// opened has the main loop, which carries out QMP's commands, run until done is called. A nil
// hold does not keep it from that.
func (h *hold) opened() (done func()) {
	if h == nil || !h.isClosed() {
		return func() {}
	}
	h.open()
	return h.close
}

func (h *hold) isClosed() (closed bool) {
	h.set(func(p *holdPage) { closed = atomic.LoadUint32(&p.closed) != 0 })
	return closed
}

// answered ends the sleep of a vCPU that has a call to try again.
func (h *hold) answered() {
	h.set(func(p *holdPage) {
		atomic.AddUint32(&p.answers, 1)
		wake(&p.answers)
	})
}

// set calls f with the page, unless it is no more.
func (h *hold) set(f func(*holdPage)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mem != nil {
		f((*holdPage)(unsafe.Pointer(&h.mem[0])))
	}
}

func (h *hold) unmap() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mem != nil {
		_ = unix.Munmap(h.mem) // it is one
	}
	h.mem = nil
}

// wake ends the waits of QEMU's threads for a word to change.
func wake(word *uint32) {
	const futexWake, all = 1, 1<<31 - 1
	_, _, _ = unix.Syscall(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), futexWake, all)
}
