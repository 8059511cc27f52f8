package capture

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"weak"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// SameName says what becomes of captures that are added under one name.
type SameName uint8

const (
	KeepAll SameName = iota // all are kept; Get returns the latest
	Replace                 // a capture takes the place of the earlier one, which is dropped
	Refuse                  // a second one is an error, a [*NameTakenError]
)

// Options say how many bytes are kept, and where. The zero value keeps every capture, up
// to 64 MiB of snapshots in memory and 4 GiB in files.
type Options struct {
	SameName SameName

	// Memory bounds the snapshots that are kept in memory, in bytes. Beyond
	// it the oldest go to files, and are read back when they are asked for.
	Memory int64
	// Disk bounds the files, in bytes. Beyond it the oldest snapshots are
	// dropped; their captures stay, with an [*EvictedError] in place of a snapshot.
	Disk int64
	// Dir is where files are written. If it is empty, the store makes a temporary
	// directory when it first needs one, and Close removes it. If the process was killed, the
	// user's next store that makes one removes it.
	Dir string
}

const (
	defaultMemory = 64 << 20
	defaultDisk   = 4 << 30
)

// Store keeps the captures of one run in the order in which they were added.
// Its methods may be called from any goroutine, while others add to it.
type Store struct {
	opts Options

	spilling sync.Mutex // held while a snapshot goes to a file

	mu      sync.Mutex // guards what follows
	entries []*entry
	memory  int64 // bytes of snapshots in memory
	disk    int64 // bytes of files
	dir     string
	lock    *os.File // of dir, if it is a temporary one
	files   int      // written so far, for their names
	log     eventLog
	changed chan struct{} // closed when a capture is added
	closed  bool
}

// entry is a capture in a store.
type entry struct {
	capture series.Capture // without its snapshot
	size    int64          // of the snapshot, in bytes; 0 if there is none

	// One of these has the snapshot, or capture.NoSnapshot says why none does.
	held  *ktsnap.Snapshot
	file  string
	taken func() (*ktsnap.Snapshot, error) // the Load that the capture came with

	again weak.Pointer[ktsnap.Snapshot] // of file, as long as someone uses it
}

// New returns an empty store. [Store.Close] removes its files.
func New(o Options) *Store {
	if o.Memory <= 0 {
		o.Memory = defaultMemory
	}
	if o.Disk <= 0 {
		o.Disk = defaultDisk
	}
	return &Store{opts: o, changed: make(chan struct{})}
}

// Add adds a capture. If the memory of the store is used up it writes the
// oldest snapshots to files before it returns. The error is a [*NameTakenError] or
// [ErrClosed]; the capture is not kept then.
func (s *Store) Add(c series.Capture) error {
	e := &entry{capture: c, held: c.Snapshot, taken: c.Load, size: footprint(c.Snapshot)}
	if c.Snapshot != nil {
		e.capture.Instance = c.Snapshot.Scheduler.Instance
	}
	e.capture.Snapshot, e.capture.Load = nil, nil
	if err := s.add(e); err != nil {
		return err
	}
	s.spill()
	return nil
}

func (s *Store) add(e *entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	name := e.capture.Name
	if earlier := s.find(name); earlier >= 0 && s.opts.SameName != KeepAll {
		if s.opts.SameName == Refuse {
			return &NameTakenError{Name: name, Moment: s.entries[earlier].capture.Moment}
		}
		s.drop(s.entries[earlier])
		s.entries = slices.Delete(s.entries, earlier, earlier+1)
		s.log.add(Event{Kind: Replaced, Name: name})
	}
	s.entries = append(s.entries, e)
	s.memory += e.size
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// find returns the index of the latest capture of a name, or -1.
func (s *Store) find(name string) int {
	for i := len(s.entries) - 1; i >= 0; i-- {
		if s.entries[i].capture.Name == name {
			return i
		}
	}
	return -1
}

// drop lets go of an entry's snapshot.
func (s *Store) drop(e *entry) {
	if e.held != nil {
		s.memory -= e.size
	}
	if e.file != "" {
		s.disk -= e.size
		os.Remove(e.file) // a file that stays costs its space until Close
	}
	e.held, e.file = nil, ""
}

// Captures returns what the store holds, in the order in which it was added.
// Snapshots that are in files are read when a capture's Read or series.Open
// asks for them.
func (s *Store) Captures() []series.Capture {
	s.mu.Lock()
	defer s.mu.Unlock()
	captures := make([]series.Capture, len(s.entries))
	for i, e := range s.entries {
		captures[i] = s.export(e)
	}
	return captures
}

// Drain returns what the store holds, and removes it from the store. Files
// stay until Close, and their bytes count against Options.Disk.
func (s *Store) Drain() []series.Capture {
	s.mu.Lock()
	defer s.mu.Unlock()
	captures := make([]series.Capture, len(s.entries))
	for i, e := range s.entries {
		captures[i] = s.export(e)
		if e.held != nil {
			s.memory -= e.size
		}
	}
	s.entries = nil
	return captures
}

// Get returns the latest capture of a name. The error is a [*NotCapturedError].
func (s *Store) Get(name string) (series.Capture, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.find(name); i >= 0 {
		return s.export(s.entries[i]), nil
	}
	return series.Capture{}, &NotCapturedError{Requested: name, Available: s.names()}
}

// Await returns the latest capture of a name, and waits for one if there is
// none. The error wraps a [*NotCapturedError] and the cause of ctx, which has ended
// before.
func (s *Store) Await(ctx context.Context, name string) (series.Capture, error) {
	for {
		changed := s.Changed()
		c, err := s.Get(name)
		if err == nil {
			return c, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return series.Capture{}, fmt.Errorf("%w (while: waiting for it: %w)", err, context.Cause(ctx))
		}
	}
}

// Snapshot returns the snapshot of the latest capture of a name. The error is
// a [*NotCapturedError], or a [*series.NoSnapshotError] with the reason.
func (s *Store) Snapshot(name string) (*ktsnap.Snapshot, error) {
	c, err := s.Get(name)
	if err != nil {
		return nil, err
	}
	return c.Read()
}

// Len returns the number of captures.
func (s *Store) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.entries)
}

// Changed returns a channel that is closed when the next capture is added.
func (s *Store) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

// Events lists what the store has replaced, written to files and dropped, in order: see
// [EventKind].
func (s *Store) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.list()
}

// names lists the names of captures, each once.
func (s *Store) names() []string {
	var names []string
	for _, e := range s.entries {
		if !slices.Contains(names, e.capture.Name) {
			names = append(names, e.capture.Name)
		}
	}
	return names
}

// export returns an entry as a capture.
func (s *Store) export(e *entry) series.Capture {
	c := e.capture
	c.Snapshot = e.held
	if e.held == nil && (e.file != "" || e.taken != nil) {
		c.Load = func() (*ktsnap.Snapshot, error) { return s.load(e) }
	}
	return c
}

// load reads the snapshot of an entry that was in a file.
func (s *Store) load(e *entry) (*ktsnap.Snapshot, error) {
	s.mu.Lock()
	held, file, again, reason := e.held, e.file, e.again.Value(), e.capture.NoSnapshot
	s.mu.Unlock()
	switch {
	case held != nil:
		return held, nil
	case again != nil:
		return again, nil
	case file == "" && e.taken != nil:
		return e.taken()
	case file == "":
		return nil, reason
	}
	snap, err := ktsnap.ReadFile(file)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && e.file == "" {
		return nil, e.capture.NoSnapshot // dropped meanwhile
	}
	if err != nil {
		return nil, fmt.Errorf("read back snapshot %q: %w", e.capture.Name, err)
	}
	if other := e.again.Value(); other != nil {
		return other, nil
	}
	e.again = weak.Make(snap)
	return snap, nil
}

// Close removes the files of the store. Captures that were taken from it and
// have been read stay as they are.
func (s *Store) Close() error {
	s.spilling.Lock()
	defer s.spilling.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if s.opts.Dir == "" && s.dir != "" {
		return errors.Join(os.RemoveAll(s.dir), s.lock.Close())
	}
	var errs []error
	for _, e := range s.entries {
		if e.file != "" {
			errs = append(errs, os.Remove(e.file))
		}
	}
	return errors.Join(errs...)
}

// folder returns the directory for files.
func (s *Store) folder() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		return s.dir, nil
	}
	if s.opts.Dir != "" {
		if err := os.MkdirAll(s.opts.Dir, 0o755); err != nil {
			return "", err
		}
		s.dir = s.opts.Dir
		return s.dir, nil
	}
	sweep(os.TempDir())
	lock, err := lockedDir(os.TempDir())
	if err != nil {
		return "", err
	}
	s.dir, s.lock = lock.Name(), lock
	return s.dir, nil
}

// nextFile returns the path of the next file.
func (s *Store) nextFile(dir string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files++
	return filepath.Join(dir, fmt.Sprintf("%06d.ktsnap", s.files))
}
