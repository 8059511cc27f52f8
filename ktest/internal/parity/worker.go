package parity

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/ktest/internal/bpfload"
)

// Serve is the worker that loads with package bpfload. For each line, the path of
// an object, it answers "ok", or "failed" and the reason, and keeps the object loaded
// until the line "close". Before that "attach" has it attach each program and let go
// of it at once; the answer lists "attached", "left" or "failed" and the program's name
// behind it. testdata/libbpf.c is the other worker.
func Serve(in io.Reader, out io.Writer) error {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return err
	}
	var coll *bpfload.Collection
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var answer string
		switch line := lines.Text(); line {
		case "attach":
			answer = attached(coll)
		case "close":
			if coll != nil {
				coll.Close()
			}
			answer = "closed"
		default:
			answer = "ok"
			if coll, err = load(kernel, line); err != nil {
				answer = "failed " + strings.Join(strings.Fields(err.Error()), " ")
			}
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

// attached says which programs can be attached.
func attached(coll *bpfload.Collection) string {
	var all strings.Builder
	for name, p := range coll.Programs {
		if p.Type() == ebpf.StructOps {
			continue
		}
		verdict := "left"
		l, err := coll.Attach(name)
		switch {
		case err != nil:
			verdict = "failed"
			fmt.Fprintln(os.Stderr, err)
		case l != nil:
			verdict = "attached"
			l.Close()
		}
		fmt.Fprintf(&all, "%s:%s ", verdict, name)
	}
	return all.String()
}

func load(kernel *btf.Spec, path string) (_ *bpfload.Collection, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	contents, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	spec, err := bpfload.Read(contents)
	if err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	return bpfload.LoadFor(kernel, spec, filepath.Base(path), nil)
}
