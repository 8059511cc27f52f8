package kernel

import (
	"fmt"
	"os"
)

// Kernel is a kernel image and what is known of it.
type Kernel struct {
	Release string // as uname -r prints it in the guest
	Path    string // absolute, of the image as it was found: a bzImage or an ELF vmlinux
	Hash    string // SHA-256, in hexadecimal, of the bzImage or of what of the ELF file is loaded
	Config  string // absolute, of the configuration it was built with; "" if none is beside it

	extracted string // path of the ELF file
	boot      bool   // Path is a bzImage
	facts     vmlinux
	inspected string   // the cache entry of what is made of the image
	lacks     []string // requirements that neither the kernel nor its modules meet
	drivers   []string // modules that meet the others
}

// Protocol is how a machine enters a kernel.
type Protocol int

const (
	// PVH enters an uncompressed ELF file at once. The kernel is where it was
	// linked to be: there is no KASLR.
	PVH Protocol = iota + 1
	// BzImage enters the decompressor of a boot image, which places the kernel
	// at random unless "nokaslr" is on the command line.
	BzImage
)

func (p Protocol) String() string {
	switch p {
	case PVH:
		return "vmlinux by PVH"
	case BzImage:
		return "bzImage"
	}
	return fmt.Sprintf("protocol %d", int(p))
}

// Image is a file for QEMU's -kernel option, which tells by the file itself
// what protocol to use.
type Image struct {
	Path     string
	Protocol Protocol
}

// Fastest returns the image that boots in the least time: the ELF file by PVH,
// else the bzImage.
func (k *Kernel) Fastest() Image {
	if k.facts.PVH {
		return Image{k.extracted, PVH}
	}
	return Image{k.Path, BzImage}
}

// Randomized returns the image that boots with KASLR. A kernel that was found
// as an ELF file has none.
func (k *Kernel) Randomized() (Image, error) {
	if !k.boot {
		return Image{}, fmt.Errorf("kernel %s (%s) is an ELF file, which boots without KASLR: use its bzImage (arch/x86/boot/bzImage in a build tree)", k.Release, k.Path)
	}
	return Image{k.Path, BzImage}, nil
}

// Vmlinux returns the path of the kernel's uncompressed ELF file.
func (k *Kernel) Vmlinux() string { return k.extracted }

// Fit returns an [*UnfitError] if ktgen's guests cannot run on the kernel.
func (k *Kernel) Fit() error {
	if len(k.lacks) == 0 {
		return nil
	}
	return &UnfitError{Path: k.Path, Release: k.Release, Lacks: k.lacks}
}

// settle tells what the kernel lacks for good from what a module has that is there.
func (k *Kernel) settle() {
	if len(k.facts.Lacks) == 0 {
		return
	}
	files := indexModules(modulePlaces(k.Path, k.Release))
	k.lacks, k.drivers = nil, nil
	for _, what := range k.facts.Lacks {
		driver := driverOf(what)
		if driver != "" && files[driver] != "" {
			k.drivers = append(k.drivers, driver)
		} else {
			k.lacks = append(k.lacks, what)
		}
	}
}

// BTF returns the kernel's own type information: the raw .BTF section.
func (k *Kernel) BTF() ([]byte, error) {
	at := k.facts.BTF
	if at.Size == 0 {
		return nil, &UnfitError{Path: k.Path, Release: k.Release, Lacks: []string{requirements[0].what}}
	}
	f, err := os.Open(k.extracted)
	if err != nil {
		return nil, fmt.Errorf("reading the BTF of kernel %s: %w", k.Release, err)
	}
	defer f.Close()
	data := make([]byte, at.Size)
	if _, err := f.ReadAt(data, at.Offset); err != nil {
		return nil, fmt.Errorf("reading the BTF of kernel %s from %s: %w", k.Release, k.extracted, err)
	}
	return data, nil
}
