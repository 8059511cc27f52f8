package vmm

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// gate is the host's end of a socket that is full: who writes a byte to the other end
// waits until one is read here.
type gate struct{ *os.File }

// newGate returns the two ends. A socket keeps each byte in a buffer of its own, so
// that there is room for one when one was read; a pipe has room when a page of it is
// empty.
func newGate() (ours *gate, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours, theirs = &gate{os.NewFile(uintptr(fds[0]), "ktgen")}, os.NewFile(uintptr(fds[1]), "qemu")
	if err := fill(fds[1]); err != nil {
		ours.Close()
		theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// fill sends bytes until there is no room.
func fill(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 1); err != nil { // the kernel takes the least there is
		return fmt.Errorf("setsockopt: %w", err)
	}
	for {
		err := unix.Sendto(fd, []byte{0}, unix.MSG_DONTWAIT, nil)
		if errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("fill a socket: %w", err)
		}
	}
}

// pass lets one byte through.
func (g *gate) pass() error {
	var b [1]byte
	_, err := io.ReadFull(g.File, b[:])
	return err
}
