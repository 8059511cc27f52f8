package kernel_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// ko makes a module as far as this package looks: a section .modinfo.
func ko(depends string) []byte {
	info := "license=GPL\x00depends=" + depends + "\x00name=x\x00"
	names := "\x00.modinfo\x00.shstrtab\x00"
	var out bytes.Buffer
	_ = binary.Write(&out, binary.LittleEndian, elf.Header64{
		Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: 1,
		Shoff: 64, Ehsize: 64, Shentsize: 64, Shnum: 3, Shstrndx: 2,
	})
	const content = 64 + 3*64
	_ = binary.Write(&out, binary.LittleEndian, []elf.Section64{{}, {
		Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: content, Size: uint64(len(info)),
	}, {
		Name: 10, Type: uint32(elf.SHT_STRTAB), Off: content + uint64(len(info)), Size: uint64(len(names)),
	}})
	out.WriteString(info + names)
	return out.Bytes()
}

// modular are the traits of a kernel whose virtio drivers are modules.
func modular(release string) traits {
	made := fit(release)
	made.strings = []string{"serial8250"}
	return made
}

// drivers are the modules that such a kernel comes with, in a build tree.
var drivers = map[string][]byte{
	"drivers/virtio/virtio_pci.ko":        ko("virtio_pci_modern_dev,virtio_ring"),
	"drivers/virtio/virtio-ring.ko":       ko(""),
	"drivers/virtio/virtio_pci_modern.ko": ko(""), // none of them needs it
	"drivers/virtio/virtio_pci_modern_dev.ko": ko(
		""),
	"drivers/char/virtio_console.ko": ko("virtio_ring"),
	"modules.order":                  []byte("drivers/virtio/virtio_pci.o\ndrivers/virtio/virtio-ring.o\ndrivers/virtio/virtio_pci_modern_dev.o\ndrivers/char/virtio_console.o\nnet/odd.o\nnet/circle.o\n"),
	"net/odd.ko":                     ko("gone"),
	"net/circle.ko":                  ko("circle,virtio_ring"),
	".config":                        []byte(configText),
}

func modularTree(t *testing.T) string {
	t.Setenv(cache.DirEnv, t.TempDir())
	tree := buildTree(t, drivers)
	require.NoError(t, os.WriteFile(filepath.Join(tree, "vmlinux"), modular("6.19.0-mine").vmlinux(), 0o644))
	return tree
}

func namesOf(modules []kernel.Module) string {
	var names []string
	for _, m := range modules {
		names = append(names, m.Name)
	}
	return strings.Join(names, " ")
}

func TestDriversThatAreModulesAreLoadedInOrder(t *testing.T) {
	tree := modularTree(t)
	k, err := kernel.Open(t.Context(), tree)
	require.NoError(t, err)
	require.NoError(t, k.Fit())
	modules, err := k.Modules(t.Context(), "circle")
	require.NoError(t, err)
	require.Equal(t, "virtio_pci_modern_dev virtio_ring virtio_pci virtio_console circle", namesOf(modules))
	require.Equal(t, filepath.Join(tree, "drivers/virtio/virtio-ring.ko"), modules[1].Path)
}

func TestKernelsWithoutTheirModulesAreUnfit(t *testing.T) {
	tree := modularTree(t)
	require.NoError(t, os.Remove(filepath.Join(tree, "modules.order")))
	k, err := kernel.Open(t.Context(), tree)
	require.NoError(t, err)
	require.ErrorContains(t, k.Fit(), "lacks a built-in virtio PCI driver (CONFIG_VIRTIO_PCI=y), a built-in virtio console driver (CONFIG_VIRTIO_CONSOLE=y): "+
		"build it with that, have module virtio_pci beside it (in the tree, or in lib/modules/6.19.0-mine of the image's package)")
}

func TestModulesThatAreNotThereAreNamed(t *testing.T) {
	k, err := kernel.Open(t.Context(), modularTree(t))
	require.NoError(t, err)
	for name, want := range map[string]string{
		"nothing": "module nothing of kernel 6.19.0-mine",
		"odd":     "module gone of kernel 6.19.0-mine (" + k.Path + "), which odd depends on,",
	} {
		_, err := k.Modules(t.Context(), name)
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorContains(t, err, want)
		require.False(t, k.HasModules(t.Context(), []string{name}))
	}
}

func TestFilesThatAreNoModulesAreNamed(t *testing.T) {
	tree := modularTree(t)
	path := filepath.Join(tree, "net/odd.ko")
	require.NoError(t, os.WriteFile(path, fit("x").vmlinux(), 0o644))
	k, err := kernel.Open(t.Context(), tree)
	require.NoError(t, err)
	_, err = k.Modules(t.Context(), "odd")
	require.ErrorContains(t, err, path+" is no kernel module: it has no section .modinfo")
}

func TestAddKeepsTheModulesOfGuests(t *testing.T) {
	tree := modularTree(t)
	k, err := kernel.Add(t.Context(), tree, "", "circle")
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(tree))
	require.NoError(t, k.Fit())
	modules, err := k.Modules(t.Context(), "circle")
	require.NoError(t, err)
	require.Equal(t, "virtio_pci_modern_dev virtio_ring virtio_pci virtio_console circle", namesOf(modules))
}

func TestFetchKeepsTheModulesOfGuests(t *testing.T) {
	s := newAptSystem(t)
	made := modular("7.3.4+deb13-cloud-amd64")
	home := "./usr/lib/modules/" + made.release + "/kernel/"
	modules := debPackage{name: "linux-modules-" + made.release, version: "1-1", more: map[string][]byte{}}
	for path, content := range drivers {
		if strings.HasSuffix(path, ".ko") {
			modules.more[home+path+".gz"] = gzipPayload(t, content)
		}
	}
	s.publish("trixie-backports", kernelPackage(t, made), modules)
	k, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err, log)
	found, err := k.Modules(t.Context())
	require.NoError(t, err)
	require.Equal(t, "virtio_pci_modern_dev virtio_ring virtio_pci virtio_console", namesOf(found))
	require.False(t, k.HasModules(t.Context(), []string{"circle"}))

	k, log, err = s.fetch(kernel.FetchOptions{Modules: []string{"circle"}})
	require.NoError(t, err, log)
	found, err = k.Modules(t.Context(), "circle")
	require.NoError(t, err)
	require.Equal(t, "circle", found[len(found)-1].Name)
	require.True(t, slices.ContainsFunc(found, func(m kernel.Module) bool { return m.Name == "virtio_console" }), "those that were there stay")

	_, _, err = s.fetch(kernel.FetchOptions{Modules: []string{"nothing"}})
	require.ErrorContains(t, err, "is not in Debian's package linux-modules-"+made.release)
}

func TestFetchTakesAnotherFlavourThatIsNamedInFull(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit("7.3.4-cloud-amd64")), kernelPackage(t, fit("7.3.5-amd64")))
	k, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err, log)
	require.Equal(t, "7.3.4-cloud-amd64", k.Release)
	k, log, err = s.fetch(kernel.FetchOptions{Release: "7.3.5-amd64"})
	require.NoError(t, err, log)
	require.Equal(t, "7.3.5-amd64", k.Release)
}
