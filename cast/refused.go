package cast

// This file finds the functions that never run, because the verifier refuses
// the programs that they are of.

import (
	"slices"
	"strings"

	"github.com/ktgen/ktgen/object"
)

// refused tells whether a program says of itself that the verifier must refuse
// it, as tests of the kernel do by a declaration tag. It never runs, and tends
// to store what it must not.
func refused(fn *object.Function) bool {
	const tag = "test_expect_failure"
	return fn.Type != nil && slices.ContainsFunc(fn.Type.Tags, func(t string) bool {
		return strings.HasPrefix(t, "comment:") && strings.HasSuffix(t, ":"+tag)
	})
}

// refusedOnly returns the programs that the verifier refuses, with the functions
// that only they lead to.
func (e *engine) refusedOnly() map[*function]bool {
	byRefused := e.reached(func(f *function) bool { return refused(f.Function) })
	byOthers := e.reached(func(f *function) bool {
		return !refused(f.Function) && (f.Program() || !f.Static || !byRefused[f])
	})
	for f := range byOthers {
		delete(byRefused, f)
	}
	return byRefused
}

// reached returns some functions and those that they, in turn, call or take the
// addresses of.
func (e *engine) reached(from func(*function) bool) map[*function]bool {
	reached := make(map[*function]bool)
	var todo []*function
	add := func(f *function) {
		if !reached[f] {
			reached[f] = true
			todo = append(todo, f)
		}
	}
	for _, f := range e.inOrder {
		if from(f) {
			add(f)
		}
	}
	for len(todo) > 0 {
		f := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, c := range f.callees {
			add(c.fn)
		}
	}
	return reached
}
