package vmm

import (
	"hash/fnv"
	"time"
)

// Exchange is a call of the agent of a guest in lockstep, with its answer. Equal exchanges are of
// runs that were the same until then.
type Exchange struct {
	Now  time.Duration // the guest's time at the call
	In   uint64        // a hash of what the agent has sent
	Out  uint64        // and of what the host has answered
	Sent string        // how the answer begins

	said    []byte     // what the agent has sent, if it is kept ([Lockstep.Told])
	answer  *answer    // nil if there is none yet
	written []ramWrite // by the host, before it
}

// answer is what the host answers to a call.
type answer struct {
	message []byte
	order   uint32
	next    time.Duration // by then the host wants to be called
}

func (a answer) beginning() string { return string(a.message[:min(len(a.message), sentLimit)]) }

const (
	maxTrail  = 1 << 16 // exchanges that are kept: of hours of a guest
	sentLimit = 160     // bytes
)

// Trail returns the calls of the guest so far, the first 65536 of them.
func (c *Calls) Trail() []Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Exchange(nil), c.trail...)
}

// noteCall is called with mu held.
func (c *Calls) noteCall(message []byte) {
	if len(c.trail) == maxTrail {
		return
	}
	x := Exchange{Now: c.now, In: hashBytes(message)}
	if c.vm.cfg.Lockstep.Told {
		x.said = message
	}
	c.trail = append(c.trail, x)
}

// noteAnswer is called with mu held.
func (c *Calls) noteAnswer(a answer) {
	if n := len(c.trail); n > 0 && c.calls <= maxTrail {
		last := &c.trail[n-1]
		last.answer = &a
		last.Out, last.Sent = hashBytes(a.message), a.beginning()
	}
}

func hashBytes(b []byte) uint64 {
	h := fnv.New64a()
	h.Write(b)
	return h.Sum64()
}
