package bpfload

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Verification is what the verifier says of a program that it has let pass, beyond what
// the kernel keeps of it.
type Verification struct {
	ID          uint32 // of the program, in the kernel
	Micros      uint64 // that it took
	Insns       uint64 // that it went through
	MaxPerInsn  uint64 // states at one instruction
	States      uint64
	PeakStates  uint64
	MaxMarkRead uint64
}

// Log levels of bpf(2): BPF_LOG_LEVEL1 and BPF_LOG_STATS.
const (
	logWhole = 1
	logStats = 4
)

// statsLogSize is large enough for the verifier's figures: a line has the stack depth of
// each of at most 256 functions.
const statsLogSize = 16 << 10

// load has the verifier say its figures, too, in log, which is used for one program after the
// other: an emulated guest takes long for new memory. Kernels that do not know the log level, or
// have more to say than there is room for, are asked once more without.
func (attr *progLoadAttr) load(log []byte) (fd int, figures Verification, err error) {
	log[0] = 0 // of another program
	attr.logLevel, attr.logSize, attr.logBuf = logStats, uint32(len(log)), pointer(log)
	fd, err = bpf(cmdProgLoad, attr)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL) {
		attr.logLevel, attr.logSize, attr.logBuf = 0, 0, nil
		fd, err = bpf(cmdProgLoad, attr)
		return fd, Verification{}, err
	}
	return fd, parseFigures(unix.ByteSliceToString(log)), err
}

// The verifier's words, of print_verification_stats in kernel/bpf/verifier.c.
var (
	verificationTime = regexp.MustCompile(`verification time (\d+) usec`)
	processed        = regexp.MustCompile(`processed (\d+) insns \(limit \d+\) max_states_per_insn (\d+) total_states (\d+) peak_states (\d+) mark_read (\d+)`)
)

func parseFigures(log string) (v Verification) {
	set := func(words *regexp.Regexp, to ...*uint64) {
		m := words.FindStringSubmatch(log)
		for i := range min(len(to), max(0, len(m)-1)) {
			*to[i], _ = strconv.ParseUint(m[i+1], 10, 64) // digits
		}
	}
	set(verificationTime, &v.Micros)
	set(processed, &v.Insns, &v.MaxPerInsn, &v.States, &v.PeakStates, &v.MaxMarkRead)
	return v
}

// verified notes the figures of a program that is loaded; those without any are none.
func (c *Collection) verified(prog *ebpf.Program, v Verification) error {
	if v.Insns == 0 {
		return nil
	}
	id, err := programID(prog.FD())
	if err != nil {
		return fmt.Errorf("ask for its id: %w", err)
	}
	v.ID = id
	c.verifications = append(c.verifications, v)
	return nil
}

// Verified returns what the verifier has said of the programs.
func (c *Collection) Verified() []Verification { return c.verifications }
