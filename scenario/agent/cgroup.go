package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/ktgen/ktgen/scenario/internal/wire"
	"golang.org/x/sys/unix"
)

const (
	rootCgroup = "/sys/fs/cgroup"
	// ourCgroup is the parent of all cgroups of scenarios.
	ourCgroup = rootCgroup + "/ktgen"
)

// controllers are those that scenarios have a use for.
var controllers = []string{"cpu", "cpuset", "memory", "io", "pids"}

// hierarchy is the part of the guest's cgroups that scenarios use.
type hierarchy struct {
	mu      sync.Mutex
	ready   bool // the rest is known
	enabled []string
	refused map[string]string
	files   []string
}

// offer says which controllers and control files the cgroups of scenarios have.
// What it fails for can pass: it is tried again the next time.
func (h *hierarchy) offer() (enabled []string, refused map[string]string, files []string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.ready {
		if err := h.prepare(); err != nil {
			return nil, nil, nil, err
		}
		h.ready = true
	}
	return h.enabled, h.refused, h.files, nil
}

// prepare makes the parent of all cgroups, with all the controllers that the
// kernel has.
func (h *hierarchy) prepare() (err error) {
	h.enabled, h.refused = nil, make(map[string]string)
	if _, err := os.Stat(rootCgroup + "/cgroup.controllers"); err != nil {
		return fmt.Errorf("the guest has no cgroups (%w); boot a kernel with CONFIG_CGROUPS=y", err)
	}
	if err := os.MkdirAll(ourCgroup, 0o755); err != nil {
		return err
	}
	scheduled := schedulerEnabled() // it can have ended by the time that a write has failed
	for _, c := range controllers {
		switch err := enable(c); {
		case err == nil:
			h.enabled = append(h.enabled, c)
		case isRefusal(err, scheduled && c == "cpu"):
			h.refused[c] = err.Error()
		default:
			return fmt.Errorf("enable the controller %s: %w", c, err)
		}
	}
	h.files, err = trialFiles()
	return err
}

var errNoController = errors.New("the kernel has no such controller")

// isRefusal tells whether an error of enabling a controller is the kernel's last
// word, which is so of what it does not have or does not allow. That of a scheduler
// that is asked is not: to enable the cpu controller is to show it cgroups, and what
// its cgroup_init returns is what the write fails with (scx_tg_online in kernel/sched/ext).
func isRefusal(err error, schedulerAsked bool) bool {
	if errors.Is(err, errNoController) || schedulerAsked {
		return errors.Is(err, errNoController)
	}
	return errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP)
}

// schedulerEnabled tells whether there is a sched_ext scheduler, or one that is
// about to end.
func schedulerEnabled() bool {
	state, err := os.ReadFile("/sys/kernel/sched_ext/state")
	return err == nil && strings.TrimSpace(string(state)) != "disabled"
}

func enable(controller string) error {
	has, err := os.ReadFile(rootCgroup + "/cgroup.controllers")
	if err != nil {
		return err
	}
	if !strings.Contains(" "+strings.TrimSpace(string(has))+" ", " "+controller+" ") {
		return errNoController
	}
	for _, dir := range []string{rootCgroup, ourCgroup} {
		if err := control(dir, "cgroup.subtree_control", "+"+controller); err != nil {
			return err
		}
	}
	return nil
}

// trialFiles makes a cgroup to see what control files it has.
func trialFiles() ([]string, error) {
	dir, err := os.MkdirTemp(ourCgroup, "trial")
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, e := range entries {
		files = append(files, e.Name())
	}
	return files, nil
}

// control writes to a control file. The kernel's answers are terse.
func control(dir, file, value string) error {
	f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("write %q to %s of cgroup %q: %w", value, file, filepath.Base(dir), unwrapPath(err))
	}
	return nil
}

// unwrapPath leaves away a path that the message has already.
func unwrapPath(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

func cgroupDir(name string) string {
	if name == "" {
		return rootCgroup
	}
	return filepath.Join(ourCgroup, name)
}

func (h *hierarchy) add(ctx context.Context, c wire.Cgroup) error {
	if _, _, _, err := h.offer(); err != nil {
		return err
	}
	if err := h.becomeParent(filepath.Dir(cgroupDir(c.Name))); err != nil {
		return err
	}
	if err := os.Mkdir(cgroupDir(c.Name), 0o755); err != nil {
		return unwrapPath(err)
	}
	if err := h.set(ctx, c); err != nil {
		return errors.Join(err, os.Remove(cgroupDir(c.Name)), h.unbecomeParent(filepath.Dir(cgroupDir(c.Name))))
	}
	return nil
}

func (h *hierarchy) set(_ context.Context, c wire.Cgroup) error {
	for _, w := range c.Writes {
		if err := control(cgroupDir(c.Name), w.File, w.Value); err != nil {
			return err
		}
	}
	return nil
}

// remove kills what is in a cgroup, and removes it.
func (h *hierarchy) remove(ctx context.Context, c wire.Cgroup) error {
	dir := cgroupDir(c.Name)
	if err := control(dir, "cgroup.kill", "1"); err != nil {
		return err
	}
	if err := awaitEvent(ctx, dir, "populated", "0"); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil {
		return unwrapPath(err)
	}
	return h.unbecomeParent(filepath.Dir(dir))
}

// becomeParent lets a cgroup have children with all controllers. Processes
// cannot be in it then.
func (h *hierarchy) becomeParent(dir string) error {
	return h.handOnAll(dir, "+")
}

// unbecomeParent lets a cgroup without children have processes again.
func (h *hierarchy) unbecomeParent(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil || slices.ContainsFunc(entries, fs.DirEntry.IsDir) {
		return err
	}
	return h.handOnAll(dir, "-")
}

// handOnAll turns the controllers of a cgroup's children on ("+") or off ("-").
// That of all cgroups of scenarios has them on.
func (h *hierarchy) handOnAll(dir, how string) error {
	if dir == ourCgroup {
		return nil
	}
	for _, controller := range h.enabled {
		if err := control(dir, "cgroup.subtree_control", how+controller); err != nil {
			return err
		}
	}
	return nil
}

func (h *hierarchy) freeze(ctx context.Context, f wire.Freezing) error {
	dir, value := cgroupDir(f.Cgroup), "0"
	if f.Frozen {
		value = "1"
	}
	if err := control(dir, "cgroup.freeze", value); err != nil {
		return err
	}
	return awaitEvent(ctx, dir, "frozen", value)
}

// pollTime is how long a wait for an event takes no notice of its context.
const pollTime = 200 // ms

// awaitEvent waits until cgroup.events says that a key has a value. The kernel
// announces changes of the file (cgroup_file_notify of kernel/cgroup/cgroup.c).
func awaitEvent(ctx context.Context, dir, key, value string) error {
	f, err := os.Open(filepath.Join(dir, "cgroup.events"))
	if err != nil {
		return err
	}
	defer f.Close()
	var b [256]byte
	for {
		n, err := f.ReadAt(b[:], 0)
		if n == 0 && err != nil {
			return err
		}
		if strings.Contains("\n"+string(b[:n]), "\n"+key+" "+value+"\n") {
			return nil
		}
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("wait until cgroup %q says %q: %w", filepath.Base(dir), key+" "+value, err)
		}
		changed := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(changed, pollTime); err != nil && err != unix.EINTR {
			return err
		}
	}
}

// killedForMemory returns how often the OOM killer has been in a cgroup.
func killedForMemory(cgroup string) int { return eventsOf(cgroup, "memory.events", "oom_kill ") }

// refusedTasks returns how often a cgroup, or one above it, has refused a task as it may have no more
// (PIDsMax): the kernel counts it in the one that has the limit.
func refusedTasks(cgroup string) (n int) {
	for ; cgroup != "" && cgroup != "."; cgroup = filepath.Dir(cgroup) {
		n += eventsOf(cgroup, "pids.events", "max ")
	}
	return n
}

// eventsOf returns how often something has happened in a cgroup, 0 if that is not known.
func eventsOf(cgroup, file, event string) int {
	b, err := os.ReadFile(filepath.Join(cgroupDir(cgroup), file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(line, event); ok {
			count, _ := strconv.Atoi(strings.TrimSpace(n))
			return count
		}
	}
	return 0
}
