package scx

import (
	"strings"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// clockLayout is the table "kernel": the time, and what there is once.
type clockLayout struct {
	p                        *projection
	jiffies, watched, hz     int
	switchedAll              int
	jiffiesAt, watchedAt, at kmem.Addr
	hertz                    uint64
}

func (c *clockLayout) resolve(l *Layout) {
	c.p = columnsOnly("kernel")
	c.jiffies, c.watched = c.p.column("jiffies", ulong), c.p.column("scx_watchdog_timestamp", ulong)
	c.hz, c.switchedAll = c.p.column("hz", u64), c.p.column("scx_switched_all", s32)
	c.jiffiesAt, c.watchedAt, c.at = l.symbol("jiffies"), l.symbol("scx_watchdog_timestamp"), l.symbol("__scx_switched_all")
	c.hertz = hertz(l.types.spec)
	for _, name := range enums {
		var enum *ebtf.Enum
		if l.types.spec.TypeByName(name, &enum) != nil {
			continue
		}
		if s, err := l.types.shapes.Of(enum); err == nil {
			c.p.column(name, s)
		}
	}
}

// enums are those whose numbers differ between kernels and that members are not
// declared with. Each has a column of zeroes, for its type.
var enums = []string{
	"scx_ent_flags", "scx_ent_dsq_flags", "scx_rq_flags", "scx_dsq_id_flags", "scx_ops_flags", "scx_ops_state",
	"scx_exit_kind", "scx_sched_pcpu_flags", "scx_public_consts",
}

// hertz returns how many jiffies a second has, 0 if the kernel's types do not tell:
// the longest time of the watchdog is 30 seconds, and an enumerator.
func hertz(spec *ebtf.Spec) uint64 {
	const seconds = 30
	var enum *ebtf.Enum
	if spec.TypeByName("scx_consts", &enum) != nil {
		return 0
	}
	for _, v := range enum.Values {
		if strings.HasSuffix(v.Name, "WATCHDOG_MAX_TIMEOUT") {
			return v.Value / seconds
		}
	}
	return 0
}

func (w *walk) clocks() {
	c := &w.clock
	t := w.begin("kernel", c.p, "")
	record := t.add(0)
	put64(record, c.hz, c.hertz)
	now, err := w.mem.Uint64(c.jiffiesAt)
	if err != nil {
		t.fault("read jiffies: %v", err)
	}
	put64(record, c.jiffies, now)
	if watched, err := w.mem.Uint64(c.watchedAt); err == nil {
		put64(record, c.watched, watched)
	}
	put32(record, c.switchedAll, w.switched())
}

// switched returns whether all tasks are the BPF scheduler's, as the static key says;
// ^0 is not known.
func (w *walk) switched() uint32 {
	if w.clock.at == 0 {
		return ^uint32(0)
	}
	enabled, err := w.mem.Fetch(w.clock.at, kmem.Field{Size: 4})
	if err != nil {
		return ^uint32(0)
	}
	return uint32(enabled)
}
