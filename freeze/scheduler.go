package freeze

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file reads what the kernel knows of its sched_ext scheduler
// (kernel/sched/ext.c, kernel/sched/ext/ext.c from Linux 7.2 on): the state of
// sched_ext in scx_enable_state_var, and in scx_root the struct scx_sched of the
// scheduler, with how it ends (scx_exit_info).

// schedulerLayout is where that is. What a kernel lacks is 0, and not told.
type schedulerLayout struct {
	state, root kmem.Addr
	seq         kmem.Addr // scx_enable_seq: schedulers that were enabled since the boot
	states      map[uint64]string
	kinds       map[uint64]string

	name         int // in struct scx_sched
	exitKind     kmem.Field
	exitInfo     kmem.Field
	kind         kmem.Field // in struct scx_exit_info
	reason, text kmem.Field
}

// maxExitText bounds what is read of the kernel's texts, in bytes: SCX_EXIT_MSG_LEN.
const maxExitText = 1024

// maxSchedulerName is SCX_OPS_NAME_LEN.
const maxSchedulerName = 128

// newSchedulerLayout returns nil for a kernel without sched_ext.
func newSchedulerLayout(spec *ebtf.Spec, symbols *Symbols) *schedulerLayout {
	l := &schedulerLayout{states: enumerators(spec, "scx_enable_state"), kinds: enumerators(spec, "scx_exit_kind")}
	for _, name := range []string{"scx_enable_state_var", "scx_ops_enable_state_var"} { // the latter before Linux 6.16
		if addr, ok := symbols.Lookup(name); ok {
			l.state = kmem.Addr(addr)
		}
	}
	if l.state == 0 {
		return nil
	}
	if addr, ok := symbols.Lookup("scx_enable_seq"); ok {
		l.seq = kmem.Addr(addr)
	}
	root, ok := symbols.Lookup("scx_root")
	if !ok {
		return l
	}
	var err error
	find := func(of, path string, size int) kmem.Field {
		var f btf.Field
		if err == nil {
			f, err = btf.Find(spec, of, path)
		}
		return kmem.Field{Offset: f.Offset, Size: size}
	}
	l.name = find("scx_sched", "ops.name", 0).Offset
	l.exitKind = find("scx_sched", "exit_kind.counter", 4)
	l.exitInfo = find("scx_sched", "exit_info", 8)
	l.kind = find("scx_exit_info", "kind", 4)
	l.reason, l.text = find("scx_exit_info", "reason", 8), find("scx_exit_info", "msg", 8)
	if err == nil {
		l.root = kmem.Addr(root)
	}
	return l
}

// enumerators returns the names of an enum of the kernel by their values.
func enumerators(spec *ebtf.Spec, name string) map[uint64]string {
	names := make(map[uint64]string)
	var enum *ebtf.Enum
	if spec.TypeByName(name, &enum) == nil {
		for _, v := range enum.Values {
			names[v.Value] = v.Name
		}
	}
	return names
}

// What there is no [Freezer.ExitKind] for.
var (
	// ErrExitKindUnknown says that the types and symbols of the guest's kernel do not
	// tell where it notes the end of a scheduler.
	ErrExitKindUnknown = errors.New("the guest's kernel does not tell where it notes the end of a scheduler (scx_root and scx_sched.exit_kind, which Linux has from 6.16 on)")
	// ErrNoScheduler says that no scheduler is enabled.
	ErrNoScheduler = errors.New("the guest's kernel has no sched_ext scheduler (scx_root is NULL)")
)

// ExitKind returns where the kernel notes that the scheduler that runs has to end, when it has noted why:
// size bytes that are 0 before. That is scx_exit_info.kind, which scx_vexit (kernel/sched/ext) writes when the message is
// complete; scx_sched.exit_kind, which it writes before, where there is no such struct. The error is
// [ErrExitKindUnknown], [ErrNoScheduler], or that memory cannot be read.
func (f *Freezer) ExitKind() (addr uint64, size int, err error) {
	if f.sched == nil || f.sched.root == 0 {
		return 0, 0, ErrExitKindUnknown
	}
	f.peek.mu.Lock()
	defer f.peek.mu.Unlock()
	f.peek.space.Flush()
	sched, err := f.peek.space.Addr(f.sched.root)
	if err != nil {
		return 0, 0, fmt.Errorf("read scx_root of the guest's kernel: %w", err)
	}
	at, ok := sched.Add(uint64(f.sched.exitKind.Offset))
	if sched == 0 || !ok {
		return 0, 0, ErrNoScheduler
	}
	info, err := f.peek.space.Fetch(sched, f.sched.exitInfo)
	if kind, ok := kmem.Addr(info).Add(uint64(f.sched.kind.Offset)); err == nil && info != 0 && ok {
		return uint64(kind), f.sched.kind.Size, nil
	}
	return uint64(at), f.sched.exitKind.Size, nil
}

// read returns what is known of the scheduler. What cannot be read is not known.
func (l *schedulerLayout) read(space *kmem.Space) (s ktsnap.Scheduler) {
	if l == nil {
		return s
	}
	state, err := space.Fetch(l.state, kmem.Field{Size: 4})
	name, ok := l.states[state]
	if err != nil || !ok {
		return s
	}
	s.State = strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(name, "SCX_OPS_"), "SCX_"))
	s.Instance = l.instance(space, s.State)
	if l.root == 0 {
		return s
	}
	sched, err := space.Addr(l.root)
	if err != nil || sched == 0 {
		return s
	}
	if at, ok := sched.Add(uint64(l.name)); ok {
		s.Name = cString(space, at, maxSchedulerName)
	}
	s.Reason, s.Message = l.readExit(space, sched)
	return s
}

// instance returns how many schedulers were enabled, with the one that is about to be:
// the kernel counts it when it is (scx_root_enable_workfn, kernel/sched/ext).
func (l *schedulerLayout) instance(space *kmem.Space, state string) int {
	if l.seq == 0 {
		return 0
	}
	n, err := space.Fetch(l.seq, kmem.Field{Size: 8})
	if err != nil || n > math.MaxInt32 {
		return 0
	}
	if state == "enabling" {
		n++
	}
	return int(n)
}

// readExit returns why a scheduler ends, if it does: the kernel has its words for it
// a moment after the kind.
func (l *schedulerLayout) readExit(space *kmem.Space, sched kmem.Addr) (reason, message string) {
	const none = 0 // SCX_EXIT_NONE
	claimed, err := space.Fetch(sched, l.exitKind)
	if err != nil || claimed == none {
		return "", ""
	}
	info, err := space.Fetch(sched, l.exitInfo)
	if err != nil || info == 0 {
		return l.kinds[claimed], ""
	}
	if kind, err := space.Fetch(kmem.Addr(info), l.kind); err != nil || kind == none {
		return l.kinds[claimed], ""
	}
	words := func(f kmem.Field) string {
		at, err := space.Fetch(kmem.Addr(info), f)
		if err != nil || at == 0 {
			return ""
		}
		return cString(space, kmem.Addr(at), maxExitText)
	}
	if reason = words(l.reason); reason == "" {
		reason = l.kinds[claimed]
	}
	return reason, words(l.text)
}

// cString reads a string of at most limit bytes. Memory that ends before the
// string does is no reason to lose all of it.
func cString(space *kmem.Space, at kmem.Addr, limit int) string {
	text := make([]byte, limit)
	for size := limit; size > 0; size /= 2 {
		if space.Read(at, text[:size]) != nil {
			continue
		}
		if end := bytes.IndexByte(text[:size], 0); end >= 0 {
			return strings.ToValidUTF8(string(text[:end]), "?")
		}
	}
	return ""
}
