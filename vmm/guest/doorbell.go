package guest

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/mailbox"
)

// This file is the agent's end of a connection in a guest that runs only while the
// host waits for it (package mailbox). Bytes come only in the answers to calls.

// doorbell is such a connection.
type doorbell struct {
	mu   sync.Mutex // held during a call
	box  mailbox.Box
	room []byte // the pages for bytes

	come  sync.Cond // on comeL
	comeL sync.Mutex
	in    []byte

	bell *time.Timer
}

// openDoorbell makes the box and tells the host where it is.
func openDoorbell() (*doorbell, error) {
	const size = mailbox.PageSize + mailbox.Room
	// Shared, so that no fork makes a copy of what the host knows the place of.
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return nil, fmt.Errorf("make the mailbox: %w", err)
	}
	d := &doorbell{box: mailbox.Box(mem[:mailbox.PageSize]), room: mem[mailbox.PageSize:]}
	d.come.L = &d.comeL
	if err := pin(mem); err != nil {
		return nil, fmt.Errorf("make the mailbox: %w", err)
	}
	frames, err := physical(mem)
	if err != nil {
		return nil, fmt.Errorf("make the mailbox: %w", err)
	}
	for i, at := range frames[1:] {
		d.box.Put64(mailbox.OffPages+8*i, at)
	}
	copy(d.box, mailbox.Magic)
	return d, d.announce(frames[0])
}

// pin keeps the pages where they are.
func pin(mem []byte) error {
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // a kernel without huge pages has none to make
	_ = os.WriteFile("/proc/sys/vm/compact_unevictable_allowed", []byte("0"), 0)
	return unix.Mlock(mem)
}

// physical returns the physical addresses of the pages of mem.
func physical(mem []byte) ([]uint64, error) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, fmt.Errorf("%w (CONFIG_PROC_PAGE_MONITOR=y is needed)", err)
	}
	defer f.Close()
	var frames []uint64
	for at := 0; at < len(mem); at += mailbox.PageSize {
		mem[at] = 0 // it is there from now on
		var entry [8]byte
		page := int64(uintptr(unsafe.Pointer(&mem[at]))) / mailbox.PageSize
		if _, err := f.ReadAt(entry[:], 8*page); err != nil {
			return nil, err
		}
		const present, frame = 1 << 63, 1<<55 - 1 // Documentation/admin-guide/mm/pagemap.rst
		e := binary.LittleEndian.Uint64(entry[:])
		if e&present == 0 || e&frame == 0 {
			return nil, fmt.Errorf("page %d has no address: /proc/self/pagemap says %#x", at/mailbox.PageSize, e)
		}
		frames = append(frames, e&frame*mailbox.PageSize)
	}
	return frames, nil
}

// announce tells the host where the box is.
func (d *doorbell) announce(at uint64) error {
	return withPorts(func() {
		outb(mailbox.PortNote, mailbox.NoteHere)
		for _, b := range binary.LittleEndian.AppendUint64(nil, at) {
			outb(mailbox.PortNote, b)
		}
	})
}

// ring begins the calls of a guest that has nothing to say. It ends with the guest.
func (d *doorbell) ring() {
	d.mu.Lock()
	d.bell = time.NewTimer(0)
	d.mu.Unlock()
	for range d.bell.C {
		if err := d.call(nil); err != nil {
			fmt.Fprintf(os.Stderr, "ktgen agent: %v\n", err)
			return
		}
	}
}

// Write gives the host bytes.
func (d *doorbell) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		piece := p[n:min(len(p), n+mailbox.Room)]
		if err := d.call(piece); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return n, nil
}

// Read returns bytes of the host's.
func (d *doorbell) Read(p []byte) (int, error) {
	d.comeL.Lock()
	defer d.comeL.Unlock()
	for len(d.in) == 0 {
		d.come.Wait()
	}
	n := copy(p, d.in)
	d.in = d.in[n:]
	return n, nil
}

// call gives the host a message, stands still until it has answered, and takes the
// answer.
func (d *doorbell) call(message []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		order, err := d.once(message)
		if err != nil || order == mailbox.Go {
			return err
		}
		if order == mailbox.Park {
			d.park()
		}
		message = nil
	}
}

func (d *doorbell) once(message []byte) (order uint32, err error) {
	copy(d.room, message)
	d.box.Put32(mailbox.OffLength, uint32(len(message)))
	d.box.Put64(mailbox.OffNow, uint64(monotonic()))
	err = withPorts(func() {
		outb(mailbox.PortNote, mailbox.NoteCall)
		outb(mailbox.PortBlock, 0)
	})
	if err != nil {
		return 0, err
	}
	order = d.box.Uint32(mailbox.OffOrder)
	if order == mailbox.Park {
		return order, nil
	}
	d.take()
	if d.bell != nil {
		d.bell.Reset(time.Duration(max(0, int64(d.box.Uint64(mailbox.OffAlarm))-monotonic())))
	}
	return order, nil
}

// take takes the host's message.
func (d *doorbell) take() {
	n := min(d.box.Uint32(mailbox.OffLength), mailbox.Room)
	if n == 0 {
		return
	}
	d.comeL.Lock()
	defer d.comeL.Unlock()
	d.in = append(d.in, d.room[:n]...)
	d.come.Broadcast()
}

// park stops all vCPUs, and returns in a guest that was restored from the one that it
// stopped. What it loops for then differs from guest to guest, and so does all
// that follows.
func (d *doorbell) park() {
	state := (*uint32)(unsafe.Pointer(&d.box[mailbox.OffState]))
	atomic.StoreUint32(state, mailbox.Parked)
	if err := stopCPUs(); err != nil {
		fmt.Fprintf(os.Stderr, "ktgen agent: stop the CPUs: %v\n", err)
	}
	for atomic.LoadUint32(state) == mailbox.Parked {
	}
	runtime.KeepAlive(burn(d.box.Uint32(mailbox.OffBurn)))
}

// burn takes instructions, as many as it has turns.
//
//go:noinline
func burn(turns uint32) (x uint32) {
	for i := range turns {
		x = x*3 + i
	}
	return x
}

// monotonic returns CLOCK_MONOTONIC in ns.
func monotonic() int64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // which cannot fail
	return ts.Nano()
}

// serveCalls is the life of PID 1 in a guest that runs only while the host waits.
func serveCalls(handlers Handlers) error {
	d, err := openDoorbell()
	if err != nil {
		return err
	}
	go d.ring() // ends with the guest
	return Serve(context.Background(), d, handlers)
}

var _ io.ReadWriter = (*doorbell)(nil)
