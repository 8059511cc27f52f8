package initramfs

import (
	"debug/elf"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLoaderCacheOfThisMachineLeadsToFiles(t *testing.T) {
	image, err := os.ReadFile("/etc/ld.so.cache")
	if err != nil {
		t.Skip("this machine's loader has no cache")
	}
	paths, err := parseLoaderCache(image, elf.EM_X86_64)
	require.NoError(t, err)
	require.NotEmpty(t, paths["libc.so.6"])
	for _, path := range paths["libc.so.6"] {
		require.FileExists(t, path)
	}
}

func TestLoaderCacheRefusesWhatCannotBe(t *testing.T) {
	header := func(count string) string {
		return cacheMagic + count + "\x10\x00\x00\x00\x02" + string(make([]byte, 19))
	}
	tests := []struct{ name, image, want string }{
		{"another file", "hello", "no \"glibc"},
		{"only magic", cacheMagic, "ends in its header"},
		{"more entries than bytes", header("\xff\xff\xff\xff"), "cannot have 4294967295 entries"},
		{"a string outside", header("\x01\x00\x00\x00") + "\x03\x03\x00\x00\xff\xff\x00\x00" + string(make([]byte, 16)), "string outside"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseLoaderCache([]byte(test.image), elf.EM_X86_64)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func FuzzLoaderCache(f *testing.F) {
	if image, err := os.ReadFile("/etc/ld.so.cache"); err == nil {
		f.Add(image)
	}
	f.Add([]byte(cacheMagic))
	f.Fuzz(func(t *testing.T, image []byte) {
		paths, err := parseLoaderCache(image, elf.EM_X86_64)
		if err != nil && paths != nil {
			t.Fatal("paths of a cache that is refused")
		}
	})
}

func FuzzReadObject(f *testing.F) {
	if self, err := os.ReadFile("/bin/true"); err == nil {
		f.Add(self)
	}
	f.Add([]byte("#!/bin/sh"))
	path := f.TempDir() + "/object"
	f.Fuzz(func(t *testing.T, image []byte) {
		if err := os.WriteFile(path, image, 0o644); err != nil {
			t.Fatal(err)
		}
		if o, err := readObject(File{Guest: "/o", Host: path}); err == nil && o == nil {
			t.Fatal("neither object nor error")
		}
	})
}
