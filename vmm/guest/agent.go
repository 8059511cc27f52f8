package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Port is the name of the virtio serial port that the agent serves.
const Port = "ktgen.agent"

// KernelArg is for the kernel's command line. It makes the program that is PID 1
// the agent. The kernel passes it to PID 1 as an environment variable.
const KernelArg = agentEnv + "=1"

// CallsArg stands for [KernelArg] in a guest that runs only while the host waits for it
// (vmm.Config.Lockstep).
const CallsArg = agentEnv + "=" + byCalls

const (
	byCalls  = "calls"
	agentEnv = "KTGEN_AGENT"
	roleEnv  = "KTGEN_ROLE"
)

// Config says what the agent offers beside its own methods.
type Config struct {
	Handlers Handlers

	// Roles are functions of the program that run as processes of their own
	// in the guest; see [Role]. A role returns its exit code.
	Roles map[string]func(args []string) int
}

// A role keeps to the first thread of its process: what it does is then done by the task
// that has the process's pid. Go pins main to that thread for who locks it in init.
func init() {
	if os.Getenv(roleEnv) != "" {
		runtime.LockOSThread()
	}
}

// Main is called first thing in main (or TestMain) of a program that serves as
// its own guest agent. In a guest it becomes the agent, or performs a role,
// and does not return. Anywhere else it returns at once.
func Main(cfg Config) {
	if role, ok := os.LookupEnv(roleEnv); ok {
		os.Exit(cfg.perform(role, os.Args[1:]))
	}
	if os.Getpid() != 1 || os.Getenv(agentEnv) == "" {
		return
	}
	if err := serve(cfg); err != nil {
		fmt.Fprintf(os.Stderr, "ktgen agent: %v\n", err)
	}
	powerOff()
}

// Role returns the command that runs a role of the agent's program in the guest. The
// kernel calls its threads "ktest-NAME", cut to 15 bytes.
func Role(name string, args ...string) Command {
	return Command{Args: append([]string{roleProgram(name)}, args...), Env: []string{roleEnv + "=" + name}}
}

// roleDir has a link to the agent's program for each role: a process is called as
// the file is that it was started from (begin_new_exec, fs/exec.c).
const roleDir = "/ktgen/role"

func roleProgram(name string) string { return filepath.Join(roleDir, "ktest-"+name) }

// linkRoles makes the programs of the roles.
func (cfg Config) linkRoles() error {
	if err := os.MkdirAll(roleDir, 0o755); err != nil {
		return fmt.Errorf("make programs of the agent's roles: %w", err)
	}
	for name := range cfg.Roles {
		if err := os.Symlink("/proc/self/exe", roleProgram(name)); err != nil {
			return fmt.Errorf("make the program of the agent's role %q: %w", name, err)
		}
	}
	return nil
}

func (cfg Config) perform(role string, args []string) int {
	f, ok := cfg.Roles[role]
	if !ok {
		fmt.Fprintf(os.Stderr, "ktgen: the program has no role %q\n", role)
		return 2
	}
	return f(args)
}

// serve is the life of PID 1.
func serve(cfg Config) error {
	calls := os.Getenv(agentEnv) == byCalls
	notes := prepare()
	for _, note := range notes {
		fmt.Fprintf(os.Stderr, "ktgen agent: %s\n", note)
	}
	go reapOrphans() // ends with the guest
	if err := loadModules(); err != nil {
		return err
	}
	if err := cfg.linkRoles(); err != nil {
		return err
	}

	handlers, err := cfg.handlers(notes)
	if err != nil {
		return err
	}
	if calls {
		return serveCalls(handlers)
	}
	port, err := openPort(Port)
	if err != nil {
		return err
	}
	defer port.Close()
	return Serve(context.Background(), port, handlers)
}

// handlers joins the agent's methods with those of the program.
func (cfg Config) handlers(notes []string) (Handlers, error) {
	all := Handlers{
		methodKernel:   func(context.Context, *Call) (any, error) { return readKernel(notes) },
		methodTopology: handleTopology,
		methodWake:     handleWake,
		methodExec:     handleExec,
		methodSignal:   handleSignal,
		methodRead:     handleRead,
		methodWrite:    handleWrite,
		methodStat:     handleStat,
		methodLog:      handleLog,
		methodPowerOff: handlePowerOff,
	}
	for method, h := range cfg.Handlers {
		if all[method] != nil {
			return nil, fmt.Errorf("method %q has two handlers", method)
		}
		all[method] = h
	}
	return all, nil
}

// prepare makes the guest a place where programs can run. What fails is
// returned as notes: whether it matters depends on what the guest is for.
func prepare() (notes []string) {
	note := func(err error) {
		if err != nil {
			notes = append(notes, err.Error())
		}
	}
	for _, m := range mounts {
		note(m.mount())
	}
	for name, value := range environment {
		note(os.Setenv(name, value))
	}
	note(os.Unsetenv(agentEnv))
	note(furnish())
	note(raiseLimits())
	note(raiseLoopback())
	note(escapeScheduler())
	return notes
}

var environment = map[string]string{
	"PATH":   "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME":   "/root",
	"TMPDIR": "/tmp",
}

// mountPoint is a file system that the agent mounts.
type mountPoint struct {
	fs, path string
	flags    uintptr
	optional bool // a kernel may come without this file system
}

var mounts = []mountPoint{
	{fs: "proc", path: "/proc", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{fs: "sysfs", path: "/sys", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
	{fs: "devtmpfs", path: "/dev", flags: unix.MS_NOSUID},
	{fs: "devpts", path: "/dev/pts", flags: unix.MS_NOSUID | unix.MS_NOEXEC, optional: true},
	{fs: "tmpfs", path: "/dev/shm", flags: unix.MS_NOSUID | unix.MS_NODEV, optional: true},
	{fs: "tmpfs", path: "/tmp", flags: unix.MS_NOSUID | unix.MS_NODEV, optional: true},
	{fs: "tmpfs", path: "/run", flags: unix.MS_NOSUID | unix.MS_NODEV, optional: true},
	{fs: "cgroup2", path: "/sys/fs/cgroup", optional: true},
	{fs: "bpf", path: "/sys/fs/bpf", optional: true},
	{fs: "debugfs", path: "/sys/kernel/debug", optional: true},
	{fs: "tracefs", path: "/sys/kernel/tracing", optional: true},
	{fs: "hugetlbfs", path: "/dev/hugepages", optional: true},
}

// mount mounts the file system unless the kernel has none of its kind.
func (m mountPoint) mount() error {
	if err := os.MkdirAll(m.path, 0o755); err != nil && !m.optional {
		return fmt.Errorf("mount %s: %w", m.fs, err)
	}
	err := unix.Mount(m.fs, m.path, m.fs, m.flags, "")
	switch {
	case err == nil, errors.Is(err, unix.EBUSY): // mounted already
		return nil
	case m.optional && (errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT)):
		return nil
	}
	return fmt.Errorf("mount %s on %s: %w", m.fs, m.path, err)
}

// powerOff ends the guest. It returns only if the kernel refuses.
func powerOff() {
	unix.Sync()
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintf(os.Stderr, "ktgen agent: power off: %v\n", err)
	}
}

const methodPowerOff = "poweroff"

func handlePowerOff(context.Context, *Call) (any, error) {
	powerOff()
	return nil, errors.New("the kernel does not power off")
}

// PowerOff ends the guest. The connection is lost by that, which is no error.
func (c *Client) PowerOff(ctx context.Context) error {
	err := c.Call(ctx, methodPowerOff, nil, nil, Streams{})
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}
