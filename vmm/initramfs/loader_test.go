package initramfs

import (
	"bytes"
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
	f.Fuzz(func(t *testing.T, image []byte) {
		o, err := parseObject(File{Guest: "/o", Host: "/o"}, bytes.NewReader(image))
		if (err == nil) == (o == nil) {
			t.Fatalf("object %v, error %v", o, err)
		}
	})
}

func TestALibraryOnlyInTheLoadersCacheBringsTheCache(t *testing.T) {
	program, err := readObject(File{Guest: "/bin/p", Host: "/bin/ls"})
	if err != nil || len(program.needed) == 0 {
		t.Skipf("no dynamically linked /bin/ls: %v", err)
	}
	s := newSearch(program)
	elsewhere := t.TempDir() + "/libelsewhere.so"
	require.NotEmpty(t, s.rules.cache["libc.so.6"])
	require.NoError(t, os.Symlink(s.rules.cache["libc.so.6"][0], elsewhere))
	s.rules.cache = map[string][]string{program.needed[0]: {"/gone", elsewhere}}

	files, err := s.closure(program)
	require.NoError(t, err)
	require.Contains(t, files, File{Guest: elsewhere, Host: elsewhere})
	require.Equal(t, "/etc/ld.so.cache", files[len(files)-1].Guest)
}
