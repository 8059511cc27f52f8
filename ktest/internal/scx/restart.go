package scx

import (
	"time"

	"github.com/cilium/ebpf"

	"github.com/ktgen/ktgen/vmm/guest"
)

// This file follows a scheduler whose own program starts it again, as those do that
// are told to by an exit code (SCX_ECODE_ACT_RESTART, after a change of CPUs).

const (
	// restartTime bounds the wait for the next instance of a scheduler whose program
	// is loading it.
	restartTime = time.Minute
	// restartInterval is the time between two looks at whether it is.
	restartInterval = 250 * time.Millisecond
)

// awaitNext waits for the next instance, or for the end of the program. It returns
// neither if the program does nothing for lingerTime that looks like loading, or if it rests
// after it has detached the scheduler itself: of other ends it may have to learn yet.
func (p *performance) awaitNext(program *program, kind ExitKind) (*enabled, *guest.Exit, error) {
	wait := patience{kind: kind, rest: &rest{proc: "/proc", session: program.process.PID()}, begin: time.Now(), newest: newestMap()}
	next, err := watchOn(p.loader.note(p.root))
	if err != nil {
		return nil, nil, err
	}
	interval := restartInterval
	if kind == ExitUnreg {
		interval = restInterval
	}
	looks := time.NewTicker(interval)
	defer looks.Stop()
	for {
		select {
		case e := <-next.enabled:
			p.monitor = next // the one before has stopped
			return &e, nil, nil
		case exit := <-program.ended:
			next.stop()
			return nil, &exit, nil
		case <-looks.C:
			if wait.lasts() {
				continue
			}
		case <-p.run.stop:
		case <-p.run.ctx.Done():
		}
		next.stop()
		return nil, nil, nil
	}
}

// patience tells for how long the next instance of a scheduler is waited for.
type patience struct {
	kind   ExitKind // the end of the one before
	rest   *rest
	begin  time.Time
	newest ebpf.MapID // at the beginning
	loads  bool       // the program has made maps since
}

// lasts looks at what the program does, and tells whether to wait for more.
func (p *patience) lasts() bool {
	p.loads = p.loads || newestMap() > p.newest
	if !p.loads && p.kind == ExitUnreg && p.rest.look() {
		return false
	}
	waited := time.Since(p.begin)
	return waited < lingerTime || p.loads && waited < restartTime
}

// goOn tells the host of the next instance. Its maps take the place of those that were
// kept of the one before.
func (p *performance) goOn(exit Exit, e enabled) error {
	p.loader.release()
	p.loader.awaitGone()
	p.loader.hold()
	exit.Dump = "" // of errors only
	e.Before = p.before
	return p.events.Encode(event{Again: &restart{Exit: exit, Enabled: e}})
}
