package guest

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// This file gives a restored guest what its saved state cannot have: the time,
// and random numbers that no other guest from that state has.

const methodWake = "wake"

type wakeParams struct {
	Now     time.Time
	Entropy []byte
}

// Wake sets the guest's clock to the host's and reseeds its random numbers.
// It is called after a restore, before programs run.
func (c *Client) Wake(ctx context.Context) error {
	entropy := make([]byte, 64)
	_, _ = rand.Read(entropy) // never fails
	return c.WakeAs(ctx, time.Now(), entropy)
}

// WakeAs is Wake with a time and with random bytes of the caller's choice, 4096 at most.
func (c *Client) WakeAs(ctx context.Context, now time.Time, entropy []byte) error {
	return c.Call(ctx, methodWake, wakeParams{Now: now, Entropy: entropy}, nil, Streams{})
}

// Reseed is the part of Wake that is about random numbers.
func (c *Client) Reseed(ctx context.Context, entropy []byte) error {
	return c.Call(ctx, methodWake, wakeParams{Entropy: entropy}, nil, Streams{})
}

func handleWake(_ context.Context, c *Call) (any, error) {
	var params wakeParams
	if err := c.Decode(&params); err != nil {
		return nil, err
	}
	if !params.Now.IsZero() {
		now := unix.NsecToTimespec(params.Now.UnixNano())
		if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
			return nil, fmt.Errorf("set the clock: %w", err)
		}
	}
	if err := reseed(params.Entropy); err != nil {
		return nil, fmt.Errorf("reseed the random number generator: %w", err)
	}
	return nil, nil
}

// ioctls of /dev/random (include/uapi/linux/random.h).
const (
	rndAddEntropy = 0x40085203 // _IOW('R', 0x03, int[2])
	rndReseedCRNG = 0x5207     // _IO('R', 0x07)
)

// maxEntropy bounds the seed that a host may send, in bytes.
const maxEntropy = 4096

// reseed mixes seed into the kernel's entropy pool and makes the generator
// draw from it at once.
func reseed(seed []byte) error {
	if len(seed) == 0 || len(seed) > maxEntropy {
		return fmt.Errorf("seed of %d bytes; 1 to %d are possible", len(seed), maxEntropy)
	}
	f, err := os.OpenFile("/dev/urandom", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()

	// struct rand_pool_info { int entropy_count; int buf_size; __u32 buf[]; }
	info := binary.NativeEndian.AppendUint32(nil, uint32(8*len(seed))) // bits
	info = binary.NativeEndian.AppendUint32(info, uint32(len(seed)))
	info = append(info, seed...)
	if err := ioctl(f, rndAddEntropy, unsafe.Pointer(&info[0])); err != nil {
		return fmt.Errorf("RNDADDENTROPY: %w", err)
	}
	if err := ioctl(f, rndReseedCRNG, nil); err != nil {
		return fmt.Errorf("RNDRESEEDCRNG: %w", err)
	}
	return nil
}

func ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(arg))
	if errno != 0 {
		return errno
	}
	return nil
}
