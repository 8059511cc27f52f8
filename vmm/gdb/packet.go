package gdb

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// This file is the framing of packets, "$data#checksum", and the meaning of
// stop replies.

// maxPacket bounds a packet, in bytes. QEMU's are 4 KiB at most
// (MAX_PACKET_LENGTH, gdbstub/internals.h).
const maxPacket = 64 << 10

// ErrProtocol is what bytes that are no packet fail with.
var ErrProtocol = errors.New("not the GDB remote protocol")

// frame returns data as a packet. It must not hold '$', '#', '}' or '*'.
func frame(data string) []byte {
	var sum byte
	for i := range len(data) {
		sum += data[i]
	}
	return fmt.Appendf(nil, "$%s#%02x", data, sum)
}

// readPacket returns the data of the next packet. Acknowledgements before it
// are passed over. Run-length encoding and escapes are undone.
func readPacket(r *bufio.Reader) (string, error) {
	for {
		c, err := r.ReadByte()
		if err != nil {
			return "", err
		}
		switch c {
		case '+':
		case '$':
			return readData(r)
		default:
			return "", fmt.Errorf("%w: a packet begins with %q", ErrProtocol, c)
		}
	}
}

func readData(r *bufio.Reader) (string, error) {
	raw, err := readUntil(r, '#')
	if err != nil {
		return "", err
	}
	var digits [2]byte
	if _, err := io.ReadFull(r, digits[:]); err != nil {
		return "", unexpected(err)
	}
	var sum byte
	for _, c := range raw {
		sum += c
	}
	want, err := strconv.ParseUint(string(digits[:]), 16, 8)
	if err != nil || byte(want) != sum {
		return "", fmt.Errorf("%w: the checksum of %.80q is %q, not %02x", ErrProtocol, raw, digits, sum)
	}
	return expand(raw)
}

// readUntil reads what is before end. Neither escapes nor runs hold '#' (D.1
// Overview of GDB's remote protocol).
func readUntil(r *bufio.Reader, end byte) (raw []byte, err error) {
	for len(raw) <= maxPacket {
		c, err := r.ReadByte()
		switch {
		case err != nil:
			return nil, unexpected(err)
		case c == end:
			return raw, nil
		}
		raw = append(raw, c)
	}
	return nil, fmt.Errorf("%w: a packet of more than %d bytes", ErrProtocol, maxPacket)
}

// expand undoes escapes and runs.
func expand(raw []byte) (string, error) {
	var data []byte
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '}' && c != '*' {
			data = append(data, c)
			continue
		}
		if i++; i == len(raw) {
			return "", fmt.Errorf("%w: a packet ends with %q", ErrProtocol, c)
		}
		switch {
		case c == '}':
			data = append(data, raw[i]^0x20)
			continue
		case len(data) == 0 || raw[i] < ' ' || raw[i] > '~':
			return "", fmt.Errorf("%w: a run of %q", ErrProtocol, raw[i])
		}
		data = append(data, bytes.Repeat(data[len(data)-1:], int(raw[i])-29)...)
		if len(data) > maxPacket {
			return "", fmt.Errorf("%w: a packet of more than %d bytes", ErrProtocol, maxPacket)
		}
	}
	return string(data), nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Stop is why the guest stands still.
type Stop struct {
	Signal uint8  // 5 (SIGTRAP) for watchpoints
	Thread int    // vCPU, from 1; 0 if not told
	Watch  uint64 // address that was written; 0 if it is no watchpoint
}

// isStop reports whether a packet tells of a stop, and is no reply to a command
// other than c.
func isStop(packet string) bool {
	return packet != "" && strings.ContainsRune("STWX", rune(packet[0]))
}

// parseStop parses "S02" or "T05thread:02;watch:ffffffff83207a00;". What it
// does not know is passed over.
func parseStop(packet string) (Stop, error) {
	bad := func(err error) (Stop, error) {
		return Stop{}, fmt.Errorf("%w: stop reply %.80q: %w", ErrProtocol, packet, err)
	}
	if len(packet) < 3 {
		return bad(io.ErrUnexpectedEOF)
	}
	signal, err := strconv.ParseUint(packet[1:3], 16, 8)
	if err != nil {
		return bad(err)
	}
	stop := Stop{Signal: uint8(signal)}
	if packet[0] != 'T' {
		return stop, nil
	}
	for pair := range strings.SplitSeq(packet[3:], ";") {
		name, value, _ := strings.Cut(pair, ":")
		switch name {
		case "thread":
			// "p01.02" is process 1, thread 2.
			if _, thread, ok := strings.Cut(value, "."); ok {
				value = thread
			}
			thread, err := strconv.ParseUint(value, 16, 16)
			if err != nil {
				return bad(err)
			}
			stop.Thread = int(thread)
		case "watch", "awatch":
			if stop.Watch, err = strconv.ParseUint(value, 16, 64); err != nil {
				return bad(err)
			}
		}
	}
	return stop, nil
}
