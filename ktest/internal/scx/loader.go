package scx

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/vmm/guest"
)

// Loader starts schedulers. It is the part that runs in the guest.
type Loader struct {
	once      sync.Once // reads the two fields below
	kernel    *btf.Spec // the kernel's types; whoever uses them makes them faster to use
	kernelErr error

	mu      sync.Mutex
	current *run                // nil if no scheduler runs
	object  *bpfload.Collection // of the one that was started from an object; nil if it was not
	held    holding
}

// run is one scheduler in the guest, from its start to its end.
type run struct {
	ctx  context.Context // of its call, whose end makes it end
	stop chan struct{}   // closed to make it end
	once sync.Once       // closes stop
	over chan struct{}   // closed when it has ended, with its program
	done chan struct{}   // closed when the kernel has ended it, and its program lives on

	attach  chan struct{} // closed to let it be attached
	release sync.Once     // closes attach
}

// end makes the scheduler end.
func (r *run) end() { r.once.Do(func() { close(r.stop) }) }

// ending reports whether the scheduler has been told to end.
func (r *run) ending() bool {
	select {
	case <-r.stop:
		return true
	case <-r.ctx.Done():
		return true
	default:
		return false
	}
}

// Handlers returns the methods of the loader, for the agent.
func (l *Loader) Handlers() guest.Handlers {
	return guest.Handlers{
		methodWarm: l.handleWarm, methodRun: l.handleRun, methodStop: l.handleStop, methodGo: l.handleGo, methodProgram: l.handleProgram,
		methodState: func(context.Context, *guest.Call) (any, error) { return state() },
	}
}

// handleWarm does what takes time and can be done early. A kernel that cannot
// have schedulers is told when one is started.
func (l *Loader) handleWarm(context.Context, *guest.Call) (any, error) {
	recordDump()
	kernel, err := l.types()
	if err != nil {
		return nil, nil
	}
	for _, name := range append([]string{"bpf_struct_ops_sched_ext_ops", "sched_ext_ops", "task_struct"}, enums...) {
		_, _ = kernel.AnyTypeByName(name)
	}
	return nil, nil
}

// types returns the types of the kernel that this process runs on.
func (l *Loader) types() (*btf.Spec, error) {
	l.once.Do(func() {
		if l.kernel, l.kernelErr = btf.LoadKernelSpec(); l.kernelErr != nil {
			l.kernelErr = fmt.Errorf("read the kernel's BTF: %w (CONFIG_DEBUG_INFO_BTF=y is needed)", l.kernelErr)
		}
	})
	return l.kernel, l.kernelErr
}

// note returns where the kernel will note the end of a scheduler that is not enabled yet.
func (l *Loader) note(root uint64) *exitNote {
	kernel, _ := l.types() // whoever cannot do without them says so
	return newExitNote(root, kernel)
}

func (l *Loader) handleRun(ctx context.Context, c *guest.Call) (any, error) {
	var source Source
	if err := c.Decode(&source); err != nil {
		return nil, err
	}
	r, err := l.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer l.leave(r)

	l.begin()
	recordDump()
	m, err := watch(l.note(source.Root))
	if err != nil {
		return nil, err
	}
	p := &performance{loader: l, call: c, run: r, monitor: m, events: json.NewEncoder(c.Out), before: enabledSoFar(), root: source.Root}
	defer func() { p.monitor.stop() }()
	exit, err := p.perform(source)
	if err != nil {
		return nil, p.monitor.testify(err)
	}
	if err := p.events.Encode(event{Dump: exit.Dump}); err != nil {
		return nil, err
	}
	exit.Dump = ""
	return exit, nil
}

// perform runs a scheduler from its start to its end.
func (p *performance) perform(source Source) (Exit, error) {
	if len(source.Args) > 0 {
		return p.runBinary(guest.Command{Args: source.Args, Env: source.Env})
	}
	return p.runObject(source)
}

// enter makes room for a scheduler. It waits for one that is about to end, and
// ends the program of one that the kernel has ended.
func (l *Loader) enter(ctx context.Context) (*run, error) {
	for {
		r, other := l.tryEnter(ctx)
		if r != nil {
			return r, nil
		}
		select {
		case <-other.done:
			other.end()
		default:
		}
		if !other.ending() {
			return nil, &BusyError{Scheduler: enabledName()}
		}
		select {
		case <-other.over:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait until another scheduler has ended: %w", context.Cause(ctx))
		}
	}
}

// tryEnter returns a new run, or the one that is in its way.
func (l *Loader) tryEnter(ctx context.Context) (r, other *run) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil {
		return nil, l.current
	}
	l.current = &run{
		ctx: ctx, stop: make(chan struct{}), over: make(chan struct{}), done: make(chan struct{}), attach: make(chan struct{}),
	}
	return l.current, nil
}

func (l *Loader) leave(r *run) {
	if r.ending() {
		l.release()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = nil
	close(r.over)
}

// handleStop ends the scheduler that runs, if any, and waits for it.
func (l *Loader) handleStop(ctx context.Context, _ *guest.Call) (any, error) {
	l.mu.Lock()
	r := l.current
	l.mu.Unlock()
	if r == nil {
		return nil, nil
	}
	r.end()
	select {
	case <-r.over:
		return nil, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait until the scheduler has ended: %w", context.Cause(ctx))
	}
}

// handleGo lets a scheduler be attached that waits for it.
func (l *Loader) handleGo(context.Context, *guest.Call) (any, error) {
	l.mu.Lock()
	r := l.current
	l.mu.Unlock()
	if r != nil {
		r.release.Do(func() { close(r.attach) })
	}
	return nil, nil
}

// performance is a scheduler's run as its call sees it.
type performance struct {
	loader  *Loader
	call    *guest.Call
	run     *run
	monitor *monitor // of the instance that is there
	events  *json.Encoder
	before  uint64 // schedulers that the kernel had enabled
	root    uint64 // Source.Root
}

// report tells the host that the scheduler is enabled. From here on its maps
// outlive it, until it is told to end or another one starts.
func (p *performance) report(e enabled) error {
	p.loader.hold()
	e.Before = p.before
	return p.events.Encode(event{Enabled: &e})
}

// tell tells the host how the kernel has ended a scheduler whose program lives on.
func (p *performance) tell(e Exit) error {
	close(p.run.done)
	return p.events.Encode(event{Ended: &e})
}

// settleTime bounds the wait for the kernel to finish disabling a scheduler:
// its exit operation may take its time.
const settleTime = 30 * time.Second

// exit waits for the kernel's part of the end. It does not depend on the call,
// which may have been canceled to bring about the end.
func (p *performance) exit() (Exit, error) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTime)
	defer cancel()
	return p.monitor.settle(ctx)
}
