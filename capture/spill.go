package capture

import (
	"fmt"
	"os"
	"slices"

	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// This file moves snapshots from memory to files.

// overhead stands for what a snapshot takes beside its columns, in bytes.
const overhead = 4 << 10

// footprint returns how much memory a snapshot takes. Types are not counted:
// the snapshots of a guest share them.
func footprint(s *ktsnap.Snapshot) int64 {
	if s == nil {
		return 0
	}
	n := int64(overhead)
	for _, m := range s.Maps {
		n += int64(len(m.Keys)) + int64(len(m.Values)) + 8*int64(len(m.Addrs)) + 64*int64(len(m.Owners))
		for _, e := range m.Extents {
			n += int64(len(e.Data))
		}
	}
	for _, symbol := range s.Symbols {
		n += symbolSize + int64(len(symbol.Name))
	}
	return n + footprintOfObjects(s.Kernel)
}

const (
	symbolSize = 32  // bytes of a ktsnap.Symbol
	objectSize = 128 // of a runtime.KernelObject with its names, about

	// objectChunk is the size of the pieces that captures copy the kernel's objects
	// into. A piece is there as long as any object in it.
	objectChunk = 1 << 20
)

// footprintOfObjects returns how much memory the kernel's objects of a snapshot
// take.
func footprintOfObjects(objects []ktsnap.KernelObject) int64 {
	var bytes int64
	for i := range objects {
		bytes += int64(len(objects[i].Data))
	}
	chunks := (bytes + objectChunk - 1) / objectChunk
	return chunks*objectChunk + objectSize*int64(len(objects))
}

// spill writes snapshots to files, the oldest first, until what remains in
// memory is within its bound. The latest stays in memory, however large it is.
func (s *Store) spill() {
	s.spilling.Lock()
	defer s.spilling.Unlock()
	for {
		e, held := s.oldestHeld()
		if e == nil {
			return
		}
		file, err := s.write(held)
		if err == nil {
			s.move(e, file)
		} else if !s.shed(err) {
			return
		}
	}
}

// oldestHeld returns the next snapshot to go, nil if there is room for all.
func (s *Store) oldestHeld() (*entry, *ktsnap.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.memory <= s.opts.Memory || s.closed {
		return nil, nil
	}
	for i, e := range s.entries {
		if e.held != nil && i < len(s.entries)-1 {
			return e, e.held
		}
	}
	return nil, nil
}

func (s *Store) write(held *ktsnap.Snapshot) (file string, err error) {
	dir, err := s.folder()
	if err != nil {
		return "", err
	}
	file = s.nextFile(dir)
	return file, held.WriteFile(file)
}

// shed drops a snapshot from memory that cannot go to a file. It reports whether
// there was one that may be dropped.
func (s *Store) shed(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.least(func(e *entry) bool { return e.held != nil })
	if e == nil {
		return false
	}
	s.drop(e)
	s.evict(e, fmt.Errorf("a file could not be written (make room, or set $TMPDIR or capture.Options.Dir): %w", err))
	return true
}

// least returns, of the snapshots that a place has, the one that is missed least: the
// oldest of those that were asked for, then the latest of those that were made by
// themselves. The first of these is what a failure begins with, and the rest
// follows from it: it stays, as does the latest snapshot that was asked for.
func (s *Store) least(has func(*entry) bool) *entry {
	var first, last *entry // that were made by themselves
	for i, e := range s.entries {
		switch {
		case !has(e):
		case e.capture.Trigger != series.Event && i < len(s.entries)-1:
			return e
		case e.capture.Trigger != series.Event:
		case first == nil:
			first = e
		default:
			last = e
		}
	}
	return last
}

// move notes that a snapshot is in a file. Then it makes room on disk.
func (s *Store) move(e *entry, file string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.entries, e) { // replaced or drained meanwhile
		os.Remove(file)
		return
	}
	s.drop(e)
	e.file = file
	s.disk += e.size
	s.log.add(Event{Kind: Spilled, Name: e.capture.Name, Bytes: e.size, File: file})
	for s.disk > s.opts.Disk {
		least := s.least(func(e *entry) bool { return e.file != "" })
		if least == nil {
			return
		}
		s.drop(least)
		s.evict(least, fmt.Errorf("the files of captures take more than %d bytes (capture.Options.Disk)", s.opts.Disk))
	}
}

// evict notes that an entry has lost its snapshot.
func (s *Store) evict(e *entry, reason error) {
	e.capture.NoSnapshot = &EvictedError{Name: e.capture.Name, Bytes: e.size, Err: reason}
	s.log.add(Event{Kind: Dropped, Name: e.capture.Name, Bytes: e.size, Err: reason})
}
