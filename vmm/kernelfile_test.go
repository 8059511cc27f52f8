package vmm

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// bzImage returns the setup header of a boot image of 4 setup sectors and 64
// bytes of kernel, whole.
func bzImage() []byte {
	image := make([]byte, 5*512+64)
	image[0x1f1] = 4
	binary.LittleEndian.PutUint32(image[0x1f4:], 4)
	copy(image[0x202:], "HdrS")
	binary.LittleEndian.PutUint64(image[0x258:], 0x1000000)
	binary.LittleEndian.PutUint32(image[0x260:], 0x4000000)
	return image
}

func TestBootImagesAreWhole(t *testing.T) {
	end, err := readBzImage(bytes.NewReader(bzImage()), int64(len(bzImage())))
	require.NoError(t, err)
	require.Equal(t, int64(0x5000000), end)

	short := bzImage()[:5*512+63]
	_, err = readBzImage(bytes.NewReader(short), int64(len(short)))
	require.EqualError(t, err, "it is a bzImage cut short: 2623 bytes of 2624; copy or download it again")

	_, err = readBzImage(bytes.NewReader(short[:100]), 100)
	require.ErrorContains(t, err, "neither an ELF file (vmlinux) nor a bzImage")
}

func TestNonsenseSizesOfKernelsAreBounded(t *testing.T) {
	image := bzImage()
	binary.LittleEndian.PutUint64(image[0x258:], 1<<63)
	end, err := readBzImage(bytes.NewReader(image), int64(len(image)))
	require.NoError(t, err)
	require.Equal(t, int64(maxKernelEnd), end)
}

func TestRealKernelsAreAccepted(t *testing.T) {
	k := needVM(t)
	end, err := checkKernel(k.Fastest().Path)
	require.NoError(t, err)
	require.Greater(t, end, int64(16*MiB))

	image, err := k.Randomized()
	if err != nil {
		t.Skip(err)
	}
	_, err = checkKernel(image.Path)
	require.NoError(t, err)
	data, err := os.ReadFile(image.Path)
	require.NoError(t, err)
	short := filepath.Join(t.TempDir(), "vmlinuz")
	require.NoError(t, os.WriteFile(short, data[:len(data)/10*9], 0o600))
	_, err = checkKernel(short)
	var bad *FileError
	require.ErrorAs(t, err, &bad)
	require.ErrorContains(t, err, "bzImage cut short")
}

func FuzzReadKernel(f *testing.F) {
	f.Add(bzImage())
	elf := []byte("\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00" + "\x02\x00\x3e\x00\x01\x00\x00\x00")
	elf = append(elf, make([]byte, 200)...)
	elf[32], elf[52], elf[54], elf[56] = 64, 64, 56, 2 // program headers at 64: two of 56 bytes
	elf[64], elf[64+56] = 1, 4                         // PT_LOAD, PT_NOTE
	f.Add(elf)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, read := range []func([]byte) (int64, error){
			func(b []byte) (int64, error) { return readVmlinux(bytes.NewReader(b), int64(len(b))) },
			func(b []byte) (int64, error) { return readBzImage(bytes.NewReader(b), int64(len(b))) },
		} {
			if end, err := read(data); err == nil && (end < 0 || end > int64(maxKernelEnd)) {
				t.Fatalf("end %#x", end)
			}
		}
	})
}
