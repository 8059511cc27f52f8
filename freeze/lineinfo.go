package freeze

import (
	"bytes"
	"fmt"
	"slices"

	ebtf "github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/freeze/internal/kmem"
)

// lineLayout is where the kernel keeps which line of source an instruction of a BPF program is
// of: struct bpf_prog_aux has an array of struct bpf_line_info, and one of the addresses at which the
// code for each begins (kernel/bpf/core.c, bpf_prog_fill_jited_linfo). Functions of one
// program share both.
type lineLayout struct {
	ok              bool
	ksym            int // offset of bpf_prog_aux.ksym
	isProgram       kmem.Field
	infos, jited, n kmem.Field // of bpf_prog_aux
	btf             kmem.Field
	strings         kmem.Field // of struct btf
	file, text, at  kmem.Field // of bpf_line_info
	size            int        // of that
}

// newLineLayout returns the zero layout for a kernel that keeps lines in a way that is not
// known here: no code has a line then.
func newLineLayout(kernel *ebtf.Spec) (l lineLayout) {
	ok := true
	field := func(of, path string, size int) kmem.Field {
		m, err := btf.Find(kernel, of, path)
		ok = ok && err == nil && m.Size == size
		return kmem.Field{Offset: m.Offset, Size: size}
	}
	const aux, info = "bpf_prog_aux", "bpf_line_info"
	ksym, err := btf.Find(kernel, aux, "ksym")
	l = lineLayout{
		ksym:      ksym.Offset,
		isProgram: field("bpf_ksym", "prog", 1),
		infos:     field(aux, "linfo", 8), jited: field(aux, "jited_linfo", 8), n: field(aux, "nr_linfo", 4),
		btf:     field(aux, "btf", 8),
		strings: field("btf", "strings", 8),
		file:    field(info, "file_name_off", 4), text: field(info, "line_off", 4), at: field(info, "line_col", 4),
	}
	l.size = l.at.Offset + l.at.Size // its last member, in the ABI
	l.ok = ok && err == nil
	return l
}

// maxLines bounds the lines of a program. A million instructions is the most that the verifier takes.
const maxLines = 1 << 20

// lineRange is code of a function up to an instruction.
type lineRange struct{ start, addr uint64 }

// find completes a function with the line of an instruction, if there is one.
func (l *lineLayout) find(mem *kmem.Space, ksym kmem.Addr, f *Function, code lineRange) error {
	if !l.ok {
		return nil
	}
	if isProgram, err := mem.Fetch(ksym, l.isProgram); err != nil || isProgram == 0 {
		return err
	}
	aux := ksym - kmem.Addr(l.ksym)
	infos, err1 := mem.Fetch(aux, l.infos)
	jited, err2 := mem.Fetch(aux, l.jited)
	n, err3 := mem.Fetch(aux, l.n)
	types, err4 := mem.Fetch(aux, l.btf)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return fmt.Errorf("read the lines of %s: %w", f.Name, err)
		}
	}
	if infos == 0 || jited == 0 || types == 0 || n == 0 || n > maxLines {
		return nil
	}
	before, err := l.search(mem, kmem.Addr(jited), int(n), code)
	if err == nil && len(before) > 0 {
		err = f.place(before, func(i int) (SourceLine, error) {
			return l.read(mem, kmem.Addr(infos)+kmem.Addr(i*l.size), kmem.Addr(types))
		})
	}
	if err != nil {
		return fmt.Errorf("read the lines of %s: %w", f.Name, err)
	}
	return nil
}

// place takes the line of an instruction, which is the last of those that begin before it, in the order of
// their code. If it is in another file than the function begins in, as macros and inlined functions of
// headers are (WRITE_ONCE of scx/common.bpf.h), it was reached from the last one in the function's file, or from a line near it.
func (f *Function) place(before []int, read func(i int) (SourceLine, error)) error {
	own, err := read(before[0])
	if err != nil {
		return err
	}
	innermost := true
	for _, i := range slices.Backward(before) {
		at, err := read(i)
		if err != nil {
			return err
		}
		if at.File == own.File {
			f.File, f.Line, f.Text = at.File, at.Line, at.Text
			return nil
		}
		if innermost {
			f.Inlined, innermost = at, false
		}
	}
	return nil
}

// search returns the lines of a function whose code begins before an instruction or at it, in the order of their code.
func (l *lineLayout) search(mem *kmem.Space, jited kmem.Addr, n int, code lineRange) (before []int, err error) {
	const pointer = 8
	begins := kmem.Field{Size: pointer}
	last, i := code.start, 0
	err = mem.Records(jited, uint64(n), pointer, func(record []byte) error {
		if at := begins.Uint(record); at >= last && at <= code.addr {
			last, before = at, append(before, i)
		}
		i++
		return nil
	})
	return before, err
}

// read reads a struct bpf_line_info.
func (l *lineLayout) read(mem *kmem.Space, info, types kmem.Addr) (line SourceLine, err error) {
	file, err1 := mem.Fetch(info, l.file)
	text, err2 := mem.Fetch(info, l.text)
	at, err3 := mem.Fetch(info, l.at)
	strings, err4 := mem.Fetch(types, l.strings)
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return SourceLine{}, err
		}
	}
	const columnBits = 10 // BPF_LINE_INFO_LINE_NUM, include/uapi/linux/bpf.h
	line.Line = int(at >> columnBits)
	if line.File, err = readText(mem, kmem.Addr(strings+file)); err != nil {
		return SourceLine{}, err
	}
	line.Text, err = readText(mem, kmem.Addr(strings+text))
	line.Text = string(bytes.TrimSpace([]byte(line.Text)))
	return line, err
}

// maxText bounds the text of a line, in bytes.
const maxText = 4096

// readText reads a string that ends with a zero byte.
func readText(mem *kmem.Space, at kmem.Addr) (string, error) {
	var text []byte
	for len(text) < maxText {
		piece := make([]byte, 64-int(at)%64) // which is in one page
		if err := mem.Read(at, piece); err != nil {
			return "", err
		}
		if end := bytes.IndexByte(piece, 0); end >= 0 {
			return string(append(text, piece[:end]...)), nil
		}
		text, at = append(text, piece...), at+kmem.Addr(len(piece))
	}
	return string(text), nil
}
