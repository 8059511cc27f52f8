package vmm

import (
	"fmt"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// This file puts QEMU's command line together, and the descriptors that it
// refers to.

// Descriptors of QEMU.
const (
	fdRAM = 3 + iota
	fdQMP
	fdConsole
	fdPorts // of the first port; the others follow, then the four of Lockstep, then further banks of RAM
)

// arguments returns QEMU's arguments.
func (c Config) arguments(accel Accel) []string {
	args := c.machine(accel)
	args = append(args, c.ports()...)
	args = append(args, c.clockwork()...)
	return append(args, "-kernel", c.Kernel, "-initrd", c.Initramfs, "-append", c.commandLine())
}

// machine returns the arguments for the board, its processors, its memory, and
// for QMP and console.
func (c Config) machine(accel Accel) []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,vmport=off,sata=off,smbus=off,usb=off",
		"-m", fmt.Sprintf("%dM", c.Memory/MiB),
		"-smp", c.smp(), "-cpu", c.cpu(accel),
		"-chardev", socketChardev("qmp", fdQMP), "-mon", "chardev=qmp,mode=control",
		"-chardev", fmt.Sprintf("file,id=console,path=/proc/self/fd/%d", fdConsole), "-serial", "chardev:console",
	}
	args = append(args, c.memory()...)
	return append(args, accel.args()...)
}

// ports returns the arguments for the virtio-serial ports. Their numbers start
// at 1, since number 0 is reserved for a console.
//
// With event_idx, guest and device decide by each other's last store whether to notify,
// which needs memory barriers. QEMU before 8.1 leaves them out in a guest with
// one TCG thread (QEMU commit c914d46d0a64, "tcg: Do not elide memory barriers for
// !CF_PARALLEL in system mode").
func (c Config) ports() []string {
	if len(c.Ports) == 0 {
		return nil
	}
	args := []string{"-device", fmt.Sprintf("virtio-serial-pci,event_idx=off,max_ports=%d", len(c.Ports)+1)}
	for i, name := range c.Ports {
		id := fmt.Sprintf("port%d", i+1)
		args = append(args,
			"-chardev", socketChardev(id, fdPorts+i),
			"-device", fmt.Sprintf("virtserialport,chardev=%s,nr=%d,name=%s", id, i+1, name))
	}
	return args
}

func socketChardev(id string, fd int) string {
	return fmt.Sprintf("socket,id=%s,fd=%d", id, fd)
}

// wires are the connections to a QEMU.
type wires struct {
	qmp     *net.UnixConn
	console *os.File
	ports   map[string]*net.UnixConn
	notes   *os.File // of a guest in lockstep: see package mailbox; else nil
	gate    *gate
	hold    *hold

	theirs []*os.File // QEMU's ends, in the order of its descriptors, from fdQMP on
}

// wire makes the connections that the arguments for cfg refer to.
func wire(cfg Config) (*wires, error) {
	w := &wires{ports: make(map[string]*net.UnixConn)}
	if err := w.open(cfg); err != nil {
		w.closeTheirs()
		w.close()
		return nil, fmt.Errorf("making the connections to QEMU: %w", err)
	}
	return w, nil
}

func (w *wires) open(cfg Config) (err error) {
	if w.qmp, err = w.socket(); err != nil {
		return err
	}
	if w.console, err = w.pipe(); err != nil {
		return err
	}
	for _, name := range cfg.Ports {
		conn, err := w.socket()
		if err != nil {
			return err
		}
		w.ports[name] = conn
	}
	if cfg.Lockstep == nil {
		return nil
	}
	if w.notes, err = w.pipe(); err != nil {
		return err
	}
	var theirs *os.File
	if w.gate, theirs, err = newGate(); err != nil {
		return err
	}
	w.theirs = append(w.theirs, theirs)
	if w.hold, err = newHold(); err == nil {
		w.theirs = append(w.theirs, w.hold.shared, w.hold.library)
	}
	return err
}

func (w *wires) socket() (*net.UnixConn, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	w.theirs = append(w.theirs, theirs)
	return ours, nil
}

func (w *wires) pipe() (*os.File, error) {
	ours, theirs, err := consolePipe()
	if err != nil {
		return nil, err
	}
	w.theirs = append(w.theirs, theirs)
	return ours, nil
}

// consolePipe returns the two ends of a pipe for a serial console.
//
// A serial port sends byte by byte, and QEMU drops what it cannot send after a few
// tries. A pipe joins bytes; a socket would have each byte take a buffer of its
// own and be full after some hundred.
func consolePipe() (ours, theirs *os.File, err error) {
	ours, theirs, err = os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	const room = 1 << 20 // bytes; the most that a user may ask for by default
	// With the usual 64 KiB the console works, too.
	_, _ = unix.FcntlInt(theirs.Fd(), unix.F_SETPIPE_SZ, room)
	return ours, theirs, nil
}

// closeTheirs closes QEMU's ends, which QEMU has copies of once it runs.
func (w *wires) closeTheirs() {
	for _, f := range w.theirs {
		f.Close()
	}
}

// close closes this process's ends.
func (w *wires) close() {
	if w.qmp != nil {
		w.qmp.Close()
	}
	if w.console != nil {
		w.console.Close()
	}
	for _, port := range w.ports {
		port.Close()
	}
	if w.notes != nil {
		w.notes.Close()
	}
	if w.gate != nil {
		w.gate.Close()
	}
	if w.hold != nil {
		w.hold.unmap()
	}
}

// socketPair returns two connected unix stream sockets.
func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ktgen"), os.NewFile(uintptr(fds[1]), "qemu")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return conn.(*net.UnixConn), theirs, nil
}
