package scx

import (
	"time"

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
func (p *performance) awaitNext(process *guest.Process, ended <-chan guest.Exit, kind ExitKind) (*enabled, *guest.Exit, error) {
	newest := newestMap()
	next, err := watchOn(p.loader.note(p.root))
	if err != nil {
		return nil, nil, err
	}
	rest, interval := &rest{proc: "/proc", session: process.PID()}, restartInterval
	if kind == ExitUnreg {
		interval = restInterval
	}
	looks := time.NewTicker(interval)
	defer looks.Stop()
	for begin, loads := time.Now(), false; ; {
		select {
		case e := <-next.enabled:
			p.monitor = next // the one before has stopped
			return &e, nil, nil
		case exit := <-ended:
			next.stop()
			return nil, &exit, nil
		case <-looks.C:
			loads = loads || newestMap() > newest
			if !loads && kind == ExitUnreg && rest.look() {
				break
			}
			if waited := time.Since(begin); waited < lingerTime || loads && waited < restartTime {
				continue
			}
		case <-p.run.stop:
		case <-p.run.ctx.Done():
		}
		next.stop()
		return nil, nil, nil
	}
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
