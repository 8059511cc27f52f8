// Package deb reads the files of a Debian binary package (deb(5)) without
// installing anything.
package deb

import (
	"archive/tar"
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

// ErrFormat is wrapped by the error for a file that is no whole Debian package.
var ErrFormat = errors.New("not a whole Debian package")

func formatError(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrFormat}, args...)...)
}

// Bounds of what is read. Kernel packages with modules have some 5000 files
// and 500 MB.
const (
	maxMembers  = 16
	maxFiles    = 1 << 20
	maxContent  = 8 << 30 // bytes, uncompressed
	zstdHistory = 128 << 20
)

// Walk calls visit for each regular file of the package, in order, with a clean
// path relative to the root. An error of visit ends the walk and is returned.
func Walk(r io.Reader, visit func(name string, size int64, content io.Reader) error) error {
	data, err := openData(bufio.NewReader(r))
	if err != nil {
		return err
	}
	defer data.close()
	files := tar.NewReader(io.LimitReader(data, maxContent))
	for range maxFiles {
		header, err := files.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return formatError("reading its files: %w", err)
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		name, err := cleanName(header.Name)
		if err != nil {
			return err
		}
		if err := visit(name, header.Size, files); err != nil {
			return err
		}
	}
	return formatError("it has more than %d files", maxFiles)
}

// cleanName refuses names that lead out of the root.
func cleanName(name string) (string, error) {
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", formatError("a file is named %q", name)
		}
	}
	return strings.TrimPrefix(path.Clean("/"+name), "/"), nil
}

// An ar archive is a magic line and members: a header of 60 bytes of text (name
// 16, date 12, owner 6, group 6, mode 8, size 10, "`\n"), the content, padded
// to 2 bytes.
const (
	arMagic   = "!<arch>\n"
	arHeader  = 60
	arNameEnd = 16
	arSize    = 48 // to 58
	arEnd     = "`\n"
)

// openData finds the member data.tar and decompresses it.
func openData(r *bufio.Reader) (*data, error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return nil, formatError("it does not begin with %q", arMagic)
	}
	for range maxMembers {
		name, size, err := readMember(r)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(name, "data.tar") {
			return decompress(name, io.LimitReader(r, size))
		}
		if _, err := io.CopyN(io.Discard, r, size+size&1); err != nil {
			return nil, formatError("member %s: %w", name, io.ErrUnexpectedEOF)
		}
	}
	return nil, formatError("none of its first %d members is data.tar", maxMembers)
}

func readMember(r io.Reader) (name string, size int64, err error) {
	header := make([]byte, arHeader)
	if _, err := io.ReadFull(r, header); err != nil {
		return "", 0, formatError("it has no member data.tar")
	}
	if string(header[arHeader-len(arEnd):]) != arEnd {
		return "", 0, formatError("a member's header ends in %q", header[arHeader-len(arEnd):])
	}
	name = strings.TrimRight(string(header[:arNameEnd]), " /")
	size, err = strconv.ParseInt(strings.TrimRight(string(header[arSize:arHeader-len(arEnd)]), " "), 10, 64)
	if err != nil || size < 0 {
		return "", 0, formatError("member %q has no size", name)
	}
	return name, size, nil
}

// data is the decompressed data.tar.
type data struct {
	io.Reader
	close func()
}

// decompress opens a member whose name ends in its compression.
func decompress(name string, r io.Reader) (*data, error) {
	opened := func(content io.Reader, err error) (*data, error) {
		if err != nil {
			return nil, formatError("member %s: %w", name, err)
		}
		return &data{content, func() {}}, nil
	}
	switch path.Ext(name) {
	case ".tar":
		return opened(r, nil)
	case ".gz":
		return opened(gzip.NewReader(r))
	case ".xz":
		return opened(xz.NewReader(r, xz.DefaultDictMax))
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(zstdHistory), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, formatError("member %s: %w", name, err)
		}
		return &data{z, z.Close}, nil
	}
	return nil, formatError("member %s has a compression that is not gz, xz or zst", name)
}
