package guest

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// portWait bounds the wait for the virtio port to appear: the driver adds it
// shortly after PID 1 starts.
const portWait = 10 * time.Second

// openPort opens the virtio serial port of the given name.
func openPort(name string) (*port, error) {
	dev, err := awaitPort(name)
	if err != nil {
		return nil, err
	}
	// Non-blocking, so that the Go runtime waits by epoll: a read that blocks
	// in the kernel could not be told from one that is stuck.
	f, err := os.OpenFile(dev, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("virtio port %q: %w", name, err)
	}
	return newPort(f)
}

// awaitPort returns the device file of a port. The kernel announces its
// devices in sysfs, which has no notification for a new directory.
func awaitPort(name string) (string, error) {
	deadline := time.Now().Add(portWait)
	for {
		dev, seen := findPort("/sys/class/virtio-ports", name)
		if dev != "" {
			return dev, nil
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("no virtio port is named %q (ports: %q); is QEMU started with a virtserialport of that name, and is CONFIG_VIRTIO_CONSOLE built in?", name, seen)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// findPort returns the device file of the named port, and the names of all.
func findPort(class, name string) (dev string, seen []string) {
	files, _ := filepath.Glob(filepath.Join(class, "*", "name"))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		found := strings.TrimSpace(string(b))
		if found == name {
			dev = filepath.Join("/dev", filepath.Base(filepath.Dir(file)))
		}
		seen = append(seen, found)
	}
	return dev, seen
}

// port is a virtio serial port as a stream without end: a host that is not
// connected is waited for.
type port struct {
	*os.File
	epoll int // reports each change of the port once
}

func newPort(f *os.File) (*port, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("virtio port: epoll: %w", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("virtio port: %w", err)
	}

	// Edge-triggered: without a host the port is in a permanent state of
	// hang-up, which a level-triggered wait reports at once, for ever.
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLHUP | unix.EPOLLET}
	var added error
	err = raw.Control(func(fd uintptr) {
		added = unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, int(fd), &event)
	})
	if err == nil {
		err = added
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("virtio port: epoll: %w", err)
	}
	return &port{File: f, epoll: epoll}, nil
}

// Read reads from the host. The kernel returns 0 bytes while no host is
// connected (drivers/char/virtio_console.c, port_fops_read), which is not the
// end.
func (p *port) Read(b []byte) (int, error) {
	for {
		n, err := p.File.Read(b)
		if err != io.EOF {
			return n, err
		}
		if err := p.awaitChange(); err != nil {
			return 0, err
		}
	}
}

func (p *port) awaitChange() error {
	var events [1]unix.EpollEvent
	for {
		_, err := unix.EpollWait(p.epoll, events[:], -1)
		if err != unix.EINTR {
			return os.NewSyscallError("epoll_wait", err)
		}
	}
}

func (p *port) Close() error {
	unix.Close(p.epoll)
	return p.File.Close()
}
