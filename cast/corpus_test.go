package cast_test

import (
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
)

// corpus returns the objects that scripts/corpus has compiled, by path.
func corpus(t testing.TB) []string {
	dir := os.Getenv("KTGEN_CORPUS")
	if dir == "" {
		t.Skip("KTGEN_CORPUS names no corpus: see scripts/corpus")
	}
	var paths []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".bpf.o") {
			paths = append(paths, path)
		}
		return err
	}))
	require.NotEmpty(t, paths)
	return paths
}

// heldOut tells whether an object is of the half that the analysis is not
// looked at with while it is worked on.
func heldOut(path string) bool {
	h := fnv.New32a()
	h.Write([]byte(filepath.Base(path)))
	return h.Sum32()%2 == 1
}

// tally adds up rulings.
type tally struct {
	shown, objects, recovered, missed, wrong, spurious, untouched int
}

func (t *tally) add(r *cast.Ruling) {
	t.objects++
	t.shown += r.Shown()
	t.recovered += len(r.Recovered)
	t.missed += len(r.Missed)
	t.wrong += len(r.Wrong)
	t.spurious += len(r.Spurious)
	t.untouched += len(r.Untouched)
}

func (t *tally) recall() float64 {
	return float64(t.recovered) / float64(max(1, t.recovered+t.missed+t.wrong))
}

func (t *tally) String() string {
	return fmt.Sprintf("recall %.3f (%.3f of what is shown): %d recovered, %d missed, %d wrong; %d spurious, %d untouched, in %d objects",
		t.recall(), float64(t.recovered)/float64(max(1, t.shown)), t.recovered, t.missed, t.wrong, t.spurious, t.untouched, t.objects)
}

// TestErasedPointersOfTheCorpusComeBack runs the ruler over the corpus: nothing
// is found wrong, nearly all that anything shows is found, and both what is
// missed and each integer that is found though it was never declared as a
// pointer are in lists that were checked against the C source.
func TestErasedPointersOfTheCorpusComeBack(t *testing.T) {
	var seen, unseen tally
	var missed, spurious []string
	for _, path := range corpus(t) {
		r := rule(t, path, cast.Options{})
		name := strings.TrimSuffix(filepath.Base(path), ".bpf.o")
		if heldOut(path) {
			unseen.add(r)
		} else {
			seen.add(r)
		}
		for _, e := range r.Missed {
			missed = append(missed, fmt.Sprintf("%s: %s.%s, %s", name, e.Container, e.Path, e.Was))
			t.Logf("missed %s: %s.%s, %s: %s", name, e.Container, e.Path, e.Was, e.Why)
		}
		for _, e := range r.Wrong {
			t.Errorf("wrong %s: %s.%s, %s: found %s (%s)", name, e.Container, e.Path, e.Was, e.Found, e.Class)
		}
		for _, e := range r.Spurious {
			spurious = append(spurious, fmt.Sprintf("%s: %s.%s -> %s: %s", name, e.Container, e.Path, e.Found, sourceLine(e.Proof)))
		}
	}
	t.Logf("looked at: %v", &seen)
	t.Logf("held out:  %v", &unseen)
	require.Greater(t, float64(seen.recovered)/float64(seen.shown), 0.95)
	require.Greater(t, float64(unseen.recovered)/float64(unseen.shown), 0.95)
	requireListed(t, "testdata/missed.txt", missed)
	requireListed(t, "testdata/spurious.txt", spurious)
}

// requireListed compares lines with those of a file, in any order and without
// its comments.
func requireListed(t *testing.T, file string, lines []string) {
	t.Helper()
	list, err := os.ReadFile(file)
	require.NoError(t, err)
	var checked []string
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			checked = append(checked, line)
		}
	}
	slices.Sort(checked)
	slices.Sort(lines)
	require.Equal(t, checked, lines, "%s: check what is new against its source", file)
}

// sourceLine is a line of C with its file's name, without folders.
func sourceLine(proof string) string {
	place, text, _ := strings.Cut(proof, ": ")
	return filepath.Base(place) + ": " + strings.Join(strings.Fields(text), " ")
}
