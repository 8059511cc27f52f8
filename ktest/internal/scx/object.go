package scx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
)

// This file runs schedulers from BPF objects.

// maxObject bounds the size of an object, in bytes.
const maxObject = 256 << 20

// runObject loads and attaches an object, and waits for its end.
func (p *performance) runObject(source Source) (Exit, error) {
	coll, err := p.receive(source)
	if err != nil {
		return Exit{}, err
	}
	defer coll.Close()
	p.loader.loaded(coll)
	defer p.loader.loaded(nil)
	if err := p.events.Encode(event{Verified: coll.Verified()}); err != nil {
		return Exit{}, err
	}

	programs, err := coll.AttachPrograms()
	if err != nil {
		return Exit{}, &AttachError{Reason: err.Error()}
	}
	defer programs.Close()
	if err := p.tellLeft(programs.Left); err != nil {
		return Exit{}, err
	}
	if source.Hold {
		if err := p.hold(); err != nil {
			return Exit{}, err
		}
	}
	attached, err := coll.AttachStructOps(source.Ops)
	if err != nil {
		return p.explainAttach(err)
	}
	if err := p.awaitObject(attached); err != nil {
		return Exit{}, err
	}
	return p.exit()
}

// receive loads the object that the host sends.
func (p *performance) receive(source Source) (*bpfload.Collection, error) {
	object, err := io.ReadAll(io.LimitReader(p.call.In, maxObject))
	if err != nil {
		return nil, fmt.Errorf("receive %s: %w", source.Object, err)
	}
	config, object, err := source.unpack(object)
	if err != nil {
		return nil, fmt.Errorf("receive the configuration of %s: %w", source.Object, err)
	}
	return p.load(source.Object, object, config)
}

// tellLeft tells the host which programs run for nobody.
func (p *performance) tellLeft(left []bpfload.Unattached) error {
	if left == nil {
		return nil
	}
	return p.events.Encode(event{Left: left})
}

// hold reports that the object is loaded and waits until it may be attached.
func (p *performance) hold() error {
	if err := p.events.Encode(event{Loaded: true}); err != nil {
		return err
	}
	select {
	case <-p.run.attach:
		return nil
	case <-p.run.stop:
		return &AttachError{Reason: "it was ended before it was attached: end it once it runs"}
	case <-p.run.ctx.Done():
		return context.Cause(p.run.ctx)
	}
}

// pack returns what goes to the guest: the configuration, and the object.
func (s *Source) pack(object []byte) ([]byte, error) {
	if s.Config.Empty() {
		return object, nil
	}
	config, err := json.Marshal(s.Config)
	if err != nil {
		return nil, fmt.Errorf("encode the configuration of %s: %w", s.Object, err)
	}
	s.ConfigSize = len(config)
	return append(config, object...), nil
}

// unpack is what pack has packed.
func (s *Source) unpack(packed []byte) (config *bpfload.Config, object []byte, err error) {
	if s.ConfigSize == 0 {
		return nil, packed, nil
	}
	if s.ConfigSize < 0 || s.ConfigSize > len(packed) {
		return nil, nil, fmt.Errorf("it has %d bytes of %d", len(packed), s.ConfigSize)
	}
	return config, packed[s.ConfigSize:], json.Unmarshal(packed[:s.ConfigSize], &config)
}

// gcPercent is for loading an object: nearly all that is allocated meanwhile is
// needed until it is loaded, and collecting it takes a tenth of the time under TCG.
const gcPercent = 800

func (p *performance) load(name string, object []byte, config *bpfload.Config) (*bpfload.Collection, error) {
	defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	spec, err := bpfload.Read(object)
	if err != nil {
		return nil, &AttachError{Reason: fmt.Sprintf("read %s: %v; a scheduler with such an object can be started as its own binary", name, err)}
	}
	kernel, err := p.loader.types()
	if err != nil {
		return nil, &AttachError{Reason: err.Error()}
	}
	if err := setEnums(spec.CollectionSpec, kernel); err != nil {
		return nil, &AttachError{Reason: fmt.Sprintf("load %s: %v", name, err)}
	}
	if err := spec.Configure(config); err != nil {
		return nil, &AttachError{Reason: fmt.Sprintf("configure %s: %v", name, err)}
	}
	coll, err := bpfload.LoadFor(kernel, spec, name, func(l bpfload.Loading) error {
		return p.events.Encode(event{Loading: &l})
	})
	var rejected *bpfload.VerifierError
	if errors.As(err, &rejected) {
		e := &RejectedError{Program: rejected.Program, Reason: reason(rejected), Log: rejected.Log}
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

// reason says why the verifier refuses a program.
func reason(e *bpfload.VerifierError) string {
	said := e.Reason()
	if e.Absent == "" {
		return said
	}
	return fmt.Sprintf("this kernel has no %s, which the program uses: boot a kernel that has it, or have the program ask first (bpf_ksym_exists, bpf_core_field_exists and their like); the verifier says %q", e.Absent, said)
}

// explainAttach says why a scheduler could not be enabled: if it was thrown
// out while it started, that is its exit.
func (p *performance) explainAttach(err error) (Exit, error) {
	exit, settleErr := p.exit()
	if settleErr == nil && exit.Kind > ExitUnreg {
		return exit, nil
	}
	return Exit{}, &AttachError{Reason: err.Error()}
}

// awaitObject reports that the scheduler is enabled, which it is when it has
// been attached, and lets go of it when it is to end or has ended.
func (p *performance) awaitObject(attached io.Closer) error {
	defer attached.Close() // ends a scheduler that still runs
	select {
	case e := <-p.monitor.enabled:
		if err := p.report(e); err != nil {
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
