package dump_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/internal/sample"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func lines(a, b *ktsnap.Snapshot, masks ...string) string {
	var all []string
	for c := range dump.Diff(a, b, masks...) {
		all = append(all, c.String()+"\n")
	}
	return strings.Join(all, "")
}

func TestASnapshotDoesNotDifferFromItself(t *testing.T) {
	require.Empty(t, lines(guest(5000), guest(5000)))
}

func TestDiffNamesWhatDiffers(t *testing.T) {
	golden(t, "changes.txt", lines(guest(5000), guest(9000)))
}

func TestMasksLeaveOutWhatTheyMatch(t *testing.T) {
	require.Empty(t, lines(guest(5000), guest(9000), "*.runtime_ns", "mysched.bss.nr_dispatched"))
	require.NotEmpty(t, lines(guest(5000), guest(9000), "*.runtime", "task_ctxs[*]"))
}

// The paths of sections begin with a dot, as if they were members of what has no name.
func TestAnEmptyMaskIsForNothing(t *testing.T) {
	a, b := sample.Fixture{}.Snapshot(t), sample.Fixture{Bss: sample.Bss{NrOnline: 7}}.Snapshot(t)
	require.Contains(t, lines(a, b), "~ .bss.nr_online: 0 -> 7")
	require.Equal(t, lines(a, b), lines(a, b, ""))
	require.Contains(t, fmt.Sprint(dump.Unseen(a, b, "")), `the mask "" matches no path`)
}

func TestCPUsThatComeAreNamed(t *testing.T) {
	a, b := sample.Fixture{CPUs: 1}.Snapshot(t), sample.Fixture{CPUs: 2}.Snapshot(t)
	require.Contains(t, lines(a, b), "+ per_cpu[cpu=1][0]: ")
	require.Contains(t, lines(b, a), "- per_cpu[cpu=1][0]: ")
}

func TestEntriesThatComeAndGoAreFoundByTheirKeys(t *testing.T) {
	a, b := guest(5000), guest(5000)
	m := b.Maps[0] // task_ctxs, without its first entry
	m.N, m.Total, m.Base = 2, 2, m.Base+uint64(m.Stride)
	m.Keys, m.Values = m.Keys[4:], m.Values[m.Stride:]
	gone := lines(a, b, "mysched.*")
	require.Contains(t, gone, "- task_ctxs[100]: {tid: 100")
	require.Equal(t, 1, strings.Count(gone, "\n"), gone)
	require.Contains(t, lines(b, a, "mysched.*"), "+ task_ctxs[100]: {tid: 100")
}

func TestAPartOfAMapProvesNothingAboutTheRest(t *testing.T) {
	a, b := guest(5000), guest(5000)
	big := b.Maps[4]
	big.N, big.Keys, big.Values = 1, big.Keys[:4], big.Values[:8]
	require.Empty(t, lines(a, b))
}

func TestRecordsDifferByTheirPlace(t *testing.T) {
	require.Empty(t, lines(ring("ab", "cd"), ring("ab", "cd")))
	require.Equal(t, "~ events[1]: 0x6364 -> 0x6365\n", lines(ring("ab", "cd"), ring("ab", "ce")))
	require.Equal(t, "+ events[1]: 0x6364\n", lines(ring("ab"), ring("ab", "cd")))
	require.Equal(t, "- events[1]: 0x6364\n", lines(ring("ab", "cd"), ring("ab")))
	long := strings.Repeat("x", 200)
	require.Equal(t, 1, strings.Count(lines(ring(long+"a"), ring(long+"b")), "~ events[0]"), "behind what a line has room for")
}

func TestMapsThatOnlyOneSnapshotHasAreNamed(t *testing.T) {
	a, b := guest(5000), guest(5000)
	b.Maps = b.Maps[:6]
	require.Equal(t, "- tries: LPM_TRIE, 0 entries\n", lines(a, b))
	require.Equal(t, "+ tries: LPM_TRIE, 0 entries\n", lines(b, a))
}

type typed struct {
	N     int
	List  [2]struct{ W uint32 }
	Next  *typed
	Named map[string]bool
}

func TestTypedValuesDifferByField(t *testing.T) {
	a := &typed{N: 1, Named: map[string]bool{"x": true}}
	a.Next = a // a cycle
	b := &typed{N: 2, Named: map[string]bool{"y": true}}
	b.Next, b.List[1].W = b, 7
	var got []string
	for c := range dump.DiffValues(a, b) {
		got = append(got, c.String())
	}
	slices.Sort(got)
	require.Equal(t, []string{"+ Named[y]: true", "- Named[x]: true", "~ List[1].W: 0 -> 7", "~ N: 1 -> 2"}, got)
	for range dump.DiffValues(a, a) {
		t.Error("a value differs from itself")
	}
}

// recorder is a test that notes what is said to it.
type recorder struct{ said string }

func (r *recorder) Helper()                        {}
func (r *recorder) Errorf(format string, a ...any) { r.said += fmt.Sprintf(format, a...) }
func (r *recorder) Fatalf(format string, a ...any) { r.said += fmt.Sprintf(format, a...) }

func TestGoldenSnapshotsAreWrittenComparedAndMasked(t *testing.T) {
	if *update {
		t.Skip("with -update Golden writes")
	}
	file := filepath.Join(t.TempDir(), "golden.ktsnap")
	missing := &recorder{}
	dump.Golden(missing, guest(5000), file)
	require.Contains(t, missing.said, "KTGEN_UPDATE=1")

	t.Setenv(dump.EnvUpdate, "1")
	dump.Golden(t, guest(5000), file)
	t.Setenv(dump.EnvUpdate, "")
	dump.Golden(t, guest(5000), file)
	dump.Golden(t, guest(9000), file, "*.runtime_ns", "*.nr_dispatched")

	different := &recorder{}
	dump.Golden(different, guest(9000), file)
	require.Contains(t, different.said, "task_ctxs[100].runtime_ns: 5000 -> 9000")
}

func TestPathsFindWhatDiffsAndErrorsName(t *testing.T) {
	s := guest(5000)
	for path, want := range map[string]string{
		"task_ctxs[101].runtime_ns":          "10000",
		"task_ctxs[#2].tid":                  "102",
		"scx_per_task[cpu=1][0].tid":         "8",
		"scx_per_task[0][cpu=1].tid":         "",
		"mysched.bss.nr_dispatched":          "500",
		".bss.nr_dispatched":                 "500",
		"nr_dispatched":                      "500",
		"buckets[1]":                         "2",
		"head.next.load":                     "12",
		"current.policy":                     "POLICY_BATCH",
		"task_ctxs[7].tid":                   "",
		"scx_per_task[0].tid":                "",
		"scx_per_task":                       "",
		"scx_per_task[cpu=x][0]":             "",
		"task_ctxs[101":                      "",
		"":                                   "",
		"[":                                  "",
		strings.Repeat("a.", 1<<20):          "",
		"task_ctxs" + strings.Repeat("[", 9): "",
		"ünïcode":                            "",
	} {
		v := s.Get(path)
		if want == "" {
			require.Error(t, v.Err(), path)
			require.Less(t, len(v.Err().Error()), 10_000, "of a long path")
			continue
		}
		require.NoError(t, v.Err(), path)
		r, err := v.Rendered()
		require.NoError(t, err)
		require.Equal(t, want, r.String(), path)
	}
	var notFound *ktsnap.MapNotFoundError
	err := s.Get("task_ctx[101].tid").Err()
	require.ErrorAs(t, err, &notFound)
	require.ErrorContains(t, err, "task_ctxs")
}
