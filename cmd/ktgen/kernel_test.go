package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// vmlinux writes a kernel that is whole as far as package kernel looks, with BTF of
// these types, and with the virtio PCI driver and some others.
func vmlinux(t *testing.T, typeNames string, drivers ...string) string {
	t.Helper()
	write := func(w *bytes.Buffer, values ...any) {
		for _, v := range values {
			require.NoError(t, binary.Write(w, binary.LittleEndian, v))
		}
	}
	const headers = 64 + 2*56
	var body bytes.Buffer
	body.WriteString("Linux version 6.16.0-made (builder@host)\n\x00virtio-pci\x00")
	for _, driver := range drivers {
		body.WriteString(driver + "\x00")
	}
	note := headers + body.Len()
	write(&body, [3]uint32{4, 8, 18}, [4]byte{'X', 'e', 'n'}, uint64(0)) // XEN_ELFNOTE_PHYS32_ENTRY
	names := headers + body.Len()
	body.WriteString("\x00.BTF\x00.shstrtab\x00")
	types := headers + body.Len()
	write(&body, uint16(0xeb9f), [2]byte{1}, [5]uint32{24, 0, 0, 0, uint32(len(typeNames))}, []byte(typeNames))
	sections := headers + body.Len()
	write(&body, elf.Section64{},
		elf.Section64{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: uint64(types), Size: uint64(sections - types)},
		elf.Section64{Name: 6, Type: uint32(elf.SHT_STRTAB), Off: uint64(names), Size: uint64(types - names)})

	var file bytes.Buffer
	write(&file, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: 1,
		Phoff: 64, Shoff: uint64(sections), Ehsize: 64, Phentsize: 56, Phnum: 2, Shentsize: 64, Shnum: 3, Shstrndx: 2,
	},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: uint64(sections), Memsz: uint64(sections)},
		elf.Prog64{Type: uint32(elf.PT_NOTE), Off: uint64(note), Filesz: uint64(names - note)},
		body.Bytes())
	path := filepath.Join(t.TempDir(), "vmlinux")
	require.NoError(t, os.WriteFile(path, file.Bytes(), 0o644))
	return path
}

func TestKernelInfoFailsForAKernelThatCannotBeUsed(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	path := vmlinux(t, "\x00bpf_struct_ops_sched_ext_ops\x00")
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitFailed, run(t.Context(), []string{"kernel", "info", path}, &stdout, &stderr))
	require.Contains(t, stdout.String(), "release   6.16.0-made\n")
	require.Contains(t, stdout.String(), "fit       no\n")
	require.Equal(t, "ktgen: tests cannot boot it: kernel 6.16.0-made ("+path+") lacks "+
		"a built-in virtio console driver (CONFIG_VIRTIO_CONSOLE=y), a built-in serial driver (CONFIG_SERIAL_8250=y): "+
		"build it with that, or take one that has it (`ktgen kernel fetch` downloads one)\n", stderr.String(), "what is there is not named")
}

func TestKernelAddPutsAKernelIntoTheCache(t *testing.T) {
	t.Setenv(cache.DirEnv, t.TempDir())
	t.Setenv(kernel.Env, "")
	path := vmlinux(t, "\x00bpf_struct_ops_sched_ext_ops\x00", "virtio_console", "serial8250")
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitFailed, run(t.Context(), []string{"kernel", "add", path}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "has no configuration in its tree or beside it (.config, ")
	stderr.Reset()

	config := filepath.Join(filepath.Dir(path), ".config")
	require.NoError(t, os.WriteFile(config, []byte("CONFIG_HZ=250\n"), 0o644))
	require.Equal(t, 0, run(t.Context(), []string{"kernel", "add", filepath.Dir(path)}, &stdout, &stderr), &stderr)
	added := filepath.Join(os.Getenv(cache.DirEnv), "kernels/6.16.0-made/vmlinuz")
	require.Equal(t, "6.16.0-made "+added+"\n", stdout.String())
	require.Empty(t, stderr.String(), "it is what tests boot")

	require.Equal(t, exitUsage, run(t.Context(), []string{"kernel", "add"}, &stdout, &stderr))
}
