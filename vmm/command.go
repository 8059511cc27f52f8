package vmm

import (
	"fmt"
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// This file puts QEMU's command line together, and the descriptors that it
// refers to.

// Descriptors of QEMU.
const (
	fdRAM = 3 + iota
	fdQMP
	fdConsole
	fdPorts // of the first port; the others follow
)

// arguments returns QEMU's arguments.
func (c Config) arguments(accel Accel) []string {
	args := c.machine(accel)
	args = append(args, c.ports()...)
	return append(args, "-kernel", c.Kernel, "-initrd", c.Initramfs, "-append", c.commandLine())
}

// machine returns the arguments for the board, its processors, its memory, and
// for QMP and console.
func (c Config) machine(accel Accel) []string {
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,memory-backend=ram,vmport=off,sata=off,smbus=off,usb=off",
		"-object", fmt.Sprintf("memory-backend-file,id=ram,size=%d,mem-path=/proc/self/fd/%d,share=on", int64(c.Memory), fdRAM),
		"-m", fmt.Sprintf("%dM", c.Memory/MiB),
		"-smp", strconv.Itoa(c.CPUs),
		"-chardev", socketChardev("qmp", fdQMP), "-mon", "chardev=qmp,mode=control",
		"-chardev", socketChardev("console", fdConsole), "-serial", "chardev:console",
	}
	return append(args, accel.args()...)
}

// ports returns the arguments for the virtio-serial ports. Their numbers start
// at 1, since number 0 is reserved for a console.
func (c Config) ports() []string {
	if len(c.Ports) == 0 {
		return nil
	}
	args := []string{"-device", fmt.Sprintf("virtio-serial-pci,max_ports=%d", len(c.Ports)+1)}
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

// wires are this process's ends of the connections to a QEMU.
type wires struct {
	qmp     *net.UnixConn
	console *net.UnixConn
	ports   map[string]*net.UnixConn
}

// wire makes the connections that the arguments for cfg refer to. It returns
// QEMU's ends in the order of their descriptors, from fdQMP on.
func wire(cfg Config) (*wires, []*os.File, error) {
	conns := make([]*net.UnixConn, 2+len(cfg.Ports))
	files := make([]*os.File, len(conns))
	for i := range conns {
		var err error
		if conns[i], files[i], err = socketPair(); err != nil {
			closeAll(files[:i])
			for _, conn := range conns[:i] {
				conn.Close()
			}
			return nil, nil, fmt.Errorf("making the connections to QEMU: %w", err)
		}
	}
	w := &wires{qmp: conns[0], console: conns[1], ports: make(map[string]*net.UnixConn)}
	for i, name := range cfg.Ports {
		w.ports[name] = conns[2+i]
	}
	return w, files, nil
}

// close closes all connections.
func (w *wires) close() {
	w.qmp.Close()
	w.console.Close()
	for _, port := range w.ports {
		port.Close()
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
