package capture_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/capture"
	"github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/series"
)

// snapshot makes a snapshot whose bytes all are fill.
func snapshot(name string, size int, fill byte) *ktsnap.Snapshot {
	values := make([]byte, size)
	for i := range values {
		values[i] = fill
	}
	return &ktsnap.Snapshot{Name: name, Maps: []*ktsnap.Map{{
		ID: 1, Name: "m", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: size, MaxEntries: 1, N: 1, Slots: 1, Stride: size, Total: 1, Values: values,
	}}}
}

// captureOf makes a capture at a second of a run.
func captureOf(name string, second int, s *ktsnap.Snapshot) series.Capture {
	return series.Capture{Moment: series.Moment{Name: name, Elapsed: time.Duration(second) * time.Second}, Snapshot: s}
}

// open is what stands for the Open of generated code.
func open(s *ktsnap.Snapshot, _ ...runtime.Option) (byte, error) { return s.Maps[0].Values[0], nil }

func newStore(t *testing.T, o capture.Options) *capture.Store {
	s := capture.New(o)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// fill adds captures 0 to n-1.
func fill(t *testing.T, s *capture.Store, n, size int) {
	for i := range n {
		name := fmt.Sprintf("periodic_%03d", i)
		require.NoError(t, s.Add(captureOf(name, i, snapshot(name, size, byte(i)))))
	}
}

func names(captures []series.Capture) []string {
	var names []string
	for _, c := range captures {
		names = append(names, c.Name)
	}
	return names
}

func TestCapturesKeepTheirOrderAndMoment(t *testing.T) {
	s := newStore(t, capture.Options{})
	noStop := errors.New("the guest did not stop")
	require.NoError(t, s.Add(captureOf("b", 2, snapshot("b", 8, 1))))
	require.NoError(t, s.Add(captureOf("a", 1, nil)))
	require.NoError(t, s.Add(series.Capture{Moment: series.Moment{Name: "c"}, NoSnapshot: noStop, Statistics: []byte("{}")}))

	captures := s.Captures()
	require.Equal(t, []string{"b", "a", "c"}, names(captures))
	require.Equal(t, 2*time.Second, captures[0].Elapsed)
	require.Equal(t, "{}", string(captures[2].Statistics))
	_, err := s.Snapshot("c")
	require.ErrorIs(t, err, noStop)
	var none *series.NoSnapshotError
	require.ErrorAs(t, err, &none)
}

func TestCapturesKeepWhichInstanceTheyAreOf(t *testing.T) {
	s := capture.New(capture.Options{Memory: 1, Dir: t.TempDir()})
	defer s.Close()
	require.NoError(t, s.Add(series.Capture{Moment: series.Moment{Name: "a"}, Snapshot: &ktsnap.Snapshot{Scheduler: ktsnap.Scheduler{Instance: 2}}}))
	require.Equal(t, 2, s.Captures()[0].Instance)
}

func TestStoresShareNothing(t *testing.T) {
	outer, inner := newStore(t, capture.Options{}), newStore(t, capture.Options{SameName: capture.Refuse})
	require.NoError(t, outer.Add(captureOf("x", 1, snapshot("x", 8, 1))))
	require.NoError(t, inner.Add(captureOf("x", 2, snapshot("x", 8, 2))))
	require.Len(t, inner.Drain(), 1)
	require.Equal(t, []string{"x"}, names(outer.Captures()))
	require.NoError(t, outer.Add(captureOf("x", 3, snapshot("x", 8, 3))), "outer keeps all of a name")
}

func TestEveryCaptureOfANameIsKeptUnlessToldOtherwise(t *testing.T) {
	first, second := captureOf("x", 1, snapshot("x", 8, 1)), captureOf("x", 2, snapshot("x", 8, 2))
	other := captureOf("y", 1, nil)

	all := newStore(t, capture.Options{})
	for _, c := range []series.Capture{first, other, second} {
		require.NoError(t, all.Add(c))
	}
	require.Equal(t, []string{"x", "y", "x"}, names(all.Captures()))
	latest, err := all.Get("x")
	require.NoError(t, err)
	require.Equal(t, second.Moment, latest.Moment)
	require.Empty(t, all.Events())

	replace := newStore(t, capture.Options{SameName: capture.Replace})
	for _, c := range []series.Capture{first, other, second} {
		require.NoError(t, replace.Add(c))
	}
	require.Equal(t, []string{"y", "x"}, names(replace.Captures()))
	require.Equal(t, []capture.Event{{Kind: capture.Replaced, Name: "x"}}, replace.Events())

	refuse := newStore(t, capture.Options{SameName: capture.Refuse})
	require.NoError(t, refuse.Add(first))
	var taken *capture.NameTakenError
	require.ErrorAs(t, refuse.Add(second), &taken)
	require.Equal(t, 1, refuse.Len())
}

func TestSnapshotsBeyondTheMemoryAreReadBackFromFiles(t *testing.T) {
	const n, size = 20, 64 << 10
	dir := t.TempDir()
	s := newStore(t, capture.Options{Memory: 3 * 70 << 10, Dir: dir})
	fill(t, s, n, size)

	files, err := filepath.Glob(filepath.Join(dir, "*.ktsnap"))
	require.NoError(t, err)
	require.Len(t, files, n-3, "as many are in files as do not fit")
	require.Len(t, s.Events(), n-3)
	require.Equal(t, capture.Spilled, s.Events()[0].Kind)

	captures := s.Captures()
	for i, sample := range series.Open(captures, open) {
		require.NoError(t, sample.Err)
		require.EqualValues(t, i, sample.Value)
	}
	require.Nil(t, captures[0].Snapshot, "it is read when it is asked for")
	one, err := captures[0].Read()
	require.NoError(t, err)
	again, err := s.Snapshot("periodic_000")
	require.NoError(t, err)
	require.Same(t, one, again, "a snapshot that is in use is not read twice")

	require.NoError(t, s.Close())
	files, err = filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Empty(t, files)
}

// What was replaced takes no room: neither in memory nor in files.
func TestReplacedSnapshotsTakeNoRoom(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, capture.Options{SameName: capture.Replace, Memory: 1, Disk: 150 << 10, Dir: dir})
	for i := range 10 {
		require.NoError(t, s.Add(captureOf("x", 2*i, snapshot("x", 64<<10, byte(i)))))
		require.NoError(t, s.Add(captureOf("y", 2*i+1, snapshot("y", 64<<10, byte(i)))))
	}
	for _, sample := range series.Open(s.Captures(), open) {
		require.NoError(t, sample.Err)
		require.EqualValues(t, 9, sample.Value)
	}
	for _, e := range s.Events() {
		require.NotEqual(t, capture.Dropped, e.Kind, "%s", e)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.ktsnap"))
	require.NoError(t, err)
	require.Len(t, files, 1)
}

func TestSnapshotsBeyondTheDiskAreDroppedAndSayIt(t *testing.T) {
	s := newStore(t, capture.Options{Memory: 1, Disk: 150 << 10, Dir: t.TempDir()})
	fill(t, s, 5, 64<<10)

	samples := series.Open(s.Captures(), open)
	require.Len(t, samples, 5, "captures stay")
	for _, sample := range samples[2:] {
		require.NoError(t, sample.Err)
	}
	var evicted *capture.EvictedError
	require.ErrorAs(t, samples[0].Err, &evicted)
	require.Equal(t, "periodic_000", evicted.Name)
	require.ErrorAs(t, samples[1].Err, &evicted)
	dropped := 0
	for _, e := range s.Events() {
		if e.Kind == capture.Dropped {
			dropped++
		}
	}
	require.Equal(t, 2, dropped)
}

// A store whose files cannot be written does not grow without bound, and loses
// nothing but the snapshots that it says.
func TestFilesThatCannotBeWrittenCostTheirSnapshotsOnly(t *testing.T) {
	notADirectory := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(notADirectory, nil, 0o600))
	for name, dir := range map[string]string{"full": smallDisk(t), "no directory": notADirectory} {
		s := capture.New(capture.Options{Memory: 1, Dir: dir})
		fill(t, s, 3, 128<<10)
		samples := series.Open(s.Captures(), open)
		var evicted *capture.EvictedError
		require.ErrorAs(t, samples[0].Err, &evicted, name)
		require.ErrorContains(t, samples[0].Err, "could not be written", name)
		require.NoError(t, samples[2].Err, name)
		require.NoError(t, s.Close(), name)
	}
}

// The one capture that a failure begins with, and the latest, are kept in memory, whatever
// they take, if no file can be written.
func TestWhatIsNotGivenUpStaysInMemory(t *testing.T) {
	notADirectory := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(notADirectory, nil, 0o600))
	s := newStore(t, capture.Options{Memory: 1, Dir: notADirectory})
	event := captureOf("end", 1, snapshot("end", 64<<10, 1))
	event.Trigger = series.Event
	require.NoError(t, s.Add(event))
	require.NoError(t, s.Add(captureOf("latest", 2, snapshot("latest", 64<<10, 2))))
	for i, sample := range series.Open(s.Captures(), open) {
		require.NoError(t, sample.Err)
		require.EqualValues(t, i+1, sample.Value)
	}
}

// What a scheduler's end shows is not given up for what is captured after it, such as
// when the test fails for that.
func TestCaptureThatAFailureBeginsWithOutlivesAFullDisk(t *testing.T) {
	for name, o := range map[string]capture.Options{
		"full":   {Memory: 350 << 10, Dir: smallDisk(t)},
		"bounds": {Memory: 1, Disk: 250 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t, o)
			fill(t, s, 2, 100<<10)
			for i, name := range []string{"before_exit", "scheduler_exit", "test_failure"} {
				c := captureOf(name, 10+i, snapshot(name, 100<<10, 1))
				c.Trigger = series.Event
				require.NoError(t, s.Add(c))
			}
			require.NoError(t, s.Add(captureOf("last", 20, snapshot("last", 100<<10, 1))))
			for _, kept := range []string{"before_exit", "last"} {
				_, err := s.Snapshot(kept)
				require.NoError(t, err)
			}
			var evicted *capture.EvictedError
			_, err := s.Snapshot("periodic_000")
			require.ErrorAs(t, err, &evicted)
			require.ErrorContains(t, err, "capture.Options.")
			_, err = s.Snapshot("periodic_001")
			require.ErrorAs(t, err, &evicted)
		})
	}
}

// smallDisk returns a directory on a file system with little room.
func smallDisk(t *testing.T) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("mount a small tmpfs (needs root): %v", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	return dir
}

func TestDrainEmptiesTheStoreAndKeepsWhatItReturned(t *testing.T) {
	s := newStore(t, capture.Options{Memory: 1, Dir: t.TempDir()})
	fill(t, s, 3, 8)
	captures := s.Drain()
	require.Zero(t, s.Len())
	for i, sample := range series.Open(captures, open) {
		require.NoError(t, sample.Err)
		require.EqualValues(t, i, sample.Value)
	}
	fill(t, s, 1, 8)
	require.Equal(t, []string{"periodic_000"}, names(s.Captures()))
}

// What is drained while its file is written is counted once.
func TestDrainingWhileOthersAddLosesNothing(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, capture.Options{Memory: 20 << 10, Dir: dir})
	var adding sync.WaitGroup
	const writers, each = 4, 50
	for w := range writers {
		adding.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d/%d", w, i)
				if err := s.Add(captureOf(name, i, snapshot(name, 4<<10, byte(i)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := 0
	drain := func() {
		for _, sample := range series.Open(s.Drain(), open) {
			require.NoError(t, sample.Err)
			require.EqualValues(t, sample.Elapsed/time.Second, sample.Value)
			seen++
		}
	}
	for range 100 {
		drain()
	}
	adding.Wait()
	drain()
	require.Equal(t, writers*each, seen)

	// All of the bound is there for those that follow.
	before := len(s.Events())
	fill(t, s, 2, 4<<10)
	require.Len(t, s.Events(), before, "two of 8 KiB fit in 20 KiB")
	fill(t, s, 1, 4<<10)
	require.Len(t, s.Events(), before+1, "the third does not")
}

func TestEventsAreForgottenByCount(t *testing.T) {
	s := newStore(t, capture.Options{SameName: capture.Replace})
	for i := range 1500 {
		require.NoError(t, s.Add(captureOf(fmt.Sprint(i), i, nil)))
		require.NoError(t, s.Add(captureOf(fmt.Sprint(i), i, nil)))
	}
	full := newStore(t, capture.Options{SameName: capture.Replace})
	for i := range 1026 {
		if require.NoError(t, full.Add(captureOf("x", i, nil))); i == 1024 {
			require.Len(t, full.Events(), 1024)
			require.Equal(t, capture.Replaced, full.Events()[0].Kind, "none is forgotten")
		}
	}
	require.Equal(t, capture.Event{Kind: capture.Forgotten, Count: 1}, full.Events()[0])

	events := s.Events()
	require.Len(t, events, 1025)
	require.Equal(t, capture.Event{Kind: capture.Forgotten, Count: 1500 - 1024}, events[0])
	require.Equal(t, "476 events before these are forgotten", events[0].String())
	for i, e := range events[1:] {
		require.Equal(t, fmt.Sprintf(`capture "%d" was replaced by another one of its name`, 476+i), e.String())
	}
	require.Equal(t, "EventKind(4)", (capture.Forgotten + 1).String())
}

func TestAwaitWaitsForTheFirstCaptureOfAName(t *testing.T) {
	s := newStore(t, capture.Options{})
	require.NoError(t, s.Add(captureOf("other", 1, nil)))
	ended := errors.New("the test has ended")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(ended)
	_, err := s.Await(ctx, "late")
	require.ErrorIs(t, err, ended)
	var missing *capture.NotCapturedError
	require.ErrorAs(t, err, &missing)
	require.Equal(t, []string{"other"}, missing.Available)

	var adding sync.WaitGroup
	adding.Go(func() {
		if err := s.Add(captureOf("late", 2, nil)); err != nil {
			t.Error(err)
		}
	})
	c, err := s.Await(t.Context(), "late")
	adding.Wait()
	require.NoError(t, err)
	require.Equal(t, 2*time.Second, c.Elapsed)
	c, err = s.Await(ctx, "late")
	require.NoError(t, err, "one that is there is not waited for")
	require.Equal(t, "late", c.Name)
}

func TestStoreIsReadWhileOthersAdd(t *testing.T) {
	s := newStore(t, capture.Options{Memory: 8 << 10, Dir: t.TempDir()})
	const writers, each = 4, 25
	var adding sync.WaitGroup
	for w := range writers {
		adding.Go(func() {
			for i := range each {
				name := fmt.Sprintf("%d/%d", w, i)
				if err := s.Add(captureOf(name, i, snapshot(name, 1<<10, byte(i)))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for s.Len() < writers*each {
		next := s.Changed()
		for _, sample := range series.Open(s.Captures(), open) {
			require.NoError(t, sample.Err)
			require.EqualValues(t, sample.Elapsed/time.Second, sample.Value)
		}
		if s.Len() < writers*each {
			<-next
		}
	}
	adding.Wait()
}

func TestErrorsSayWhatToDo(t *testing.T) {
	s := newStore(t, capture.Options{SameName: capture.Refuse})
	_, err := s.Get("after_spwan")
	require.EqualError(t, err, `no capture is called "after_spwan": nothing has been captured`)

	require.NoError(t, s.Add(captureOf("before", 1, nil)))
	require.NoError(t, s.Add(captureOf("after_spawn", 2, nil)))
	_, err = s.Get("after_spwan")
	require.EqualError(t, err, `no capture is called "after_spwan" (did you mean "after_spawn"?); there are ["before" "after_spawn"]`)
	require.EqualError(t, s.Add(captureOf("before", 3, nil)),
		`the name of a capture, "before", is taken by before (+1s): choose another one, or let the store keep both (capture.KeepAll)`)
	require.EqualError(t, &capture.EvictedError{Name: "x", Bytes: 42, Err: errors.New("the disk is full")},
		`snapshot "x" (42 bytes) was dropped: the disk is full; raise the bound, capture less often, or less of each map (freeze.Options)`)

	for i := range 12 {
		require.NoError(t, s.Add(captureOf(fmt.Sprint(i), 1, nil)))
	}
	_, err = s.Get("spawn")
	require.ErrorContains(t, err, `there are ["before" "after_spawn" "0" "1" "2" "3" "4" "5" "6" "7" "8" "9"] and 2 more`)
	_, err = s.Snapshot("spawn")
	require.ErrorAs(t, err, new(*capture.NotCapturedError))

	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Add(captureOf("late", 1, nil)), capture.ErrClosed)
	require.NoError(t, s.Close(), "a second time")
}
