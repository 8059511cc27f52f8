package scx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/ktgen/ktgen/ktest/internal/bpfload"
	"github.com/ktgen/ktgen/vmm/guest"
	"golang.org/x/sys/unix"
)

// Loader starts schedulers. It is the part that runs in the guest.
type Loader struct {
	once      sync.Once // reads the two fields below
	kernel    *btf.Spec // the kernel's types; whoever uses them makes them faster to use
	kernelErr error

	mu      sync.Mutex
	current *run // nil if no scheduler runs
}

// run is one scheduler in the guest, from its start to its end.
type run struct {
	ctx  context.Context // of its call, whose end makes it end
	stop chan struct{}   // closed to make it end
	once sync.Once       // closes stop
	over chan struct{}   // closed when it has ended
}

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
	return guest.Handlers{methodWarm: l.handleWarm, methodRun: l.handleRun, methodStop: l.handleStop}
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

	recordDump()
	m, err := watch()
	if err != nil {
		return nil, err
	}
	defer m.stop()
	p := &performance{loader: l, call: c, run: r, monitor: m, events: json.NewEncoder(c.Out)}
	if len(source.Args) > 0 {
		return p.runBinary(guest.Command{Args: source.Args, Env: source.Env})
	}
	return p.runObject(source)
}

// enter makes room for a scheduler. It waits for one that is about to end.
func (l *Loader) enter(ctx context.Context) (*run, error) {
	for {
		r, other := l.tryEnter(ctx)
		if r != nil {
			return r, nil
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
	l.current = &run{ctx: ctx, stop: make(chan struct{}), over: make(chan struct{})}
	return l.current, nil
}

func (l *Loader) leave(r *run) {
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
	r.once.Do(func() { close(r.stop) })
	select {
	case <-r.over:
		return nil, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait until the scheduler has ended: %w", context.Cause(ctx))
	}
}

// performance is a scheduler's run as its call sees it.
type performance struct {
	loader  *Loader
	call    *guest.Call
	run     *run
	monitor *monitor
	events  *json.Encoder
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

// maxObject bounds the size of an object, in bytes.
const maxObject = 256 << 20

// runObject loads and attaches an object, and waits for its end.
func (p *performance) runObject(source Source) (any, error) {
	object, err := io.ReadAll(io.LimitReader(p.call.In, maxObject))
	if err != nil {
		return nil, fmt.Errorf("receive %s: %w", source.Object, err)
	}
	coll, err := p.load(source.Object, object)
	if err != nil {
		return nil, err
	}
	defer coll.Close()

	tracing, err := coll.AttachTracing()
	if err != nil {
		return nil, &AttachError{Reason: err.Error()}
	}
	defer func() {
		for _, l := range tracing {
			l.Close()
		}
	}()
	attached, err := coll.AttachStructOps(source.Ops)
	if err != nil {
		return p.explainAttach(err)
	}
	if err := p.awaitObject(attached); err != nil {
		return nil, err
	}
	return p.exit()
}

func (p *performance) load(name string, object []byte) (*bpfload.Collection, error) {
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, &AttachError{Reason: fmt.Sprintf("read %s: %v; a scheduler with such an object can be started as its own binary", name, err)}
	}
	kernel, err := p.loader.types()
	if err != nil {
		return nil, &AttachError{Reason: err.Error()}
	}
	if err := setEnums(spec, kernel); err != nil {
		return nil, &AttachError{Reason: fmt.Sprintf("load %s: %v", name, err)}
	}
	coll, err := bpfload.LoadFor(kernel, spec, name)
	var rejected *bpfload.VerifierError
	if errors.As(err, &rejected) {
		e := &RejectedError{Program: rejected.Program, Reason: complaint(rejected.Log), Log: rejected.Log}
		if err := p.events.Encode(event{Rejected: e}); err != nil {
			return nil, err
		}
		return nil, &RejectedError{Program: e.Program, Reason: e.Reason}
	}
	if err != nil {
		return nil, &AttachError{Reason: fmt.Sprintf("load %s: %v", name, err)}
	}
	return coll, nil
}

// explainAttach says why a scheduler could not be enabled: if it was thrown
// out while it started, that is its exit.
func (p *performance) explainAttach(err error) (any, error) {
	exit, settleErr := p.exit()
	if settleErr == nil && exit.Kind >= ExitError {
		return exit, nil
	}
	return nil, &AttachError{Reason: err.Error()}
}

// awaitObject reports that the scheduler is enabled, which it is when it has
// been attached, and lets go of it when it is to end or has ended.
func (p *performance) awaitObject(attached link.Link) error {
	defer attached.Close() // ends a scheduler that still runs
	select {
	case e := <-p.monitor.enabled:
		if err := p.events.Encode(event{Enabled: &e}); err != nil {
			return err
		}
	case <-p.monitor.over:
		return nil
	case <-p.run.ctx.Done():
		return context.Cause(p.run.ctx)
	}
	select {
	case <-p.monitor.over:
	case <-p.run.stop:
	case <-p.run.ctx.Done():
	}
	return nil
}

const (
	// lingerTime is how long a scheduler's binary may take to end after the
	// kernel has ended its scheduler.
	lingerTime = 5 * time.Second
	// stopTime is how long it may take to end when it is interrupted.
	stopTime = 10 * time.Second
)

// runBinary runs a scheduler's own program, and waits for the end of both.
func (p *performance) runBinary(c guest.Command) (any, error) {
	output := &tail{w: p.call.Err}
	process, err := guest.Start(c, nil, output, output)
	if err != nil {
		return nil, err
	}
	ended := make(chan guest.Exit, 1)
	go func() { // ends with the process
		exit, _ := process.Wait()
		ended <- exit
	}()

	scheduler, last := p.awaitBinary(process, ended)
	if last == nil {
		exited := end(process, ended)
		last = &exited
	}
	exit, err := p.exit()
	if err != nil {
		return nil, err
	}
	exit.Process = last
	failed := *last != guest.Exit{} && exit.Kind == ExitUnreg // it took its scheduler with it
	if !p.run.ending() && (failed || exit.Kind == ExitNone) {
		return nil, p.explainEnd(&LoaderError{Args: c.Args, Exit: *last, Enabled: scheduler, Output: output.String()})
	}
	return exit, nil
}

// explainEnd returns what made a program end: the verifier, if the program says
// so. The host has the output, so it does not travel again.
func (p *performance) explainEnd(e *LoaderError) error {
	if r := rejection(e.Output); r != nil && !e.Enabled {
		if err := p.events.Encode(event{Rejected: r}); err != nil {
			return err
		}
		return &RejectedError{Program: r.Program, Reason: r.Reason}
	}
	e.Output = ""
	return e
}

// awaitBinary waits until the scheduler is over, its program has ended or both
// are to end. It says whether there has been a scheduler, and how the program
// ended if it has.
func (p *performance) awaitBinary(process *guest.Process, ended <-chan guest.Exit) (scheduler bool, last *guest.Exit) {
	for {
		select {
		case e := <-p.monitor.enabled:
			scheduler = true
			_ = p.events.Encode(event{Enabled: &e}) // a host that is gone ends the call
		case <-p.monitor.over:
			return true, linger(ended)
		case exit := <-ended:
			return scheduler, &exit
		case <-p.run.stop:
			return scheduler, nil
		case <-p.run.ctx.Done():
			return scheduler, nil
		}
	}
}

// linger waits a while for the program whose scheduler has ended.
func linger(ended <-chan guest.Exit) *guest.Exit {
	select {
	case exit := <-ended:
		return &exit
	case <-time.After(lingerTime):
		return nil
	}
}

// end makes a program end: it is interrupted, as by Ctrl-C, which schedulers
// take as the signal to detach, and killed if it does not care.
func end(process *guest.Process, ended <-chan guest.Exit) guest.Exit {
	_ = process.Signal(unix.SIGINT) // fails if it has ended
	select {
	case exit := <-ended:
		return exit
	case <-time.After(stopTime):
	}
	_ = process.Signal(unix.SIGKILL)
	return <-ended
}
