package runtime

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/ktgen/ktgen/runtime/internal/faultline"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file explains a nil dereference by the pointer of the guest that was
// NULL, so that a test can read task.Stats.NrRuns without asking first.
//
// Nothing is recorded for that while reading. When a test panics, the statement that it
// panicked in says which fields were selected from what, and the objects that were handed out
// say which of their pointers of that type are nil.

// Catch is deferred. If a pointer of the guest that is nil, or a [Ptr] that is NULL, is
// dereferenced, it ends the test with an explanation. Without it the explanation is
// printed too, but the panic ends the whole test binary. Other panics go on.
//
//	snap := mysched.Bind(t, frozen)
//	defer ktrt.Catch(snap)
//
// A goroutine needs its own Catch. The explanation needs the test's source. It is sure of
// pointers that are dereferenced where they are selected, as in task.Stats.NrRuns, and
// guesses if a variable was in between.
func Catch(snap Bound) {
	r := recover()
	if r == nil {
		return
	}
	b := snap.Binding()
	if e, ok := r.(*ktsnap.Error); ok {
		b.fail(e)
	}
	at, isNil := faultline.NilDereference(r)
	if !isNil {
		panic(r)
	}
	explanation := b.explain(at)
	switch {
	case explanation == nil:
		panic(r)
	case b.tb == nil:
		panic(explanation.error())
	case !explanation.sure:
		explanation.print(b.tb)
		panic(r)
	}
	report(b.tb, at.String(), explanation.error().Error())
}

// NilHopError says that a pointer of the guest was dereferenced that is nil.
type NilHopError struct {
	Field  string // path of the pointer: task_ctxs[12].stats
	Others int    // pointers that may have been meant just as well
	Err    error  // why it is nil: [*ktsnap.NullError], [*ktsnap.NotCapturedError], ...
}

func (e *NilHopError) Error() string {
	others := ""
	if e.Others > 0 {
		others = fmt.Sprintf(" (or one of %d more)", e.Others)
	}
	return fmt.Sprintf("%s%s is nil: %v", e.Field, others, e.Err)
}

// Unwrap returns Err.
func (e *NilHopError) Unwrap() error { return e.Err }

// explainCleanup prints the explanation of a panic that ends the test binary.
// The test's cleanup runs while the panicking frames are on the stack.
func (b *Binding) explainCleanup() {
	if at, ok := faultline.Panicking(); ok {
		if explanation := b.explain(at); explanation != nil {
			explanation.print(b.tb)
		}
	}
}

// explanation is the pointer that was nil.
type explanation struct {
	at     faultline.Line
	pick   *nilField
	others int
	sure   bool // the statement selects the pointer itself
}

func (e *explanation) error() *ktsnap.Error {
	return &ktsnap.Error{Op: "dereference", Addr: e.pick.addr(), Err: &NilHopError{
		Field: e.pick.path(), Others: e.others, Err: e.pick.pointee(false).Err,
	}}
}

func (e *explanation) print(tb TB) {
	if !e.sure {
		fmt.Fprintf(tb.Output(), "%snil dereference, perhaps because %v\n", e.at, e.error().Err)
		return
	}
	fmt.Fprintf(tb.Output(), "%s%v\n", e.at, e.error())
}

// explain finds the nil pointer that the statement at a line dereferenced. It
// returns nil if none can have been meant.
func (b *Binding) explain(at faultline.Line) *explanation {
	chains, err := at.Selections()
	if err != nil {
		return nil
	}
	found := b.nilFields(chains)
	if len(found) == 0 {
		return nil
	}
	best := slices.MaxFunc(found, func(a, b *nilField) int { return cmp.Compare(a.score, b.score) })
	others := 0
	for _, f := range found {
		if f != best && f.score == best.score {
			others++
		}
	}
	return &explanation{at: at, pick: best, others: others, sure: best.score > 0}
}

// nilField is a nil pointer in an object.
type nilField struct {
	where

	// score is 0 if the statement selects something that the pointee has, 1 if it selects that
	// from this pointer, and more if the selections before lead to the object.
	score int
}

// nilFields returns the nil pointers that a statement can have dereferenced,
// those of the objects that were read last first.
func (b *Binding) nilFields(chains [][]string) []*nilField {
	b.mu.RLock()
	defer b.mu.RUnlock()
	objects := b.objects
	if b.interrupted != nil {
		objects = append(objects[:len(objects):len(objects)], b.interrupted)
	}
	var found []*nilField
	var way faultline.Way
	for _, o := range b.objects {
		way = append(way, reflect.ValueOf(o.value))
	}
	for _, o := range slices.Backward(objects) {
		found = append(found, b.nilFieldsOf(o, way, chains)...)
	}
	return found
}

func (b *Binding) nilFieldsOf(o *object, way faultline.Way, chains [][]string) []*nilField {
	v := reflect.ValueOf(o.value).Elem()
	if v.Kind() != reflect.Struct {
		return nil
	}
	var found []*nilField
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if f.Type.Kind() != reflect.Pointer || !v.Field(i).IsNil() {
			continue
		}
		score, possible := -1, false
		for _, names := range chains {
			if n, ok := way.Score(reflect.ValueOf(o.value), f, names); ok {
				score, possible = max(score, n), true
			}
		}
		w := where{b: b, o: o, want: b.shapeOf(o.key.typ), have: o.shape, size: len(o.raw)}
		if possible && w.enterField(i) {
			found = append(found, &nilField{where: w, score: score})
		}
	}
	return found
}
