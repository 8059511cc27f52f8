package parity

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Driver has a worker load objects, and says what the kernel has of each.
type Driver struct {
	Worker []string      // program and arguments
	Limit  time.Duration // for one object
	Attach bool          // attach programs

	process *exec.Cmd
	in      io.WriteCloser
	lines   chan string
}

// Run has the objects loaded, one after the other, and writes a [Loaded] in JSON for
// each.
func (d *Driver) Run(objects []string, out io.Writer) error {
	defer d.stop()
	results := json.NewEncoder(out)
	for _, object := range objects {
		l, err := d.load(object)
		if err != nil {
			return fmt.Errorf("%s: %w", object, err)
		}
		if err := results.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

func (d *Driver) start() error {
	if d.process != nil {
		return nil
	}
	cmd := exec.Command(d.Worker[0], d.Worker[1:]...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := make(chan string)
	go func() { // ends with the worker
		defer close(lines)
		for all := bufio.NewReader(out); ; {
			line, err := all.ReadString('\n')
			if err != nil {
				return
			}
			lines <- strings.TrimSpace(line)
		}
	}()
	d.process, d.in, d.lines = cmd, in, lines
	return nil
}

// stop ends the worker, and with it all that it has loaded.
func (d *Driver) stop() {
	if d.process == nil {
		return
	}
	d.in.Close()
	_ = d.process.Process.Kill()
	for range d.lines {
	}
	_ = d.process.Wait()
	d.process = nil
}

var errLate = errors.New("it takes too long")

// say tells the worker something and returns its answer. Each part of it is given the
// time of one.
func (d *Driver) say(line string, parts int) (string, error) {
	if _, err := fmt.Fprintln(d.in, line); err != nil {
		return "", err
	}
	select {
	case answer, ok := <-d.lines:
		if !ok {
			return "", errors.New("the worker ended")
		}
		return answer, nil
	case <-time.After(d.Limit * time.Duration(max(parts, 1))):
		return "", errLate
	}
}

func (d *Driver) load(object string) (*Loaded, error) {
	if err := d.start(); err != nil {
		return nil, err
	}
	l := &Loaded{Object: object}
	start := time.Now()
	answer, err := d.say(object, 1)
	l.Seconds = time.Since(start).Seconds()
	if err != nil {
		d.stop()
		l.Verdict, l.Reason = "late", err.Error()
		return l, nil
	}
	l.Verdict, l.Reason, _ = strings.Cut(answer, " ")
	if l.Verdict == "ok" {
		if err := l.take(d.process.Process.Pid); err != nil {
			return nil, err
		}
	}
	if l.Verdict == "ok" && d.Attach {
		if answer, err = d.say("attach", len(l.Programs)); err != nil {
			d.stop() // its answers would be taken for those to what is said later
			l.Attached = []string{err.Error()}
			return l, nil
		}
		l.Attached = slices.Sorted(slices.Values(strings.Fields(answer)))
	}
	if _, err := d.say("close", 1); err != nil {
		d.stop()
	}
	return l, nil
}
