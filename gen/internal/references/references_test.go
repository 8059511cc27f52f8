package references_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/gen/internal/references"
	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/vmm/guest"
)

// fillEnv makes the test binary the process of the guest that fills the maps.
const fillEnv = "KTGEN_TEST_FILL"

func TestMain(m *testing.M) {
	if os.Getenv(fillEnv) != "" {
		if err := fill(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ktest.Main(m)
}

// filled is what the guest put into the maps.
type filled struct{ Loopback, Socket uint64 }

func TestReferencesOfAGuestAreReadByTheirTypes(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Scheduler: ktest.Object("testdata/references.bpf.o")})
	put := runFill(t, vm)
	frozen := vm.Freeze("filled")
	snap := references.Bind(t, frozen)

	require.EqualValues(t, put.Loopback, snap.Devices().At(2).Ifindex)
	require.Zero(t, snap.Devices().At(2).BpfProg.Id)
	require.Zero(t, snap.Devices().At(1).Ifindex)
	require.EqualValues(t, 64, snap.Cpus().At(1).Qsize)

	require.Equal(t, 1, snap.DevicesByKey().Len())
	require.EqualValues(t, put.Loopback, *snap.DevicesByKey().Get(1000))
	require.Equal(t, put.Socket, *snap.SocketsByCookie().Get(references.Cookie{Port: 80, Family: 2}))

	id, err := frozen.Get("devices[2].ifindex").Uint64()
	require.NoError(t, err)
	require.Equal(t, put.Loopback, id)
}

// runFill runs fill in the guest until the test ends.
func runFill(t *testing.T, vm *ktest.VM) (put filled) {
	t.Helper()
	in, stdin := io.Pipe()
	stdout, out := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, err := vm.Agent().Exec(t.Context(), guest.Command{Args: []string{"/proc/self/exe"}, Env: []string{fillEnv + "=1"}},
			guest.Streams{In: in, Out: out, Err: os.Stderr})
		out.CloseWithError(errors.Join(err, io.ErrUnexpectedEOF))
	}()
	t.Cleanup(func() { stdin.Close(); <-ended })
	require.NoError(t, json.NewDecoder(stdout).Decode(&put))
	return put
}

// fill fills the maps, and keeps what is in them until standard input ends.
func fill() error {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		return err
	}
	socket, err := listen()
	if err != nil {
		return err
	}
	var stat unix.Stat_t
	if err := unix.Fstat(socket, &stat); err != nil {
		return err
	}
	index := uint32(lo.Index)
	for _, put := range []struct {
		name       string
		key, value any
	}{
		{"devices", uint32(2), [2]uint32{index}},
		{"devices_by_key", uint32(1000), index},
		{"cpus", uint32(1), [2]uint32{64}},
		{"sockets_by_cookie", [2]uint32{80, 2}, uint64(socket)},
	} {
		if err := update(put.name, put.key, put.value); err != nil {
			return fmt.Errorf("update %s: %w", put.name, err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(filled{uint64(index), stat.Ino}); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// listen returns a socket that a map can have.
func listen() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, 1)
}

// update puts a value into the map whose name begins as the kernel has it.
func update(name string, key, value any) error {
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if err != nil {
			return err
		}
		id = next
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return err
		}
		info, err := m.Info()
		if err != nil {
			return err
		}
		if info.Name == name[:min(len(name), 15)] {
			return m.Update(key, value, ebpf.UpdateAny)
		}
		m.Close()
	}
}
