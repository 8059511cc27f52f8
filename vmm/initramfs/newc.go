package initramfs

import (
	"fmt"
	"io"
	"math"
)

// This file writes the "newc" cpio format
// (Documentation/driver-api/early-userspace/buffer-format.rst): per entry a
// header of 13 hexadecimal fields, the name with its NUL, and the content,
// each padded to 4 bytes; an entry of a reserved name ends the archive.

const (
	newcMagic   = "070701"
	trailerName = "TRAILER!!!"
)

type newcHeader struct {
	inode  uint32
	mode   uint32 // st_mode
	links  uint32
	size   int64 // bytes of content
	device device
}

// newcWriter writes an archive and counts its bytes.
type newcWriter struct {
	w       io.Writer
	written int64
}

func (a *newcWriter) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	a.written += int64(n)
	return n, err
}

// write adds an entry whose content must have header.size bytes.
func (a *newcWriter) write(name string, header newcHeader, content io.Reader) error {
	if header.size > math.MaxUint32 {
		return fmt.Errorf("it has %d bytes, and a file in a cpio archive at most %d: divide it", header.size, uint32(math.MaxUint32))
	}
	if err := a.writeHeader(name, header); err != nil {
		return err
	}
	n, err := io.Copy(a, io.LimitReader(content, header.size))
	if err != nil {
		return err
	}
	if n != header.size {
		return fmt.Errorf("the file shrank from %d to %d bytes while it was read: write it before it is packed", header.size, n)
	}
	return a.pad()
}

func (a *newcWriter) writeHeader(name string, h newcHeader) error {
	const uid, gid, mtime, onMajor, onMinor, check = 0, 0, 0, 0, 0, 0
	_, err := fmt.Fprintf(a, "%s%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		newcMagic, h.inode, h.mode, uid, gid, h.links, mtime, h.size,
		onMajor, onMinor, h.device.major, h.device.minor, len(name)+1, check, name)
	if err != nil {
		return err
	}
	return a.pad()
}

func (a *newcWriter) pad() error {
	_, err := a.Write(make([]byte, -a.written&3))
	return err
}

func (a *newcWriter) close() error {
	return a.writeHeader(trailerName, newcHeader{links: 1})
}
