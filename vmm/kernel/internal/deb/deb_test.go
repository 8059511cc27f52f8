package deb_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel/internal/deb"
)

func TestWalkReadsWhatDpkgDebBuilds(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip(err)
	}
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "usr/lib/modules/7.3"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "usr/lib/modules/7.3/vmlinuz"), bytes.Repeat([]byte("kernel"), 10_000), 0o644))
	require.NoError(t, os.Symlink("7.3", filepath.Join(root, "usr/lib/modules/link")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "DEBIAN"), 0o755))
	control := "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m <m@m>\nDescription: d\n"
	require.NoError(t, os.WriteFile(filepath.Join(root, "DEBIAN/control"), []byte(control), 0o644))
	for _, compression := range []string{"none", "gzip", "xz", "zstd"} {
		t.Run(compression, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "p.deb")
			out, err := exec.Command("dpkg-deb", "--build", "-Z"+compression, root, path).CombinedOutput()
			require.NoError(t, err, string(out))
			packed, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Equal(t, map[string]int{"usr/lib/modules/7.3/vmlinuz": 60_000}, walk(t, packed))
		})
	}
}

func TestWalkReadsWhatIsPackedByHand(t *testing.T) {
	packed := archive(member("debian-binary", []byte("2.0\n")), member("odd", []byte("x")), member("data.tar", files(t, "./usr/lib/f", "/abs")))
	require.Equal(t, map[string]int{"usr/lib/f": 4, "abs": 4}, walk(t, packed))
}

func TestWalkRefuses(t *testing.T) {
	whole := archive(member("data.tar.gz", gzipped(t, files(t, "f"))))
	tests := []struct {
		name   string
		packed []byte
		want   string
	}{
		{"nothing", nil, "does not begin with"},
		{"another file", []byte("#!/bin/sh\nexit 0\n"), "does not begin with"},
		{"no data", archive(member("debian-binary", []byte("2.0\n"))), "no member data.tar"},
		{"a member cut short", archive(member("control.tar", make([]byte, 100)))[:90], "unexpected EOF"},
		{"data cut short", whole[:len(whole)-20], "reading its files"},
		{"another compression", archive(member("data.tar.lzo", nil)), "not gz, xz or zst"},
		{"a corrupt compression", archive(member("data.tar.gz", []byte("garbage!"))), "member data.tar.gz"},
		{"a size that is no number", []byte(arMagicAnd(fmt.Sprintf("%-48s%-10s`\n", "data.tar", "many"))), "has no size"},
		{"a negative size", []byte(arMagicAnd(fmt.Sprintf("%-48s%-10s`\n", "data.tar", "-1"))), "has no size"},
		{"a header without end", []byte(arMagicAnd(fmt.Sprintf("%-60s", "data.tar"))), "header ends in"},
		{"a name that leads out", archive(member("data.tar", files(t, "usr/../../etc/passwd"))), "is named"},
		{"endless members", archive(bytes.Repeat(member("x", nil), 100)), "none of its first 16"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := deb.Walk(bytes.NewReader(test.packed), func(string, int64, io.Reader) error { return nil })
			require.ErrorIs(t, err, deb.ErrFormat)
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestWalkEndsWithTheVisitorsError(t *testing.T) {
	enough := errors.New("enough")
	packed := archive(member("data.tar.zst", zstandard(t, files(t, "a", "b"))))
	visited := 0
	err := deb.Walk(bytes.NewReader(packed), func(string, int64, io.Reader) error {
		visited++
		return enough
	})
	require.ErrorIs(t, err, enough)
	require.Equal(t, 1, visited)
}

// walk returns the sizes of all files, as read.
func walk(t *testing.T, packed []byte) map[string]int {
	t.Helper()
	sizes := map[string]int{}
	err := deb.Walk(bytes.NewReader(packed), func(name string, size int64, content io.Reader) error {
		data, err := io.ReadAll(content)
		require.EqualValues(t, size, len(data))
		sizes[name] = len(data)
		return err
	})
	require.NoError(t, err)
	return sizes
}

func arMagicAnd(rest string) string { return "!<arch>\n" + rest }

func archive(members ...[]byte) []byte {
	return []byte(arMagicAnd(string(bytes.Join(members, nil))))
}

func member(name string, content []byte) []byte {
	header := fmt.Sprintf("%-16s%-12d%-6d%-6d%-8s%-10d`\n", name, 0, 0, 0, "100644", len(content))
	padded := append([]byte(header), content...)
	if len(content)%2 == 1 {
		padded = append(padded, '\n')
	}
	return padded
}

func files(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 4, Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte("text"))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

func gzipped(t testing.TB, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(content)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func zstandard(t testing.TB, content []byte) []byte {
	t.Helper()
	enc, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	return enc.EncodeAll(content, nil)
}

func FuzzWalk(f *testing.F) {
	f.Add(archive(member("debian-binary", []byte("2.0\n")), member("data.tar", files(f, "f"))))
	f.Add(archive(member("data.tar.gz", gzipped(f, files(f, "f")))))
	f.Fuzz(func(t *testing.T, packed []byte) {
		err := deb.Walk(bytes.NewReader(packed), func(_ string, _ int64, content io.Reader) error {
			_, err := io.Copy(io.Discard, io.LimitReader(content, 1<<16))
			if err != nil {
				return deb.ErrFormat
			}
			return nil
		})
		if err != nil && !errors.Is(err, deb.ErrFormat) {
			t.Fatalf("error %v", err)
		}
	})
}
