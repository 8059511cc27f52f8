package scx

import (
	"time"

	"github.com/ktgen/ktgen/vmm/guest"
)

// This file runs schedulers by their own programs.

const (
	// lingerTime is how long a scheduler's binary may take to end after the
	// kernel has ended its scheduler.
	lingerTime = 5 * time.Second
	// stopTime is how long it may take to end when it is interrupted.
	stopTime = 10 * time.Second
)

// runBinary runs a scheduler's own program, and waits for the end of both.
func (p *performance) runBinary(c guest.Command) (Exit, error) {
	output := &tail{w: p.call.Err}
	opens, err := guest.TraceOpens()
	if err == nil { // a kernel that cannot says less of a program that fails
		c.Begin = opens.Follow
		defer opens.End()
	}
	program, err := startProgram(c, output)
	if err != nil {
		return Exit{}, err
	}

	scheduler, last, err := p.followBinary(program, opens)
	if err != nil {
		return Exit{}, err
	}
	if last == nil {
		exited := p.end(program)
		last = &exited
	}
	exit, err := p.exit()
	if err != nil {
		return Exit{}, err
	}
	exit.Process = last
	failed := *last != guest.Exit{} && exit.Kind == ExitUnreg // it took its scheduler with it
	if !p.run.ending() && (failed || exit.Kind == ExitNone) {
		return Exit{}, p.explainEnd(&LoaderError{Args: c.Args, Exit: *last, Enabled: scheduler || failed, Output: output.String(), Missed: opens.Misses()})
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

// followBinary waits until all schedulers of a program are over, its program has ended or both
// are to end. It says what the last wait says: whether there has been a scheduler, and how
// the program ended if it has.
func (p *performance) followBinary(program *program, opens *guest.OpenTrace) (scheduler bool, last *guest.Exit, err error) {
	scheduler, last = p.awaitBinary(program, opens)
	for again := true; again && last == nil && p.monitor.hasEnded(); {
		if again, last, err = p.outlive(program); err != nil {
			return scheduler, last, err
		}
		if again {
			scheduler, last = p.awaitBinary(program, opens)
		}
	}
	return scheduler, last, nil
}

// outlive tells the host of the end of a scheduler whose program lives on, and
// returns how the program ends if it soon does. After an error the kernel's word is
// what counts. After another end the program is about to end as a rule, and says why
// by that, or it starts its scheduler again: then again is true.
func (p *performance) outlive(program *program) (again bool, last *guest.Exit, err error) {
	exit, err := p.exit()
	if err != nil {
		return false, nil, err
	}
	if exit.Kind > ExitUnregKern {
		if err := p.tell(exit); err != nil {
			return false, nil, err
		}
		return false, p.linger(program), nil
	}
	next, last, err := p.awaitNext(program, exit.Kind)
	if err != nil || last != nil {
		return false, last, err
	}
	if next == nil {
		if err := p.tell(exit); err != nil || exit.Kind != ExitUnreg {
			return false, nil, err
		}
		return false, p.linger(program), nil
	}
	return true, nil, p.goOn(exit, *next)
}

// awaitBinary waits until the scheduler is over, its program has ended or both
// are to end. It says whether there has been a scheduler, and how the program
// ended if it has.
// Once there is one, no more is traced.
func (p *performance) awaitBinary(program *program, opens *guest.OpenTrace) (scheduler bool, last *guest.Exit) {
	for {
		select {
		case e := <-p.monitor.enabled:
			scheduler = true
			opens.End()
			_ = p.report(e) // a host that is gone ends the call
		case <-p.monitor.over:
			return true, nil
		case exit := <-program.ended:
			return scheduler, &exit
		case <-p.run.stop:
			return scheduler, nil
		case <-p.run.ctx.Done():
			return scheduler, nil
		}
	}
}

// linger waits a while for the program whose scheduler has ended.
func (p *performance) linger(program *program) *guest.Exit {
	select {
	case exit := <-program.ended:
		return &exit
	case <-time.After(lingerTime):
	case <-p.run.stop:
	case <-p.run.ctx.Done():
	}
	return nil
}

// end makes a program end: it is interrupted, as by Ctrl-C, which schedulers
// take as the signal to detach, and killed if it does not care. What the first process leaves
// behind has as much time only while it has the scheduler.
func (p *performance) end(program *program) guest.Exit {
	program.interrupt()
	late := time.After(stopTime)
	over := p.monitor.over
	if !p.monitor.wasEnabled() {
		over = nil
	}
	for first := program.first; first != nil || over != nil; {
		select {
		case exit := <-program.ended:
			return exit
		case <-first:
			first = nil
		case <-over:
			over = nil
		case <-late:
			first, over = nil, nil
		}
	}
	select {
	case exit := <-program.ended:
		return exit
	case <-time.After(remainsTime):
	case <-late:
	}
	program.kill()
	return <-program.ended
}
