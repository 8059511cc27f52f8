package kernel_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

func TestOpenExtractsTheKernelOfABootImage(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	made := fit("7.3.4-made")
	for name, pack := range map[string]func(testing.TB, []byte) []byte{"zstd": zstdPayload, "gzip": gzipPayload} {
		t.Run(name, func(t *testing.T) {
			path := write(t, "vmlinuz", made.bzImage(pack(t, made.vmlinux())))
			k, err := kernel.Open(t.Context(), path)
			require.NoError(t, err)
			require.NoError(t, k.Fit())
			require.Equal(t, "7.3.4-made", k.Release)
			require.Equal(t, path, k.Path)

			elf, err := os.ReadFile(k.Vmlinux())
			require.NoError(t, err)
			require.Equal(t, made.vmlinux(), elf)
			require.Equal(t, kernel.Image{Path: k.Vmlinux(), Protocol: kernel.PVH}, k.Fastest())
			random, err := k.Randomized()
			require.NoError(t, err)
			require.Equal(t, kernel.Image{Path: path, Protocol: kernel.BzImage}, random)

			btf, err := k.BTF()
			require.NoError(t, err)
			require.True(t, bytes.Contains(btf, []byte("bpf_struct_ops_sched_ext_ops")))
		})
	}
}

func TestOpenTakesAnELFFileAsItIs(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	path := write(t, "vmlinux", fit("7.3.4-made").vmlinux())
	k, err := kernel.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, k.Fit())
	require.Equal(t, path, k.Vmlinux())
	_, err = k.Randomized()
	require.ErrorContains(t, err, "use its bzImage")
	require.NotEmpty(t, k.Hash)
}

func TestOpenWithoutPVHBootsTheBootImage(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	made := fit("7.3.4-made")
	made.pvh = false
	path := write(t, "vmlinuz", made.bzImage(zstdPayload(t, made.vmlinux())))
	k, err := kernel.Open(t.Context(), path)
	require.NoError(t, err)
	require.Equal(t, kernel.Image{Path: path, Protocol: kernel.BzImage}, k.Fastest())

	_, err = kernel.Open(t.Context(), write(t, "vmlinux", made.vmlinux()))
	require.ErrorContains(t, err, "CONFIG_PVH")
}

func TestFitNamesWhatAKernelLacks(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	tests := []struct {
		name  string
		strip func(k *traits)
		want  []string
	}{
		{"sched_ext", func(k *traits) { k.btf = k.btf[:1] }, []string{"CONFIG_SCHED_CLASS_EXT"}},
		{"BTF", func(k *traits) { k.btf = nil }, []string{"CONFIG_DEBUG_INFO_BTF", "CONFIG_SCHED_CLASS_EXT"}},
		{"virtio PCI", func(k *traits) { k.strings = k.strings[1:] }, []string{"CONFIG_VIRTIO_PCI"}},
		{"virtio console", func(k *traits) { k.strings[1] = "not_virtio_console" }, []string{"CONFIG_VIRTIO_CONSOLE"}},
		{"serial port", func(k *traits) { k.strings = k.strings[:2] }, []string{"CONFIG_SERIAL_8250"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			made := fit("6.12.0-made")
			test.strip(&made)
			k, err := kernel.Open(t.Context(), write(t, "vmlinux", made.vmlinux()))
			require.NoError(t, err)
			var unfit *kernel.UnfitError
			require.ErrorAs(t, k.Fit(), &unfit)
			require.Len(t, unfit.Lacks, len(test.want))
			for i, option := range test.want {
				require.Contains(t, unfit.Lacks[i], option)
			}
		})
	}
}

func TestBTFOfAKernelWithoutOneIsUnfit(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	made := fit("6.1.0-made")
	made.btf = nil
	k, err := kernel.Open(t.Context(), write(t, "vmlinux", made.vmlinux()))
	require.NoError(t, err)
	_, err = k.BTF()
	var unfit *kernel.UnfitError
	require.ErrorAs(t, err, &unfit)
}

func TestOpenRefusesImagesThatAreNotWhole(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	made := fit("7.3.4-made")
	elf := made.vmlinux()
	whole := made.bzImage(zstdPayload(t, elf))
	patch := func(offset int, value ...byte) []byte { return patched(whole, offset, value...) }
	tests := []struct {
		name   string
		image  []byte
		offset int64
		want   string
	}{
		{"an empty file", nil, 0, "neither a bzImage nor an ELF file"},
		{"another file", []byte("#!/bin/sh\nexit\n"), 0, "neither a bzImage nor an ELF file"},
		{"cut in the setup header", whole[:0x230], 0x230, "ends in the setup header"},
		{"cut in the setup code", whole[:0x400], 0x400, "cut short"},
		{"cut in the payload", whole[:len(whole)-32], int64(len(whole) - 32), "cut short"},
		{"no boot flag", patch(0x1fe, 0, 0), 0x1fe, "boot_flag"},
		{"an old protocol", patch(0x206, 0x00, 0x02), 0x206, "boot protocol 0x200"},
		{"a zImage", patch(0x211, 0), 0x211, "zImage"},
		{"a 32-bit kernel", patch(0x236, 0, 0), 0x236, "x86-64"},
		{"no version", patch(0x20e, 0, 0), 0x20e, "no kernel version"},
		{"a version outside", patch(0x20e, 0xff, 0xff), 0x20e, "not inside"},
		{"a version that is no file name", patch(0x500, []byte("../../etc/passwd ")...), 0x500, "not a kernel release"},
		{"a payload outside", patch(0x248, 0xff, 0xff, 0xff, 0xff), 0x248, "not inside"},
		{"a payload without bytes", patch(0x24c, 0, 0, 0, 0), 0x248, "not inside"},
		{"an unknown compression", patch(0x900, 1, 2, 3, 4), 0x900, "unknown compression"},
		{"a payload of another size", made.bzImage(resize(zstdPayload(t, elf), uint32(len(elf)-1))), 0x900, "more than the image says"},
		{"a payload shorter than it says", made.bzImage(resize(zstdPayload(t, elf), uint32(len(elf)+1))), 0x900, "unexpected EOF"},
		{"a payload that is no kernel", made.bzImage(zstdPayload(t, []byte("hello, hello, hello"))), 0x900, "the payload is no kernel"},
		{"an ELF file for another machine", patched(elf, 0x12, 0xb7), 0x12, "EM_AARCH64"},
		{"an ELF file that is an object", patched(elf, 0x10, 1), 0x10, "not an executable"},
		{"an ELF file of many segments", append(patched(elf, 0x38, 65), make([]byte, 65*56)...), 0x38, "65 segments"},
		{"an ELF file with a segment outside", patched(elf, 64+0x20, 0xff, 0xff, 0xff), int64(len(elf)), "cut short: segment 0"},
		{"an ELF file with other BTF", bytes.Replace(elf, []byte("\x9f\xeb\x01"), []byte("\xeb\x9f\x01"), 1), -1, "no little-endian BTF"},
		{"an ELF file that is no kernel", bytes.Replace(elf, []byte("Linux version"), []byte("Minix version"), 1), 0, "not a Linux kernel"},
		{"an ELF file cut short", elf[:len(elf)/2], 0, "ELF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, "vmlinuz", test.image)
			_, err := kernel.Open(t.Context(), path)
			var format *kernel.FormatError
			require.ErrorAs(t, err, &format)
			require.ErrorContains(t, err, test.want)
			require.ErrorContains(t, err, path)
			if test.offset >= 0 {
				require.Equal(t, test.offset, format.Offset)
			}
		})
	}
}

func TestOpenBoundsWhatAnImageClaims(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(cache.DirEnv, dir)
	bomb := resize(zstdPayload(t, make([]byte, 1<<20)), 0xffffffff)
	_, err := kernel.Open(t.Context(), write(t, "vmlinuz", fit("1").bzImage(bomb)))
	require.ErrorContains(t, err, "claims to be 4294967295 bytes")
}

func TestOpenFailsForWhatIsNoFile(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	_, err := kernel.Open(t.Context(), t.TempDir())
	require.ErrorContains(t, err, "has no kernel image (bzImage, vmlinuz")
	_, err = kernel.Open(t.Context(), "/nowhere/vmlinuz")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestOpenLeavesNothingOfADamagedImage(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(cache.DirEnv, dir)
	made := fit("7.3.4-made")
	image := made.bzImage(zstdPayload(t, made.vmlinux()))
	image[0x930] ^= 0xff
	_, err := kernel.Open(t.Context(), write(t, "vmlinuz", image))
	require.Error(t, err)
	entries, err := filepath.Glob(filepath.Join(dir, "images/1/[0-9a-f]*"))
	require.NoError(t, err)
	require.Empty(t, entries)
}

func TestOpenAtOnceExtractsOnce(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(cache.DirEnv, dir)
	made := fit("7.3.4-made")
	path := write(t, "vmlinuz", made.bzImage(zstdPayload(t, made.vmlinux())))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if _, err := kernel.Open(context.Background(), path); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	entries, err := filepath.Glob(filepath.Join(dir, "images/1/[0-9a-f]*"))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestOpenNamesADamagedCacheEntry(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	made := fit("7.3.4-made")
	path := write(t, "vmlinuz", made.bzImage(zstdPayload(t, made.vmlinux())))
	k, err := kernel.Open(t.Context(), path)
	require.NoError(t, err)
	require.NoError(t, os.Remove(k.Vmlinux()))
	_, err = kernel.Open(t.Context(), path)
	require.ErrorContains(t, err, "remove "+filepath.Dir(k.Vmlinux()))
}

// resize replaces the uncompressed size at the end of a payload.
func resize(payload []byte, size uint32) []byte {
	binary.LittleEndian.PutUint32(payload[len(payload)-4:], size)
	return payload
}

// patched returns a copy of image with other bytes at offset.
func patched(image []byte, offset int, value ...byte) []byte {
	other := bytes.Clone(image)
	copy(other[offset:], value)
	return other
}
