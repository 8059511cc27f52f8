package sched

// Cgroup is a task group of the cpu controller, with its struct scx_task_group.
type Cgroup struct {
	Addr   uint64 // of the struct task_group
	ID     uint64 // cgroup id, as bpf_get_current_cgroup_id returns it; 0 for the group of a session (autogroup), which is no cgroup
	Path   string // from the root: "/heavy"; names are cut after 63 bytes; empty for the group of a session
	Weight uint64 // scx.weight, in Linux 6.16 scx_weight: 100 is normal; 0 if the kernel does not keep it
	Flags  uint64 // enum scx_tg_flags
	Idle   bool

	// Of cpu.max, as sched_ext has them, in microseconds.
	Period, Quota, Burst uint64

	parent uint64
	name   string
}

// maxCgroupDepth bounds a path.
const maxCgroupDepth = 256

func (s *State) loadCgroups(t *records) {
	if t == nil {
		return
	}
	weight, flags := "scx.weight", "scx.flags"
	if t.has("scx_weight") { // up to Linux 6.16
		weight, flags = "scx_weight", "scx_flags"
	}
	byAddr := make(map[uint64]*Cgroup)
	for i := range t.N {
		r := t.record(i)
		c := &Cgroup{
			Addr: t.Addrs[i], ID: r.uint("id"), Weight: r.uint(weight), Flags: r.uint(flags), Idle: r.uint("idle") != 0,
			Period: r.uint("scx.bw_period_us"), Quota: r.uint("scx.bw_quota_us"), Burst: r.uint("scx.bw_burst_us"),
			parent: r.uint("parent"), name: r.text("name"),
		}
		s.cgroups = append(s.cgroups, c)
		byAddr[c.Addr] = c
	}
	for _, c := range s.cgroups {
		if c.ID == 0 {
			continue
		}
		at := c
		for range maxCgroupDepth {
			if at == nil || at.parent == 0 {
				break
			}
			c.Path = "/" + at.name + c.Path
			at = byAddr[at.parent]
		}
		if c.Path == "" {
			c.Path = "/"
		}
	}
}

// Cgroups returns the task groups, the root first.
func (s *State) Cgroups() []*Cgroup { return s.cgroups }
