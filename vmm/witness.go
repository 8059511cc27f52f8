package vmm

import (
	"cmp"
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/mailbox"
)

// This file has each load and store of some places in a guest reported, by a plugin in QEMU.

//go:generate make -s -C witness

// witnessPlugin is loaded into QEMU: witness/witness.c says what it does there.
//
//go:embed witness/witness.so
var witnessPlugin []byte

// Extent is a piece of a guest's memory that is watched.
type Extent struct {
	Addr int64 // guest-physical
	Size int
}

// Access is a load or a store of a vCPU's that touches a watched extent.
type Access struct {
	CPU   int
	PC    uint64 // of the instruction
	Addr  uint64 // virtual, as the instruction has it
	Phys  int64  // the same, guest-physical
	Store bool
	Host  bool // it is a store of the host's, by [RAM.WriteAt]: of no CPU and no instruction
	// Old and New are the accessed bytes before and after; of a load they are equal.
	Old, New []byte
	// Time is the guest's CLOCK_MONOTONIC when it was last looked at, some microseconds
	// before at most. It is 0 before the first call, and in a QEMU that does not tell.
	Time time.Duration
}

// WitnessError says why accesses of a guest cannot be watched.
type WitnessError struct{ Reason string }

func (e *WitnessError) Error() string { return "watch what a guest's run does: " + e.Reason }

// witness is the host's side of the plugin.
type witness struct {
	ram      *RAM
	onAccess func(Access)

	conn           int // a socket
	plugin, shared *os.File
	theirs         *os.File

	ahead int64 // QEMU's clock minus the guest's
	timed bool  // ahead is known

	done chan struct{} // closed when nothing is reported any more

	turn sync.Mutex // held while an access is taken

	mu      sync.Mutex
	extents []Extent
	kinds   uint32       // that are reported
	before  [][]byte     // the bytes of each extent
	box     int64        // address of the mailbox; 0 if it is not known yet
	mem     []byte       // that page is in
	page    *witnessPage // nil once QEMU has ended
}

// witnessPage is struct shared of witness/witness.c.
type witnessPage struct {
	magic    uint32
	n        uint32
	granules [64]byte
	ranges   [maxRanges]witnessRange
}

type witnessRange struct {
	begin, end    uint64
	kinds, unused uint32
}

const (
	maxRanges  = 4096
	maxExtents = maxRanges - 1 // one is of the mailbox

	watchLoads, watchStores = 1, 2

	witnessMessage = 48 // bytes
)

// maxWitnessed is the most memory of a guest whose accesses can be watched: QEMU before 8 does not tell
// apart what is above the PCI hole.
const maxWitnessed = q35SplitLow

// checkWitness says why a guest of a configuration cannot be watched.
func (c Config) checkWitness() error {
	switch {
	case int64(c.Memory) > maxWitnessed:
		return &WitnessError{fmt.Sprintf("it has %v of memory, and %v can be watched at most: give it less (Config.Memory)", c.Memory, Size(maxWitnessed))}
	case len(c.Topology.Nodes) > 1:
		return &WitnessError{"it has several NUMA nodes, whose memory is not told apart: leave out Topology.Nodes"}
	}
	return checkPlugins(c.QEMU)
}

// checkPlugins says whether a QEMU takes plugins: its own functions are what they call.
func checkPlugins(qemu string) error {
	symbols, err := symbolsOf(qemu)
	if err != nil {
		return nil // QEMU will say what it thinks of it
	}
	if !symbols["qemu_plugin_register_vcpu_mem_cb"] {
		return &WitnessError{fmt.Sprintf("%s is built without plugins (configure --enable-plugins): take another one by $%s, such as a distribution's; all but watches works without", qemu, EnvQEMU)}
	}
	return nil
}

func newWitness(ram *RAM, kinds uint32, extents []Extent, onAccess func(Access)) (w *witness, err error) {
	if len(extents) > maxExtents {
		return nil, &WitnessError{fmt.Sprintf("%d places are more than %d: watch fewer at once", len(extents), maxExtents)}
	}
	w = &witness{ram: ram, onAccess: onAccess, kinds: kinds, extents: slices.Clone(extents), conn: -1, done: make(chan struct{})}
	defer func() {
		if err != nil {
			w.closeTheirs()
			w.close()
		}
	}()
	if w.plugin, err = memoryFile("ktgen-witness", witnessPlugin); err != nil {
		return nil, err
	}
	size := int(unsafe.Sizeof(witnessPage{}))
	if w.shared, err = memoryFile("ktgen-witness-page", make([]byte, size)); err != nil {
		return nil, err
	}
	if w.mem, err = unix.Mmap(int(w.shared.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	w.page = (*witnessPage)(unsafe.Pointer(&w.mem[0]))
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	w.conn, w.theirs = fds[0], os.NewFile(uintptr(fds[1]), "qemu")
	return w, nil
}

// files returns QEMU's descriptors, and arguments and variables if the first of them has a number.
func (w *witness) files(first int) (files []*os.File, args, env []string) {
	return []*os.File{w.plugin, w.shared, w.theirs},
		[]string{"-plugin", fmt.Sprintf("/proc/self/fd/%d", first)},
		[]string{fmt.Sprintf("KTGEN_WITNESS=%d", first+1), fmt.Sprintf("KTGEN_WITNESS_HOST=%d", first+2)}
}

func (w *witness) closeTheirs() {
	for _, f := range []*os.File{w.plugin, w.shared, w.theirs} {
		if f != nil {
			f.Close()
		}
	}
}

func (w *witness) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conn >= 0 {
		unix.Close(w.conn)
	}
	if w.mem != nil {
		_ = unix.Munmap(w.mem) // it is one
	}
	w.conn, w.mem, w.page = -1, nil, nil
}

// discard is close for one whose QEMU did not start; nil has nothing to close.
func (w *witness) discard() {
	if w != nil {
		w.close()
	}
}

// arm has the plugin report the extents, and the agent's calls. It is called with mu held.
func (w *witness) arm() {
	if w.page == nil {
		return
	}
	var ranges []witnessRange
	for _, e := range w.extents {
		ranges = append(ranges, witnessRange{begin: uint64(e.Addr), end: uint64(e.Addr) + uint64(e.Size), kinds: w.kinds})
	}
	if w.box != 0 {
		at := uint64(w.box) + mailbox.OffNow
		ranges = append(ranges, witnessRange{begin: at, end: at + 8, kinds: watchStores})
	}
	ranges = merged(ranges)
	w.page.n, w.page.granules = 0, [64]byte{}
	for i, r := range ranges {
		w.page.ranges[i] = r
		for at := r.begin / 8; at <= (r.end-1)/8 && at-r.begin/8 < 512; at++ {
			w.page.granules[at%512/8] |= 1 << (at % 8)
		}
	}
	w.page.n = uint32(len(ranges))
}

// merged returns ranges in their order, in which the plugin looks for an address, without overlaps.
func merged(ranges []witnessRange) (all []witnessRange) {
	slices.SortFunc(ranges, func(a, b witnessRange) int { return cmp.Compare(a.begin, b.begin) })
	for _, r := range ranges {
		if last := len(all) - 1; last >= 0 && r.begin < all[last].end {
			all[last].end = max(all[last].end, r.end)
			all[last].kinds |= r.kinds
			continue
		}
		all = append(all, r)
	}
	return all
}

// watch has other extents reported from now on. The guest stands.
func (w *witness) watch(extents []Extent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.extents = extents
	w.note()
	w.arm()
}

// note notes what is there. It is called with mu held.
func (w *witness) note() {
	w.before = make([][]byte, len(w.extents))
	for i, e := range w.extents {
		w.before[i] = make([]byte, e.Size)
		_, _ = w.ram.ReadAt(w.before[i], e.Addr) // what is no memory is not accessed
	}
}

// begin notes what is there before the guest runs, and where its mailbox is.
func (w *witness) begin(box int64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note()
	w.box = box
	w.arm()
}

// foundBox has the guest's calls tell its time.
func (w *witness) foundBox(at int64) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.box != at {
		w.box = at
		w.arm()
	}
}

// run reports accesses until QEMU has ended.
func (w *witness) run() {
	runtime.LockOSThread() // the vCPU waits: no other thread is to be woken first
	defer runtime.UnlockOSThread()
	defer close(w.done)
	defer w.close()
	var m [witnessMessage]byte
	for {
		if !readAll(w.conn, m[:]) {
			return
		}
		w.turn.Lock()
		w.take(m[:])
		w.turn.Unlock()
		if _, err := unix.Write(w.conn, []byte{0}); err != nil {
			return
		}
	}
}

func readAll(fd int, b []byte) bool {
	for len(b) > 0 {
		n, err := unix.Read(fd, b)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return false
		}
		b = b[n:]
	}
	return true
}

// take takes a message of the plugin's.
func (w *witness) take(m []byte) {
	word := func(off int) uint64 { return binary.LittleEndian.Uint64(m[off:]) }
	half := func(off int) int { return int(binary.LittleEndian.Uint32(m[off:])) }
	a := Access{CPU: half(0), Store: half(8) != 0, PC: word(16), Addr: word(24), Phys: int64(word(32))}
	size, clock := half(4), int64(word(40))
	if size > 64 {
		return // no instruction's
	}
	a.New = make([]byte, size)
	if _, err := w.ram.ReadAt(a.New, a.Phys); err != nil {
		return
	}
	if a.Store && size == 8 && w.isNow(a.Phys) {
		w.ahead, w.timed = clock-int64(binary.LittleEndian.Uint64(a.New)), clock != 0
		return
	}
	if w.timed {
		a.Time = time.Duration(clock - w.ahead)
	}
	if a.Old = w.exchange(a); a.Old != nil {
		w.onAccess(a)
	}
}

// host reports what the host has written at a time of the guest's.
func (w *witness) host(written ramWrite, at time.Duration) {
	if w == nil {
		return
	}
	w.turn.Lock()
	defer w.turn.Unlock()
	a := Access{CPU: -1, Phys: written.addr, Store: true, Host: true, New: written.bytes, Time: at}
	if a.Old = w.exchange(a); a.Old != nil {
		w.onAccess(a)
	}
}

// isNow reports whether the agent tells its time there.
func (w *witness) isNow(pa int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.box != 0 && pa == w.box+mailbox.OffNow
}

// exchange returns the bytes that an access found, and keeps those that it left. It returns nil if
// they are not in an extent.
func (w *witness) exchange(a Access) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	old, touched := slices.Clone(a.New), false
	for i, e := range w.extents {
		from, to := max(a.Phys, e.Addr), min(a.Phys+int64(len(a.New)), e.Addr+int64(e.Size))
		if from >= to {
			continue
		}
		touched = true
		kept := w.before[i][from-e.Addr : to-e.Addr]
		if a.Store {
			copy(old[from-a.Phys:], kept)
		}
		copy(kept, a.New[from-a.Phys:])
	}
	if !touched {
		return nil
	}
	return old
}
