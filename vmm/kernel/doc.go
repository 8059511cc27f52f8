// Package kernel finds, fetches and prepares kernels to boot.
//
// For contributors.
//
// [Find] chooses among what this machine has; [Fetch] downloads one where there
// is none; [Open] takes a file. Each gives a [Kernel]: the image as it was
// found, and beside it, extracted once into the cache, the uncompressed ELF
// file that boots faster and holds the kernel's BTF.
//
// The package reads x86-64 images. It never runs, installs or changes
// anything outside the cache.
package kernel
