package kernel

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/ktgen/ktgen/vmm/kernel/internal/payload"
)

// maxVmlinux bounds, in bytes, what a boot image may decompress to. Kernels of
// distributions have 60 to 100 MB.
const maxVmlinux = 512 << 20

// extract writes the vmlinux that image holds to the file at target. The error
// is a [*FormatError] without a path when the image is at fault.
func extract(image io.ReaderAt, at extent, target string) error {
	packed, err := payload.Open(io.NewSectionReader(image, at.Offset, at.Size))
	if err != nil {
		return &FormatError{Offset: at.Offset, Rule: "the payload cannot be decompressed", Err: err}
	}
	if closer, ok := packed.Reader.(interface{ Close() }); ok {
		defer closer.Close()
	}
	if packed.Size == 0 || packed.Size > maxVmlinux {
		return &FormatError{Offset: at.end() - 4, Rule: fmt.Sprintf("the payload claims to be %d bytes uncompressed, at most %d are allowed", packed.Size, maxVmlinux)}
	}
	out, err := os.Create(target)
	if err != nil {
		return err
	}
	sink := &sinkWriter{w: out}
	n, err := copyAll(sink, packed, packed.Size)
	if err := errors.Join(sink.err, out.Close()); err != nil {
		return err
	}
	if err != nil {
		return &FormatError{Offset: at.Offset, Rule: fmt.Sprintf("the %s payload fails after %d of %d bytes", packed.Format, n, packed.Size), Err: err}
	}
	return nil
}

// sinkWriter remembers that writing failed, which is not the image's fault.
type sinkWriter struct {
	w   io.Writer
	err error
}

func (s *sinkWriter) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		s.err = err
	}
	return n, err
}

// copyAll copies r, which must have size bytes, to its end: that is where a
// decompressor verifies what it gave.
func copyAll(w io.Writer, r io.Reader, size int64) (int64, error) {
	n, err := io.Copy(w, io.LimitReader(r, size))
	if err != nil {
		return n, err
	}
	if n < size {
		return n, io.ErrUnexpectedEOF
	}
	var more [1]byte
	extra, err := io.ReadFull(r, more[:])
	if extra > 0 {
		return n, errors.New("there is more than the image says")
	}
	if err != io.EOF {
		return n, err
	}
	return n, nil
}
