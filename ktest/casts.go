package ktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/freeze"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file finds the pointers in a scheduler's data that are declared as
// integers, for captures to follow: it analyses the instructions of the objects
// that the guest is given, on the host.

// analysed keeps what the analysis of an object has found, by the hash of its
// bytes: tests of one binary load the same ones again and again.
var analysed sync.Map // [sha256.Size]byte to func() []ktsnap.Cast

// castsIn returns the casts of all objects in a file, which can be an object or
// a program. A program whose objects cannot be read has none: it need not be
// one that ktest knows.
func castsIn(path string) ([]ktsnap.Cast, error) {
	contents, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	found, _ := analysed.LoadOrStore(sha256.Sum256(contents), sync.OnceValue(func() []ktsnap.Cast {
		return analyse(path, contents)
	}))
	return found.(func() []ktsnap.Cast)(), nil
}

func analyse(path string, contents []byte) []ktsnap.Cast {
	var casts []ktsnap.Cast
	inside, err := object.Find(bytes.NewReader(contents), int64(len(contents)))
	if err != nil {
		return nil
	}
	for _, e := range inside {
		obj, err := object.Read(io.NewSectionReader(bytes.NewReader(contents), e.Offset, e.Size), e.Size, path)
		if err != nil {
			continue
		}
		casts = append(casts, cast.Analyze(obj).Casts()...)
	}
	return casts
}

// overridden are the casts that were found, with those that the test says in place
// of what was found there.
func overridden(found, said []ktsnap.Cast) []ktsnap.Cast {
	found = slices.DeleteFunc(slices.Clone(found), func(c ktsnap.Cast) bool {
		return slices.ContainsFunc(said, func(s ktsnap.Cast) bool { return s.In == c.In && s.Path == c.Path })
	})
	return append(found, said...)
}

// useCasts makes captures follow the casts of a scheduler, if there is one, of
// Config.Objects and of Config.Casts.
func (vm *VM) useCasts(ctx context.Context, s Scheduler) error {
	var casts []ktsnap.Cast
	for _, path := range append(slices.Clone(vm.cfg.Objects), s.path) {
		if path == "" {
			continue
		}
		found, err := castsIn(path)
		if err != nil {
			return fmt.Errorf("find the pointers in the data of %s: %w", path, err)
		}
		casts = append(casts, found...)
	}
	casts = overridden(casts, vm.cfg.Casts)
	vm.freezing.mu.Lock()
	defer vm.freezing.mu.Unlock()
	vm.freezing.casts = casts
	for _, f := range []*freeze.Freezer{vm.freezing.freezer, vm.freezing.hits} {
		if f == nil {
			continue
		}
		if err := f.Casts(ctx, casts); err != nil {
			return err
		}
	}
	return nil
}
