// Package kernel finds, fetches and prepares kernels to boot.
//
// For contributors.
//
// [Find] chooses among the kernels of this machine, [Fetch] downloads one, and [Open] takes
// a file. Each returns a [Kernel]: the image as it was found, and the uncompressed ELF file
// in it, which boots faster and has the kernel's BTF. That file is extracted once, into the
// cache.
//
// The package reads x86-64 images. It runs, installs and changes nothing outside the
// cache.
package kernel
