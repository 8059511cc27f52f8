package ktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ktgen/ktgen/ktest/internal/stats"
)

// Statistics says where a scheduler tells its own statistics. The zero value
// is nowhere.
type Statistics struct {
	socket, target string
	lines          bool
}

// StatsSocketPath is where schedulers that use scx_stats serve their
// statistics.
const StatsSocketPath = "/var/run/scx/root/stats"

// StatsSocket is a Unix socket in the guest on which the scheduler's program
// serves statistics as scx_stats does. The path is [StatsSocketPath] if it is
// empty.
func StatsSocket(path string) Statistics {
	if path == "" {
		path = StatsSocketPath
	}
	return Statistics{socket: path, target: "top"}
}

// Target names which statistics a socket is asked for; it is "top" otherwise.
func (s Statistics) Target(name string) Statistics {
	s.target = name
	return s
}

// StatsLines are lines that the scheduler's program writes, each with a JSON
// object. The latest is what counts.
func StatsLines() Statistics { return Statistics{lines: true} }

// Reasons why a capture has no statistics, beside those of the guest and of the
// context.
type (
	// StatsRefusedError is an answer without statistics.
	//
	//	Errno  int       // that it gives; 0 if it gives none and no statistics either
	//	Answer string    // the beginning of what it says
	StatsRefusedError = stats.RefusedError
	// StatsMalformedError is an answer that is no JSON.
	//
	//	Answer string
	StatsMalformedError = stats.MalformedError
	// StatsTooLargeError is an answer without an end.
	//
	//	Limit int    // bytes
	StatsTooLargeError = stats.TooLargeError
)

var (
	// ErrNoStatistics says that the guest's configuration names no source.
	ErrNoStatistics = errors.New("the guest's configuration names no source of statistics (Config.Statistics)")
	// ErrNoStatsLine says that the scheduler's program has not written any.
	ErrNoStatsLine = errors.New("the scheduler's program has written no line with a JSON object")
)

// Statistics asks the scheduler for its statistics, as JSON. Captures come with
// those of [Config.Statistics], which are asked for just before.
//
// The error is [ErrNoStatistics], [ErrNoScheduler], [ErrNoStatsLine], a
// [*StatsRefusedError], [*StatsMalformedError] or [*StatsTooLargeError],
// fs.ErrNotExist if there is no such socket, or that ctx has ended.
func (vm *VM) Statistics(ctx context.Context, from Statistics) ([]byte, error) {
	if from == (Statistics{}) {
		return nil, ErrNoStatistics
	}
	if _, running := vm.running(); !running {
		return nil, ErrNoScheduler
	}
	if from.lines {
		return vm.output.lines.latest()
	}
	answer, err := stats.Ask(ctx, vm.agent, stats.Request{Socket: from.socket, Target: from.target})
	if err != nil {
		return nil, fmt.Errorf("ask the scheduler at %s for statistics: %w", from.socket, vm.because(err))
	}
	return answer, nil
}

// maxStatistics bounds the time that a capture waits for statistics.
const maxStatistics = 2 * time.Second

// pair returns the statistics for a capture.
func (vm *VM) pair(ctx context.Context) ([]byte, error) {
	if vm.cfg.Statistics == (Statistics{}) {
		return nil, ErrNoStatistics
	}
	ctx, cancel := context.WithTimeout(ctx, maxStatistics)
	defer cancel()
	return vm.Statistics(ctx, vm.cfg.Statistics)
}

// maxStatsLine bounds a line of output with statistics, in bytes.
const maxStatsLine = 1 << 20

// statsLines finds the lines with JSON objects in a program's output.
type statsLines struct {
	mu      sync.Mutex
	partial []byte // of the current line
	skip    bool   // it is too long
	last    []byte
}

func (s *statsLines) write(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p) > 0 {
		line, rest, complete := bytes.Cut(p, []byte{'\n'})
		p = rest
		if s.skip = s.skip || len(s.partial)+len(line) > maxStatsLine; !s.skip {
			s.partial = append(s.partial, line...)
		}
		if !complete {
			return
		}
		if text := bytes.TrimSpace(s.partial); !s.skip && bytes.HasPrefix(text, []byte{'{'}) && json.Valid(text) {
			s.last = bytes.Clone(text)
		}
		s.partial, s.skip = s.partial[:0], false
	}
}

func (s *statsLines) latest() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil, ErrNoStatsLine
	}
	return s.last, nil
}

// reset forgets the lines of a scheduler that was there before.
func (s *statsLines) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.partial, s.skip, s.last = nil, false, nil
}
