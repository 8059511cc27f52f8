// Command guest is the init of the guests that package vmm's tests boot. It
// obeys commands, one per line, from the virtio-serial port "ktgen.test".
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

const (
	portName = "ktgen.test"
	upLine   = "guest: up" // on the console, first of all
)

func main() {
	fmt.Println(upLine)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		time.Sleep(time.Second)
		os.Exit(1)
	}
}

func run() error {
	for _, m := range []struct{ fs, dir string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}} {
		os.MkdirAll(m.dir, 0o755)
		if err := syscall.Mount(m.fs, m.dir, m.fs, 0, ""); err != nil && err != syscall.EBUSY {
			return fmt.Errorf("mounting %s: %w", m.dir, err)
		}
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	fmt.Fprintln(port, "ready")
	in := bufio.NewReader(reader{port})
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		answer, err := obey(strings.Fields(line))
		if err != nil {
			answer = "error: " + err.Error()
		}
		if _, err := fmt.Fprintln(port, answer); err != nil {
			return err
		}
	}
}

// reader reads a virtio-serial port, which yields 0 bytes while no host is
// connected.
type reader struct{ f *os.File }

func (r reader) Read(p []byte) (int, error) {
	for {
		n, err := syscall.Read(int(r.f.Fd()), p)
		if err == syscall.EINTR {
			continue
		}
		if n != 0 || err != nil {
			return max(n, 0), err
		}
		time.Sleep(time.Millisecond)
	}
}

func openPort() (*os.File, error) {
	names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err == nil && strings.TrimSpace(string(text)) == portName {
			return open(filepath.Join("/dev", filepath.Base(filepath.Dir(name))))
		}
	}
	return nil, fmt.Errorf("no port %q among %d", portName, len(names))
}

// open opens a port for blocking reads, without telling Go's poller of it. When
// a poll sees data before the port's interrupt is handled, the kernel does not wake
// the readers that block (Linux: drivers/virtio/virtio_ring.c, vring_interrupt finds
// no used buffer; drivers/char/virtio_console.c, port_has_data has taken it).
func open(path string) (*os.File, error) {
	fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func obey(words []string) (string, error) {
	if len(words) == 0 {
		return "", fmt.Errorf("no command")
	}
	switch words[0] {
	case "ping":
		return "pong", nil
	case "echo":
		return strings.Join(words[1:], " "), nil
	case "cpus":
		return strconv.Itoa(runtime.NumCPU()), nil
	case "memory":
		var info syscall.Sysinfo_t
		err := syscall.Sysinfo(&info)
		return strconv.FormatUint(info.Totalram*uint64(info.Unit), 10), err
	case "symbol":
		return symbol(words[1])
	case "read":
		text, err := os.ReadFile(words[1])
		return strings.TrimSpace(string(text)), err
	case "write":
		return "ok", os.WriteFile(words[1], []byte(words[2]), 0)
	case "repeat":
		return repeat(words[1], words[2])
	case "busy":
		return busy(words[1])
	case "plant":
		return plant(strings.Join(words[1:], " "))
	case "planted":
		return string(planted[:plantedLen]), nil
	case "count":
		return count()
	case "print":
		return "ok", os.WriteFile("/dev/kmsg", []byte("<1>"+strings.Join(words[1:], " ")+"\n"), 0)
	case "crash":
		return "ok", os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	case "poweroff":
		return "ok", syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	case "reboot":
		return "ok", syscall.Reboot(syscall.LINUX_REBOOT_CMD_RESTART)
	case "exit":
		fmt.Println("last words of init")
		os.Exit(1)
	case "hang":
		select {}
	}
	return "", fmt.Errorf("unknown command %q", words[0])
}

// symbol returns the address of a symbol of the kernel.
func symbol(name string) (string, error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 3 && fields[2] == name {
			return fields[0], nil
		}
	}
	return "", fmt.Errorf("no symbol %s", name)
}

// repeat writes the numbers from 1 to n into a file, one after another.
func repeat(path, n string) (string, error) {
	count, err := strconv.Atoi(n)
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for i := range count {
		if _, err := f.WriteAt(strconv.AppendInt(nil, int64(i+1), 10), 0); err != nil {
			return "", err
		}
	}
	return n, nil
}

// busy keeps n CPUs busy.
func busy(n string) (string, error) {
	count, err := strconv.Atoi(n)
	if err != nil {
		return "", err
	}
	runtime.GOMAXPROCS(count + 4)
	for range count {
		go func() {
			for {
				counter++
			}
		}()
	}
	return "ok", nil
}

var counter uint64

// planted is memory that the host looks at.
var (
	planted    []byte
	plantedLen int
)

// plant writes a text into a page and returns the page's guest-physical
// address.
func plant(text string) (string, error) {
	if planted == nil {
		page, err := syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS|syscall.MAP_LOCKED|syscall.MAP_POPULATE)
		if err != nil {
			return "", err
		}
		planted = page
	}
	plantedLen = copy(planted, text)
	addr, err := physical(uintptr(unsafe.Pointer(&planted[0])))
	return strconv.FormatUint(addr, 16), err
}

var counting bool

// count increments the first word of the planted page for ever.
func count() (string, error) {
	addr, err := plant("")
	if err != nil || counting {
		return addr, err
	}
	counting = true
	runtime.GOMAXPROCS(8)
	word := (*uint64)(unsafe.Pointer(&planted[0]))
	go func() {
		for {
			*word++
		}
	}()
	return addr, nil
}

// physical returns the physical address of a virtual address of this process
// (Documentation/admin-guide/mm/pagemap.rst).
func physical(addr uintptr) (uint64, error) {
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	page := uintptr(os.Getpagesize())
	var entry [8]byte
	if _, err := f.ReadAt(entry[:], int64(addr/page*8)); err != nil {
		return 0, err
	}
	frame := binary.LittleEndian.Uint64(entry[:]) & (1<<55 - 1)
	return frame*uint64(page) + uint64(addr%page), nil
}
