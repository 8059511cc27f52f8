package ktest_test

// This file runs in the guest: it makes the maps whose values are file
// descriptors or devices to a program, and fills some of their slots.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

const slots = 6 // of each map

// slotZoo are maps, and how to fill a slot of one: fill returns what is written
// to the slot, and the number that tells what is in it.
var slotZoo = []struct {
	name      string
	typ       ebpf.MapType
	valueSize int
	occupied  []uint32
	fill      func(k *keeper, slot uint32) (written uint32, number uint64, err error)
}{
	{"slots_prog", ebpf.ProgramArray, 4, []uint32{0, 5}, (*keeper).program},
	{"slots_perf", ebpf.PerfEventArray, 4, []uint32{1}, (*keeper).perfEvent},
	{"slots_cgroup", ebpf.CGroupArray, 4, []uint32{2, 4}, (*keeper).cgroup},
	{"slots_dev", ebpf.DevMap, 4, []uint32{3}, (*keeper).loopback},
	{"slots_devhash", ebpf.DevMapHash, 4, []uint32{1000, 7}, (*keeper).loopback},
	{"slots_cpu", ebpf.CPUMap, 4, []uint32{1}, (*keeper).queueSize},
	{"slots_sock", ebpf.SockMap, 4, []uint32{2, 5}, (*keeper).socket},
	{"slots_sockhash", ebpf.SockHash, 8, []uint32{77, 3}, (*keeper).socket},
	{"slots_reuse", ebpf.ReusePortSockArray, 8, []uint32{4}, (*keeper).reusedPort},
	{"slots_xsk", ebpf.XSKMap, 4, []uint32{5}, (*keeper).xdpSocket},
}

// fillSlots makes the maps. Those that the kernel is built without are left
// out.
func (k *keeper) fillSlots() error {
	for _, z := range slotZoo {
		m, err := ebpf.NewMap(&ebpf.MapSpec{Name: z.name, Type: z.typ, KeySize: 4, ValueSize: uint32(z.valueSize), MaxEntries: slots})
		if errors.Is(err, unix.EINVAL) || errors.Is(err, ebpf.ErrNotSupported) {
			continue
		}
		if err != nil {
			return fmt.Errorf("make map %s: %w", z.name, err)
		}
		k.maps[z.name] = m
		k.zoo.Slots[z.name] = make(map[uint32]uint64)
		for _, slot := range z.occupied {
			written, number, err := z.fill(k, slot)
			if err != nil {
				return fmt.Errorf("make what goes into slot %d of %s: %w", slot, z.name, err)
			}
			value := binary.LittleEndian.AppendUint64(nil, uint64(written))[:z.valueSize]
			if err := update(m, binary.LittleEndian.AppendUint32(nil, slot), value); err != nil {
				return fmt.Errorf("fill slot %d of %s: %w", slot, z.name, err)
			}
			k.zoo.Slots[z.name][slot] = number
		}
	}
	return nil
}

func (k *keeper) program(uint32) (uint32, uint64, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		return 0, 0, err
	}
	k.open = append(k.open, p)
	info, err := p.Info()
	if err != nil {
		return 0, 0, err
	}
	id, _ := info.ID()
	return uint32(p.FD()), uint64(id), nil
}

func (k *keeper) perfEvent(uint32) (uint32, uint64, error) {
	attr := unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Config: unix.PERF_COUNT_SW_CPU_CLOCK, Size: uint32(unsafe.Sizeof(unix.PerfEventAttr{}))}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return 0, 0, err
	}
	var id uint64
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.PERF_EVENT_IOC_ID, uintptr(unsafe.Pointer(&id))); e != 0 {
		return 0, 0, e
	}
	return uint32(fd), id, nil
}

func (k *keeper) cgroup(slot uint32) (uint32, uint64, error) {
	dir := fmt.Sprintf("/sys/fs/cgroup/slot-%d", slot)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return 0, 0, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY, 0)
	if err != nil {
		return 0, 0, err
	}
	inode, err := inodeOf(fd)
	return uint32(fd), inode, err
}

func inodeOf(fd int) (uint64, error) {
	var stat unix.Stat_t
	err := unix.Fstat(fd, &stat)
	return stat.Ino, err
}

func (k *keeper) loopback(uint32) (uint32, uint64, error) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return 0, 0, err
	}
	return uint32(lo.Index), uint64(lo.Index), nil
}

func (k *keeper) queueSize(slot uint32) (uint32, uint64, error) {
	return 64 + slot, 64 + uint64(slot), nil
}

// socket returns one that listens.
func (k *keeper) socket(uint32) (uint32, uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err == nil {
		err = unix.Listen(fd, 1)
	}
	if err != nil {
		return 0, 0, err
	}
	inode, err := inodeOf(fd)
	return uint32(fd), inode, err
}

func (k *keeper) reusedPort(uint32) (uint32, uint64, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		return 0, 0, err
	}
	inode, err := inodeOf(fd)
	return uint32(fd), inode, err
}

// xdpSocket returns one that is set up as far as a map asks for.
func (k *keeper) xdpSocket(uint32) (uint32, uint64, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	const frames, frame = 16, 4096
	memory, err := unix.Mmap(-1, 0, frames*frame, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		return 0, 0, err
	}
	reg := unix.XDPUmemReg{Addr: uint64(uintptr(unsafe.Pointer(&memory[0]))), Len: frames * frame, Size: frame}
	if _, _, e := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, unix.XDP_UMEM_REG, uintptr(unsafe.Pointer(&reg)), unsafe.Sizeof(reg), 0); e != 0 {
		return 0, 0, e
	}
	for _, ring := range []int{unix.XDP_UMEM_FILL_RING, unix.XDP_UMEM_COMPLETION_RING, unix.XDP_RX_RING} {
		if err := unix.SetsockoptInt(fd, unix.SOL_XDP, ring, frames); err != nil {
			return 0, 0, err
		}
	}
	inode, err := inodeOf(fd)
	return uint32(fd), inode, err
}

// slotNames are the maps that the guest could make.
func (z *zoo) slotNames() (names []string) {
	for name := range z.Slots {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
