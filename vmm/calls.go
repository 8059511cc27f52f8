package vmm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm/mailbox"
)

// Calls is the connection with the agent of a guest in lockstep: a stream of bytes
// that also says when the guest runs.
//
// The guest runs while somebody waits for it (Wait), nobody is busy with what it has
// sent (Busy), and all that was sent has been read. Its agent calls when it has
// something to send, and at least every [Beat] of its own time; then it stands still,
// in the middle of one instruction, until the next time that it is waited for. So what
// the host does meanwhile happens between two instructions of the guest's, whatever
// time it takes.
type Calls struct {
	vm   *VM
	box  mailbox.Box
	room [mailbox.Pages][]byte

	mu       sync.Mutex
	changed  sync.Cond
	standing bool
	over     error // why the guest calls no more
	in       []byte
	out      []byte
	reading  int // readers that have found nothing
	busy     int
	waits    map[*wait]struct{}
	alarms   map[*alarm]struct{}
	now      time.Duration
	calls    int
	trail    []Exchange
	parking  bool
	parked   chan struct{} // closed when it has parked

	retelling bool          // the guest does not run yet; see prepared.go
	begins    bool          // Begin was called
	begun     chan struct{} // closed when the guest has then called
}

// Beat is the longest time of the guest's between two calls.
const Beat = 100 * time.Millisecond

// watchedFactor is how much longer a guest may not call each of whose accesses can take the host's time.
const watchedFactor = 10

// wait is somebody who waits for the guest.
type wait struct{ over func() bool }

// alarm is a moment that somebody waits for.
type alarm struct {
	at   time.Duration
	rang chan func() // of capacity 1
}

// StuckError says that a guest in lockstep has not called for too long.
type StuckError struct {
	Host  time.Duration // by the host's clock
	Since time.Duration // the guest's time at its last call
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("the guest has not called for %v of the host's time (Timeouts.Call), since %v of its own, although its agent does every %v: it loops where nothing can interrupt it (see its console), or the host is far busier than it was", e.Host, e.Since, Beat)
}

func newCalls(vm *VM) *Calls {
	c := &Calls{vm: vm, waits: make(map[*wait]struct{}), alarms: make(map[*alarm]struct{}), parked: make(chan struct{}), begun: make(chan struct{})}
	c.changed.L = &c.mu
	return c
}

// Calls returns the connection with the agent of a guest in lockstep, and nil for
// others.
func (vm *VM) Calls() *Calls { return vm.calls }

// run serves the calls of a guest until it is no more.
func (c *Calls) run() {
	if !c.vm.ram.acquire() {
		return // nobody has the guest any more
	}
	defer c.vm.ram.release()
	stop := context.AfterFunc(c.vm.alive, func() { c.end(c.vm.Err()) })
	defer stop()
	serve := c.serve
	if r := c.vm.cfg.replay; r != nil {
		serve = func() error { return c.follow(r) }
	}
	err := serve()
	if errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed) {
		err = nil // QEMU has ended
	}
	if err != nil {
		c.vm.fail(err)
	}
	<-c.vm.Done()
	c.end(c.vm.Err())
}

func (c *Calls) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over == nil {
		c.over = err
	}
	c.changed.Broadcast()
}

func (c *Calls) serve() error {
	if p := c.vm.cfg.Prepared; p != nil {
		if lives, err := c.retell(p); err != nil || !lives {
			return err
		}
	}
	c.vm.wires.hold.close()
	for {
		if err := c.awaitCall(); err != nil {
			return err
		}
		if err := c.receive(); err != nil {
			return err
		}
		if !c.awaitWaiters() {
			return nil
		}
		if c.parking {
			return c.park()
		}
		if err := c.answer(); err != nil {
			return err
		}
	}
}

// awaitCall waits until the guest stands in a call.
func (c *Calls) awaitCall() error {
	began := time.Now()
	late := time.AfterFunc(c.limit(), func() {
		c.mu.Lock()
		since := c.now
		c.mu.Unlock()
		c.vm.fail(&StuckError{Host: time.Since(began).Round(time.Second), Since: since})
	})
	defer late.Stop()
	defer c.letEnd()()
	for {
		var note [1]byte
		if _, err := c.vm.wires.notes.Read(note[:]); err != nil {
			return err
		}
		switch note[0] {
		case mailbox.NoteHere:
			var at [8]byte
			if _, err := io.ReadFull(c.vm.wires.notes, at[:]); err != nil {
				return err
			}
			if err := c.open(int64(binary.LittleEndian.Uint64(at[:]))); err != nil {
				return err
			}
		case mailbox.NoteCall:
			return c.awaitStands()
		default:
			return strayNote(note[0])
		}
	}
}

// endLimit returns how long QEMU's main loop may be kept waiting for vCPUs that do not stop. It is what
// ends QEMU when a guest has switched itself off.
func (c *Calls) endLimit() time.Duration { return c.limit() / 2 }

// letEnd has QEMU end if the guest is over. It is called before the guest runs, and
// called when it calls. A boot has no calls, and a limit of its own.
func (c *Calls) letEnd() (called func()) {
	if c.calls == 0 {
		return func() {}
	}
	hold := c.vm.wires.hold
	late := time.AfterFunc(c.endLimit(), hold.open)
	return func() {
		if !late.Stop() {
			hold.close()
		}
	}
}

// limit returns how long the guest may take until its next call. Its boot is bounded
// elsewhere.
func (c *Calls) limit() time.Duration {
	switch {
	case c.calls == 0:
		return time.Hour
	case c.vm.witness != nil:
		return watchedFactor * c.vm.cfg.Timeouts.Call
	}
	return c.vm.cfg.Timeouts.Call
}

// open finds the mailbox in the guest's memory.
func (c *Calls) open(at int64) error {
	page, ok := c.vm.ram.Slice(at, mailbox.PageSize)
	if !ok || !mailbox.Box(page).Valid() {
		return fmt.Errorf("the guest's agent says that its mailbox is at %#x, where there is none", at)
	}
	c.box = page
	for i := range c.room {
		at := int64(c.box.Uint64(mailbox.OffPages + 8*i))
		if c.room[i], ok = c.vm.ram.Slice(at, mailbox.PageSize); !ok {
			return fmt.Errorf("the guest's mailbox has a page at %#x, where there is no memory", at)
		}
	}
	c.vm.boxAt = at
	c.vm.witness.foundBox(at)
	return nil
}

// awaitStands waits until the guest stands, in the second half of a call.
func (c *Calls) awaitStands() error {
	var note [1]byte
	_, err := c.vm.wires.notes.Read(note[:])
	if err == nil && note[0] != noteStands {
		return strayNote(note[0])
	}
	return err
}

func strayNote(note byte) error {
	return fmt.Errorf("the guest writes %#x to port %#x, which the agent does not: is it a program of the guest's?", note, mailbox.PortNote)
}

// receive takes the message of a guest that has just called.
func (c *Calls) receive() error {
	n := int(c.box.Uint32(mailbox.OffLength))
	if n > mailbox.Room {
		return fmt.Errorf("the guest's agent has a message of %d bytes in a mailbox of %d", n, mailbox.Room)
	}
	message := make([]byte, 0, n)
	for at := 0; at < n; at += mailbox.PageSize {
		message = append(message, c.room[at/mailbox.PageSize][:min(n-at, mailbox.PageSize)]...)
	}
	c.hear(message, time.Duration(c.box.Uint64(mailbox.OffNow)))
	return nil
}

// hear takes a message of a guest that stands.
func (c *Calls) hear(message []byte, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = append(c.in, message...)
	c.standing = true
	c.now = now
	c.calls++
	c.noteCall(message)
	if c.begins && !c.retelling && c.calls == 1 {
		close(c.begun)
	}
	c.ringAlarms()
	c.changed.Broadcast()
}

// ringAlarms is called with mu held.
func (c *Calls) ringAlarms() {
	for a := range c.alarms {
		if a.at <= c.now {
			delete(c.alarms, a)
			a.rang <- c.keepStanding()
		}
	}
}

// awaitWaiters waits until the guest is to run, or to begin, and reports whether it lives.
func (c *Calls) awaitWaiters() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.over == nil && !c.parking && !c.runs() && !(c.retelling && c.begins && c.quiet()) {
		c.changed.Wait()
	}
	c.standing = c.over != nil
	return c.over == nil
}

// runs reports whether the guest is to run. It is called with mu held.
func (c *Calls) runs() bool {
	if !c.quiet() || len(c.waits) == 0 {
		return false
	}
	for w := range c.waits {
		if w.over() {
			return false // and whoever it is will say so
		}
	}
	return true
}

// answer lets the guest go on.
func (c *Calls) answer() error {
	a := c.compose()
	c.mu.Lock()
	c.noteAnswer(a)
	c.mu.Unlock()
	return c.give(a)
}

// compose takes what there is to answer.
func (c *Calls) compose() answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(c.out), mailbox.Room)
	a := answer{message: c.out[:n:n], order: mailbox.Go, next: c.now + Beat}
	c.out = c.out[n:]
	if len(c.out) > 0 {
		a.order = mailbox.Again
	}
	for alarm := range c.alarms {
		a.next = min(a.next, alarm.at)
	}
	return a
}

// give lets the guest go on with an answer.
func (c *Calls) give(a answer) error {
	for at := 0; at < len(a.message); at += mailbox.PageSize {
		copy(c.room[at/mailbox.PageSize], a.message[at:min(len(a.message), at+mailbox.PageSize)])
	}
	c.box.Put32(mailbox.OffLength, uint32(len(a.message)))
	c.box.Put64(mailbox.OffAlarm, uint64(a.next))
	return c.release(a.order)
}

// release ends the call in which the guest stands.
func (c *Calls) release(order uint32) error {
	c.box.Put32(mailbox.OffOrder, order)
	if err := c.vm.wires.gate.pass(); err != nil {
		return err
	}
	c.vm.wires.hold.answered()
	return nil
}

// change changes what others wait for.
func (c *Calls) change(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.changed.Broadcast()
}

// Park has the agent of a guest that stands stop all vCPUs, as it must when a
// template is made: QEMU does not save a machine in the middle of an instruction. Where they
// stop depends on the guest only.
func (c *Calls) Park(ctx context.Context) error {
	c.change(func() { c.parking = true })
	select {
	case <-c.parked:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.vm.Done():
		return c.vm.Err()
	}
}

// park waits until the agent has stopped the vCPUs.
func (c *Calls) park() error {
	vm := c.vm
	vm.pause.stopping.Store(true)
	vm.wires.hold.still()
	if err := c.release(mailbox.Park); err != nil {
		return err
	}
	select {
	case <-vm.pause.stopped:
	case <-vm.Done():
		return nil
	}
	vm.wires.hold.open()
	if state := c.box.Uint32(mailbox.OffState); state != mailbox.Parked {
		return fmt.Errorf("the guest has stopped, and its agent had not parked (its state is %d)", state)
	}
	close(c.parked)
	return nil
}

// unpark has the agent of a guest that was restored from a parked one go on, as soon
// as the guest runs.
func (c *Calls) unpark(at int64, burn uint32) error {
	if err := c.open(at); err != nil {
		return err
	}
	if state := c.box.Uint32(mailbox.OffState); state != mailbox.Parked {
		return fmt.Errorf("the guest's agent is not parked (its state is %d)", state)
	}
	c.box.Put32(mailbox.OffBurn, burn)
	c.box.Put32(mailbox.OffState, mailbox.Running)
	return nil
}

// stand waits until the guest stands, and keeps it standing until release is called.
func (c *Calls) stand(ctx context.Context) (release func(), err error) {
	if c.vm.watches.telling.Load() {
		return nil, errInHit
	}
	release = c.Busy()
	stop := context.AfterFunc(ctx, func() { c.change(func() {}) })
	defer stop()
	c.mu.Lock()
	for !c.standing && c.over == nil && ctx.Err() == nil {
		c.changed.Wait()
	}
	standing := c.standing && c.over == nil
	c.mu.Unlock()
	if standing {
		return release, nil
	}
	release()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return nil, c.vm.Err()
}

// Read returns bytes that the agent has sent.
func (c *Calls) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reading++
	c.changed.Broadcast()
	defer func() { c.reading-- }()
	for len(c.in) == 0 && c.over == nil {
		c.changed.Wait()
	}
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

// Write sends bytes with the answer to the next call, and does not wait for that.
func (c *Calls) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over != nil {
		return 0, c.over
	}
	c.out = append(c.out, p...)
	return len(p), nil
}

// Close ends the guest, as the connection is all that makes it run.
func (c *Calls) Close() error {
	c.vm.fail(ErrClosed)
	return nil
}

// Wait lets the guest run until over returns true. It does not wait itself: over is
// asked each time that the guest stands, must not block, and stays true until end is
// called: until then the guest stands. end returns when the guest stands.
func (c *Calls) Wait(over func() bool) (end func()) {
	w := &wait{over}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waits[w] = struct{}{}
	c.changed.Broadcast()
	return sync.OnceFunc(func() { c.endWait(w) })
}

func (c *Calls) endWait(w *wait) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waits, w)
	c.changed.Broadcast()
	for !c.standing && c.over == nil && len(c.waits) == 0 {
		c.changed.Wait()
	}
}

// Busy keeps the guest standing until done is called: its caller is about to do something,
// because of what the guest has sent, that the guest shall find done.
func (c *Calls) Busy() (done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.keepStanding()
}

// keepStanding is called with mu held.
func (c *Calls) keepStanding() (done func()) {
	c.busy++
	return sync.OnceFunc(func() { c.change(func() { c.busy-- }) })
}

// After waits for a moment of the guest's time, which comes only if somebody waits for the
// guest. At that moment rang gets a function, and the guest stands until it is called.
func (c *Calls) After(d time.Duration) (rang <-chan func(), stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := &alarm{at: c.now + d, rang: make(chan func(), 1)}
	c.alarms[a] = struct{}{}
	return a.rang, func() { c.stopAlarm(a) }
}

func (c *Calls) stopAlarm(a *alarm) {
	c.mu.Lock()
	delete(c.alarms, a)
	c.mu.Unlock()
	select {
	case done := <-a.rang:
		done()
	default:
	}
}

// Now returns the guest's CLOCK_MONOTONIC at its last call.
func (c *Calls) Now() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}
