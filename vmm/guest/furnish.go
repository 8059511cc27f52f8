package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// This file makes what programs expect of a machine that nobody has set up.

// furniture are the files that a guest has unless the initramfs has them: who
// root is, for getpwuid(3) and the like, and what "localhost" is.
var furniture = map[string]string{
	"/etc/passwd":        "root:x:0:0:root:/root:/bin/sh\n",
	"/etc/group":         "root:x:0:\n",
	"/etc/hosts":         "127.0.0.1\tlocalhost\n::1\tlocalhost\n",
	"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

// furnish makes root's home and the files that are not there.
func furnish() error {
	errs := []error{os.MkdirAll(environment["HOME"], 0o700)}
	for path, text := range furniture {
		errs = append(errs, writeNew(path, text))
	}
	return errors.Join(errs...)
}

// maxOpen is how many files a process may have open: what systemd gives to those that
// ask for more than a thousand. A scheduler can have thousands of maps, and the agent
// keeps them beyond its end.
const maxOpen = 524288

// raiseLimits lets the agent, and what it starts, have many files open.
func raiseLimits() error {
	limit := unix.Rlimit{Cur: maxOpen, Max: maxOpen}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("let programs have %d files open: %w", maxOpen, err)
	}
	return nil
}

// writeNew writes a file unless there is one.
func writeNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// raiseLoopback switches the loopback interface on, by which programs talk to
// themselves and to each other. A kernel without networks has none.
func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("switch the loopback interface on: socket: %w", err)
	}
	defer unix.Close(fd)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, request); err != nil {
		return fmt.Errorf("switch the loopback interface on: read its flags: %w", err)
	}
	request.SetUint16(request.Uint16() | unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("switch the loopback interface on: %w", err)
	}
	return nil
}
