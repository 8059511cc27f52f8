package vmm

import (
	"io"
	"sync"
	"time"
)

// consoleLimit is how much of a guest's console output is kept, in bytes. A
// boot writes about 30 KiB.
const consoleLimit = 1 << 20

// console records what a guest writes to its serial console.
type console struct {
	copy       io.Writer
	kept       *tail
	complaints complaintWatch

	spoke     chan struct{} // closed at the first output
	spokeOnce sync.Once
	spokeAt   time.Time // readable once spoke is closed

	drained chan struct{} // closed when the guest cannot write any more
}

func newConsole(copy io.Writer) *console {
	return &console{
		copy:    copy,
		kept:    newTail(consoleLimit),
		spoke:   make(chan struct{}),
		drained: make(chan struct{}),
	}
}

// record reads the console until it ends.
func (c *console) record(r io.Reader) {
	defer close(c.drained)
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			c.write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (c *console) write(p []byte) {
	c.spokeOnce.Do(func() {
		c.spokeAt = time.Now()
		close(c.spoke)
	})
	c.kept.Write(p)
	c.complaints.Write(p)
	c.copy.Write(p) // a copy that fails is the owner's loss
}

// recall puts what the guest has written in an earlier life before all else.
// The guest must not run yet.
func (c *console) recall(text []byte) {
	c.kept.Write(text)
	c.complaints.Write(text)
}

// hasSpoken reports whether there was any output.
func (c *console) hasSpoken() bool {
	select {
	case <-c.spoke:
		return true
	default:
		return false
	}
}
