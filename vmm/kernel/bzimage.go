package kernel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// This file reads the header of an x86 boot image
// (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"). An image is
// a boot sector and setup code of 512-byte sectors, then the protected-mode
// kernel, which holds the compressed vmlinux:
//
//	0        0x1f1  header  (setup_sects+1)*512     +payload_offset
//	| sector | ...          | decompressor          | payload  u32 size |
const (
	bootSector      = 512
	headerEnd       = 0x268
	offSetupSects   = 0x1f1 // u8, 0 means 4
	offSysSize      = 0x1f4 // u32, 16-byte units of protected-mode code
	offBootFlag     = 0x1fe // u16
	offMagic        = 0x202 // "HdrS"
	offProtocol     = 0x206 // u16
	offVersion      = 0x20e // u16, of a string, less 0x200
	offLoadFlags    = 0x211 // u8
	offXLoadFlags   = 0x236 // u16
	offPayload      = 0x248 // u32, from the protected-mode code
	offPayloadSize  = 0x24c // u32
	bootFlag        = 0xaa55
	setupMagic      = "HdrS"
	payloadProtocol = 0x208 // first with payload_offset
	loadedHigh      = 1 << 0
	has64Bit        = 1 << 0 // XLF_KERNEL_64
	maxVersion      = 512    // bytes of the version string
)

// bootImage is what the header of a bzImage says.
type bootImage struct {
	release string // first word of the version string: "7.3.4-cloud-amd64 (builder) #1 SMP ..."
	payload extent // of the compressed vmlinux, with its trailing size
}

// extent is a range of bytes in a file.
type extent struct{ Offset, Size int64 }

func (e extent) end() int64 { return e.Offset + e.Size }

// isBootImage says whether a file begins as an x86 boot image does.
func isBootImage(r io.ReaderAt) bool {
	var magic [4]byte
	_, err := r.ReadAt(magic[:], offMagic)
	return err == nil && string(magic[:]) == setupMagic
}

// readBootImage reads the header of an image of size bytes. The error is a
// [*FormatError] without a path.
func readBootImage(r io.ReaderAt, size int64) (bootImage, error) {
	header := make([]byte, headerEnd)
	if n, err := r.ReadAt(header, 0); n < headerEnd {
		return bootImage{}, &FormatError{Offset: int64(n), Rule: fmt.Sprintf("the file ends in the setup header, which has %#x bytes", headerEnd), Err: notEOF(err)}
	}
	if err := checkBootHeader(header); err != nil {
		return bootImage{}, err
	}
	sectors := int64(header[offSetupSects])
	if sectors == 0 {
		sectors = 4
	}
	setup := (sectors + 1) * bootSector
	code := extent{setup, int64(binary.LittleEndian.Uint32(header[offSysSize:])) * 16}
	if code.end() > size+15 { // the last unit can be incomplete
		return bootImage{}, &FormatError{Offset: size, Rule: fmt.Sprintf("the file is cut short: setup_sects and syssize promise %d bytes", code.end())}
	}
	payload := extent{
		Offset: setup + int64(binary.LittleEndian.Uint32(header[offPayload:])),
		Size:   int64(binary.LittleEndian.Uint32(header[offPayloadSize:])),
	}
	if payload.Size < 4 || payload.end() > min(code.end(), size) {
		return bootImage{}, &FormatError{Offset: offPayload, Rule: fmt.Sprintf("the payload, %d bytes at %#x, is not inside of the image", payload.Size, payload.Offset)}
	}
	release, err := readVersion(r, int64(binary.LittleEndian.Uint16(header[offVersion:])), setup)
	if err != nil {
		return bootImage{}, err
	}
	return bootImage{release: release, payload: payload}, nil
}

func checkBootHeader(header []byte) error {
	u16 := func(offset int) uint16 { return binary.LittleEndian.Uint16(header[offset:]) }
	switch {
	case u16(offBootFlag) != bootFlag:
		return &FormatError{Offset: offBootFlag, Rule: fmt.Sprintf("boot_flag is %#x instead of %#x", u16(offBootFlag), bootFlag)}
	case string(header[offMagic:offMagic+4]) != setupMagic:
		return &FormatError{Offset: offMagic, Rule: fmt.Sprintf("the setup header's magic is %q instead of %q", header[offMagic:offMagic+4], setupMagic)}
	case u16(offProtocol) < payloadProtocol:
		return &FormatError{Offset: offProtocol, Rule: fmt.Sprintf("boot protocol %#x is older than %#x, the first that says where the kernel is", u16(offProtocol), payloadProtocol)}
	case header[offLoadFlags]&loadedHigh == 0:
		return &FormatError{Offset: offLoadFlags, Rule: "it is a zImage, which no current kernel is"}
	case u16(offXLoadFlags)&has64Bit == 0:
		return &FormatError{Offset: offXLoadFlags, Rule: "it is not an x86-64 kernel (no XLF_KERNEL_64)"}
	}
	return nil
}

// readVersion reads the release from the version string, whose position is that
// given plus 0x200 and which lies in the setup code.
func readVersion(r io.ReaderAt, position, setup int64) (string, error) {
	if position == 0 {
		return "", &FormatError{Offset: offVersion, Rule: "it names no kernel version"}
	}
	start := position + 0x200
	if start >= setup {
		return "", &FormatError{Offset: offVersion, Rule: fmt.Sprintf("the version string at %#x is not inside of the setup code", start)}
	}
	text := make([]byte, min(maxVersion, setup-start))
	if _, err := r.ReadAt(text, start); err != nil {
		return "", &FormatError{Offset: start, Rule: "the version string cannot be read", Err: err}
	}
	version, _, terminated := bytes.Cut(text, []byte{0})
	if !terminated {
		return "", &FormatError{Offset: start, Rule: "the version string has no end"}
	}
	release, err := firstWord(string(version))
	if err != nil {
		return "", &FormatError{Offset: start, Rule: "the version string", Err: err}
	}
	return release, nil
}

// notEOF drops the error that only says what the rule says.
func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
