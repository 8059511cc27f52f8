package bpfload

import (
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// This file has the commands of bpf(2) that are issued directly. The
// structs are the parts of union bpf_attr (include/uapi/linux/bpf.h) that
// belong to them.

const (
	cmdMapCreate  = 0  // BPF_MAP_CREATE
	cmdProgLoad   = 5  // BPF_PROG_LOAD
	cmdInfo       = 15 // BPF_OBJ_GET_INFO_BY_FD
	cmdLinkCreate = 28 // BPF_LINK_CREATE
)

// objName is a name as the kernel takes it: at most 15 bytes, NUL-terminated.
type objName [unix.BPF_OBJ_NAME_LEN]byte

// kernelName makes a name of s that the kernel accepts: letters, digits, "_"
// and "." (bpf_obj_name_cpy, kernel/bpf/syscall.c), cut to 15 bytes.
func kernelName(s string) (n objName) {
	i := 0
	for _, r := range s {
		if i == len(n)-1 {
			break
		}
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.':
			n[i] = byte(r)
		default:
			n[i] = '_'
		}
		i++
	}
	return n
}

type mapCreateAttr struct {
	mapType               uint32
	keySize               uint32
	valueSize             uint32
	maxEntries            uint32
	flags                 uint32
	innerMapFD            uint32
	numaNode              uint32
	name                  objName
	_                     uint32 // map_ifindex
	btfFD                 uint32
	btfKeyTypeID          uint32
	btfValueTypeID        uint32
	btfVmlinuxValueTypeID uint32
	extra                 uint64
}

type progLoadAttr struct {
	progType           uint32
	insnCnt            uint32
	insns              unsafe.Pointer
	license            unsafe.Pointer
	logLevel           uint32
	logSize            uint32
	logBuf             unsafe.Pointer
	_                  uint32 // kern_version
	flags              uint32
	name               objName
	_                  uint32 // prog_ifindex
	expectedAttachType uint32
	btfFD              uint32
	funcInfoRecSize    uint32
	funcInfo           unsafe.Pointer
	funcInfoCnt        uint32
	lineInfoRecSize    uint32
	lineInfo           unsafe.Pointer
	lineInfoCnt        uint32
	attachBTFID        uint32
	attachBTFObjFD     uint32
	_                  uint32 // core_relo_cnt
	fdArray            unsafe.Pointer
}

// linkUprobesAttr links a program to places of a file (uprobe_multi).
type linkUprobesAttr struct {
	progFD     uint32
	_          uint32 // target_fd
	attachType uint32
	_          uint32         // flags
	path       unsafe.Pointer // ends with NUL
	offsets    unsafe.Pointer // []uint64, in the file
	_          unsafe.Pointer // ref_ctr_offsets
	_          unsafe.Pointer // cookies
	cnt        uint32
	_          [3]uint32 // flags, pid, path_fd
}

// linkTracedAttr links a program to functions of the kernel or a module (tracing_multi).
type linkTracedAttr struct {
	progFD     uint32
	_          uint32 // target_fd
	attachType uint32
	_          uint32         // flags
	ids        unsafe.Pointer // []uint32, of BTF
	_          unsafe.Pointer // cookies
	cnt        uint32
	_          uint32
}

// infoAttr asks for what the kernel has of an object.
type infoAttr struct {
	fd   uint32
	size uint32         // of what info points to, in bytes
	info unsafe.Pointer // struct bpf_prog_info, or the beginning of it
}

// programID returns the id of a program, and asks for nothing else: with all that
// ebpf.Program.Info reads, such as instructions, it takes longer than to load a small program.
func programID(fd int) (uint32, error) {
	var info [2]uint32 // type, id
	_, err := bpf(cmdInfo, &infoAttr{fd: uint32(fd), size: uint32(unsafe.Sizeof(info)), info: unsafe.Pointer(&info)})
	return info[1], err
}

// newLink links a program as attr says.
func newLink[A linkUprobesAttr | linkTracedAttr](attr *A) (link.Link, error) {
	fd, err := bpf(cmdLinkCreate, attr)
	if err != nil {
		return nil, err
	}
	return link.NewFromFD(fd)
}

// bpf issues a command of bpf(2), most of which return a file descriptor.
func bpf[A mapCreateAttr | progLoadAttr | infoAttr | linkUprobesAttr | linkTracedAttr](cmd uintptr, attr *A) (int, error) {
	for {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, cmd, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		runtime.KeepAlive(attr)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EAGAIN, unix.EINTR: // a signal interrupted the verifier
			continue
		default:
			return -1, errno
		}
	}
}

func pointer[T any](s []T) unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(s)) }
