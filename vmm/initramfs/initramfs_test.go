package initramfs_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cavaliergopher/cpio"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/initramfs"
)

func TestArchiveHoldsWhatWasPacked(t *testing.T) {
	host := write(t, "tool", "#!/bin/sh\n", 0o700)
	b := initramfs.New()
	require.NoError(t, b.File("/bin/tool", host))
	require.NoError(t, b.Bytes("/etc/motd", []byte("hi"), 0o600))
	require.NoError(t, b.Symlink("/init", "bin/tool"))
	require.NoError(t, b.Directory("/proc"))

	require.Equal(t, []archived{
		{name: "bin", mode: 0o040755},
		{name: "bin/tool", mode: 0o100755, content: "#!/bin/sh\n"},
		{name: "dev", mode: 0o040755},
		{name: "dev/console", mode: 0o020600},
		{name: "dev/null", mode: 0o020666},
		{name: "etc", mode: 0o040755},
		{name: "etc/motd", mode: 0o100644, content: "hi"},
		{name: "init", mode: 0o120777, content: "bin/tool"},
		{name: "proc", mode: 0o040755},
	}, unpack(t, archive(t, b)))
}

func TestArchiveIsTheSameBytesForTheSameContent(t *testing.T) {
	build := func(names ...string) []byte {
		host := write(t, "tool", "tool", 0o755)
		when := time.Unix(int64(len(names[0])), 0)
		require.NoError(t, os.Chtimes(host, when, when))
		b := initramfs.New()
		for _, name := range names {
			require.NoError(t, b.File(name, host))
		}
		return archive(t, b)
	}
	require.Equal(t, build("/a", "/b/longer", "/c"), build("/b/longer", "/c", "/a"))
	require.NotEqual(t, build("/a"), build("/b"))
}

func TestArchiveCanBeWrittenTwice(t *testing.T) {
	b := initramfs.New()
	require.NoError(t, b.File("/init", write(t, "init", "x", 0o755)))
	require.Equal(t, archive(t, b), archive(t, b))
}

func TestArchivePadsEveryLengthToFourBytes(t *testing.T) {
	b := initramfs.New()
	for _, name := range []string{"/f", "/fo", "/foo", "/foos", "/foods"} {
		require.NoError(t, b.Bytes(name, []byte(name), 0o644))
	}
	image := archive(t, b)
	require.Zero(t, len(image)%4)
	for _, file := range unpack(t, image) {
		if file.mode&0o100000 != 0 {
			require.Equal(t, "/"+file.name, file.content)
		}
	}
}

func TestPackingRefuses(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name string
		pack func(b *initramfs.Builder) error
		want string
	}{
		{"a relative guest path", func(b *initramfs.Builder) error { return b.Bytes("init", nil, 0) }, "must be absolute"},
		{"the root", func(b *initramfs.Builder) error { return b.Directory("/..") }, "not a path that an archive can hold"},
		{"NUL in a name", func(b *initramfs.Builder) error { return b.Directory("/a\x00b") }, "not a path that an archive can hold"},
		{"the trailer's name", func(b *initramfs.Builder) error { return b.Directory("/TRAILER!!!") }, "ends a cpio archive"},
		{"a missing file", func(b *initramfs.Builder) error { return b.File("/f", dir+"/gone") }, "packing /f"},
		{"a directory as file", func(b *initramfs.Builder) error { return b.File("/f", dir) }, "not a regular file"},
		{"an empty link", func(b *initramfs.Builder) error { return b.Symlink("/f", "") }, "needs a target"},
		{"two files at one path", func(b *initramfs.Builder) error {
			require.NoError(t, b.Bytes("/f", []byte("1"), 0))
			return b.Bytes("/f", []byte("22"), 0)
		}, "something else is packed there (a file of 1 bytes)"},
		{"a file below a file", func(b *initramfs.Builder) error {
			require.NoError(t, b.Bytes("/f", []byte("1"), 0))
			return b.Bytes("/f/g", nil, 0)
		}, "/f is not a directory"},
		{"a file in the place of a directory", func(b *initramfs.Builder) error {
			return b.Bytes("/dev", nil, 0)
		}, "a directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.ErrorContains(t, test.pack(initramfs.New()), test.want)
		})
	}
}

func TestPackingTheSameTwiceIsFine(t *testing.T) {
	b := initramfs.New()
	host := write(t, "f", "x", 0o644)
	require.NoError(t, b.File("/f", host))
	require.NoError(t, b.File("/f", host))
	require.NoError(t, b.Directory("/d"))
	require.NoError(t, b.Bytes("/d/f", nil, 0o644))
}

func TestWritingFailsForAFileThatIsGone(t *testing.T) {
	host := write(t, "f", "x", 0o644)
	b := initramfs.New()
	require.NoError(t, b.File("/f", host))
	require.NoError(t, os.Remove(host))
	_, err := b.WriteTo(io.Discard)
	require.ErrorContains(t, err, "packing /f")
}

// archived is an entry as an independent reader sees it.
type archived struct {
	name    string
	mode    uint32
	content string
}

func archive(t *testing.T, b *initramfs.Builder) []byte {
	t.Helper()
	var buf bytes.Buffer
	n, err := b.WriteTo(&buf)
	require.NoError(t, err)
	require.EqualValues(t, buf.Len(), n)
	return buf.Bytes()
}

func unpack(t *testing.T, image []byte) []archived {
	t.Helper()
	var all []archived
	r := cpio.NewReader(bytes.NewReader(image))
	for {
		header, err := r.Next()
		if err == io.EOF {
			return all
		}
		require.NoError(t, err)
		require.Zero(t, header.Uid+header.Guid)
		require.Zero(t, header.ModTime.Unix())
		content, err := io.ReadAll(r)
		require.NoError(t, err)
		entry := archived{name: header.Name, mode: uint32(header.Mode), content: string(content)}
		if header.Linkname != "" {
			entry.content = header.Linkname
		}
		all = append(all, entry)
	}
}

func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), mode))
	return path
}
