package ktest_test

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

const (
	settled = 1000    // keys that stay in the map that is resized, each with itself for a value
	churned = 100_000 // keys that come and go
)

// A table that grows or shrinks has a successor for a while, and some of the
// entries are in the one and some in the other.
func TestResizableHashIsWholeWhileItIsResized(t *testing.T) {
	vm := ktest.Boot(t, ktest.Config{})
	_, out := runKeeper(t, vm, "churn")
	var failure string
	require.NoError(t, gob.NewDecoder(out).Decode(&failure))
	if failure == unix.EINVAL.Error() {
		t.Skip("the guest's kernel has no BPF_MAP_TYPE_RHASH")
	}
	require.Empty(t, failure)
	sizes := make(map[int]bool)
	begin := time.Now()
	for i := 0; i < 60 || len(sizes) <= 20; i++ {
		require.Less(t, time.Since(begin), time.Minute, "the map is resized meanwhile: %d sizes in %d captures", len(sizes), i)
		m := mapNamed(t, vm.Freeze(fmt.Sprintf("churn %d", i)), "churn")
		require.Equal(t, ktsnap.Complete, m.Status, m.Reason)
		sizes[m.N] = true
		requireSettled(t, m)
	}
}

// requireSettled looks for the keys that stay, and for keys that are there
// twice.
func requireSettled(t *testing.T, m *ktsnap.Map) {
	t.Helper()
	values := make(map[uint32]uint32)
	for i := range m.N {
		key := binary.LittleEndian.Uint32(m.Keys[4*i:])
		if _, twice := values[key]; twice {
			require.Failf(t, "a key is there twice", "%d", key)
		}
		values[key] = binary.LittleEndian.Uint32(m.Values[i*m.Stride:])
	}
	for key := range uint32(settled) {
		value, ok := values[key]
		require.True(t, ok && value == key, "key %d: %d, %v", key, value, ok)
	}
}

// runChurn runs in the guest. It fills a map and empties it again, but for the
// keys that stay, until standard input ends.
func runChurn() int {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Name: "churn", Type: rhash, KeySize: 4, ValueSize: 4, MaxEntries: 1 << 20, Flags: unix.BPF_F_NO_PREALLOC})
	for i := 0; err == nil && i < settled; i++ {
		err = update(m, key(m, i), key(m, i))
	}
	failure := ""
	if err != nil {
		failure = err.Error()
		if errors.Is(err, unix.EINVAL) && m == nil {
			failure = unix.EINVAL.Error()
		}
	}
	if gob.NewEncoder(os.Stdout).Encode(failure) != nil || err != nil {
		return 1
	}
	ended := inputEnds()
	for !ended.Load() {
		if churn(m, ended) != nil {
			return 1
		}
	}
	return 0
}

// inputEnds returns what becomes true when standard input ends.
func inputEnds() *atomic.Bool {
	var ended atomic.Bool
	go func() { // ends with the process
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	return &ended
}

// churn adds the keys that come and go, and deletes them. The kernel refuses one
// while it has no memory for a table that is due.
func churn(m *ebpf.Map, ended *atomic.Bool) error {
	for i := settled; i < settled+churned && !ended.Load(); i++ {
		if err := update(m, key(m, i), key(m, i)); err != nil && !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.ENOMEM) {
			return err
		}
	}
	for i := settled; i < settled+churned && !ended.Load(); i++ {
		if err := m.Delete(key(m, i)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}
