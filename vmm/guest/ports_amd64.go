package guest

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// withPorts calls f on a thread that may use I/O ports.
func withPorts(f func()) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := allowPorts(); err != nil {
		return err
	}
	f()
	return iopl(0)
}

// allowPorts has the calling thread use I/O ports.
func allowPorts() error {
	if err := iopl(3); err != nil {
		return fmt.Errorf("use I/O ports: iopl: %w (CONFIG_X86_IOPL_IOPERM=y is needed)", err)
	}
	return nil
}

func iopl(level uintptr) error {
	if _, _, errno := unix.RawSyscall(unix.SYS_IOPL, level, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// outb writes a byte to an I/O port. The thread must be allowed to (iopl(2)).
//
//go:noescape
func outb(port uint16, v byte)

// meetAndOut adds 1 to *ready, waits until it is n, and writes a byte to an I/O port.
//
//go:noescape
func meetAndOut(ready *int32, n int32, port uint16, v byte)
