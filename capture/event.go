package capture

import (
	"errors"
	"fmt"

	"github.com/ktgen/ktgen/runtime/nearest"
	"github.com/ktgen/ktgen/series"
)

// EventKind says what a store has done.
type EventKind uint8

const (
	Replaced  EventKind = iota // a capture took the place of another one of its name
	Spilled                    // a snapshot went to a file
	Dropped                    // a snapshot was dropped; its capture says so
	Forgotten                  // as many events as Count are not in the list
)

var kindNames = [...]string{"replaced", "spilled", "dropped", "forgotten"}

func (k EventKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("EventKind(%d)", uint8(k))
}

// Event is something that a store did with a capture.
type Event struct {
	Kind  EventKind
	Name  string // of the capture
	Bytes int64  // of its snapshot
	File  string // Spilled: where it is
	Err   error  // Dropped: why
	Count int    // Forgotten
}

func (e Event) String() string {
	switch e.Kind {
	case Replaced:
		return fmt.Sprintf("capture %q was replaced by another one of its name", e.Name)
	case Spilled:
		return fmt.Sprintf("snapshot %q (%d bytes) was written to %s", e.Name, e.Bytes, e.File)
	case Dropped:
		return fmt.Sprintf("snapshot %q (%d bytes) was dropped: %v", e.Name, e.Bytes, e.Err)
	}
	return fmt.Sprintf("%d events before these are forgotten", e.Count)
}

// maxEvents bounds the events that a store remembers.
const maxEvents = 1024

// eventLog keeps the latest events.
type eventLog struct {
	events []Event // a ring once it is full
	next   int     // of the ring
	lost   int
}

func (l *eventLog) add(e Event) {
	if len(l.events) < maxEvents {
		l.events = append(l.events, e)
		return
	}
	l.events[l.next] = e
	l.next = (l.next + 1) % maxEvents
	l.lost++
}

// list returns the events in order, the number of lost ones first.
func (l *eventLog) list() []Event {
	var events []Event
	if l.lost > 0 {
		events = append(events, Event{Kind: Forgotten, Count: l.lost})
	}
	events = append(events, l.events[l.next:]...)
	return append(events, l.events[:l.next]...)
}

// ErrClosed says that a store is closed.
var ErrClosed = errors.New("the store of captures is closed: its test has ended")

// NotCapturedError says that there is no capture of a name.
type NotCapturedError struct {
	Requested string
	Available []string // names of the captures, in order
}

func (e *NotCapturedError) Error() string {
	if len(e.Available) == 0 {
		return fmt.Sprintf("no capture is called %q: nothing has been captured", e.Requested)
	}
	s := fmt.Sprintf("no capture is called %q", e.Requested) + nearest.Hint(e.Requested, e.Available)
	const shown = 12
	s += fmt.Sprintf("; there are %q", e.Available[:min(shown, len(e.Available))])
	if more := len(e.Available) - shown; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// NameTakenError says that a name has been used before, in a store that refuses
// that.
type NameTakenError struct {
	Name   string
	Moment series.Moment // of the earlier capture
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("the name of a capture, %q, is taken by %s: choose another one, or let the store keep both (capture.KeepAll)", e.Name, e.Moment)
}

// EvictedError says that a capture has lost its snapshot.
type EvictedError struct {
	Name  string
	Bytes int64 // of the snapshot
	Err   error // why
}

func (e *EvictedError) Error() string {
	return fmt.Sprintf("snapshot %q (%d bytes) was dropped: %v; raise the bound, capture less often, or less of each map (freeze.Options)", e.Name, e.Bytes, e.Err)
}

// Unwrap returns Err.
func (e *EvictedError) Unwrap() error { return e.Err }
