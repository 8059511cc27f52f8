package ktest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ktsnap"
	"github.com/ktgen/ktgen/sched"
)

// RequirePrograms compares the BPF programs of a snapshot with a file of figures, which
// veristat -C can compare too. It fails the test if there are other programs, or if a
// program has grown by more than a part (0.1 is a tenth): the instructions that the verifier
// went through, its instructions, or its stack.
//
//	ktest.RequirePrograms(t, vm.Freeze("loaded"), "testdata/programs.csv", 0.1)
//
// The file is written if $KTGEN_UPDATE is 1, or if the test was given a flag -update that
// it defines. Figures are of one kernel: the verifier of another counts others.
func RequirePrograms(t testing.TB, snap *ktsnap.Snapshot, file string, part float64) {
	t.Helper()
	if !(part >= 0) {
		t.Fatalf("hold programs to %s: the part by which they may grow is %g: say 0, or 0.1 for a tenth", file, part)
		return
	}
	is := sched.Bind(t, snap).ProgramFigures()
	if len(is) == 0 {
		t.Fatalf("hold programs to %s: snapshot %q has no BPF programs: take it while the scheduler is loaded", file, snap.Name)
		return
	}
	if dump.Updating() {
		if err := keepPrograms(file, snap.Scheduler.Name, is); err != nil {
			t.Fatal(err)
			return
		}
		t.Logf("the figures of %d programs are kept in %s", len(is), file)
		return
	}
	was, err := keptPrograms(file)
	if err != nil {
		t.Fatal(err)
		return
	}
	var grown []string
	for _, c := range sched.ComparePrograms(was, is) {
		if c.Grown(part) {
			grown = append(grown, "\n\t"+c.String())
		}
	}
	if len(grown) > 0 {
		t.Fatalf("programs in snapshot %q, of kernel %s, are not as %s has them (%g %% more is allowed; if this is meant, or the file is of another kernel, write it anew with %s=1 go test):%s", snap.Name, snap.Guest.Release, file, 100*part, dump.EnvUpdate, strings.Join(grown, ""))
	}
}

func keepPrograms(file, object string, figures []sched.ProgramFigures) error {
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	var out *os.File
	if err == nil {
		out, err = os.Create(file)
	}
	if err == nil {
		err = errors.Join(sched.WriteProgramsCSV(out, object, figures), out.Close())
	}
	if err != nil {
		return fmt.Errorf("keep the figures of programs: %w", err)
	}
	return nil
}

func keptPrograms(file string) ([]sched.ProgramFigures, error) {
	in, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the figures of programs that are kept: %w (%s=1 go test writes them)", err, dump.EnvUpdate)
	}
	if err != nil {
		return nil, fmt.Errorf("read the figures of programs that are kept: %w", err)
	}
	defer in.Close()
	figures, err := sched.ReadProgramsCSV(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (%s=1 go test writes it anew)", file, err, dump.EnvUpdate)
	}
	return figures, nil
}
