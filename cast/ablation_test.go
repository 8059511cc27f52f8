package cast_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// ablated is what is left without an ingredient.
type ablated struct {
	wanted, found, unwanted int // findings of the programs with want comments
	schedulers              tally
	arenas                  suiteScore
	corpus                  tally
}

// measure runs everything without ingredients. Only place and target of a
// finding count here, not how sure it is.
func measure(t *testing.T, without cast.Ingredients) (a ablated) {
	opts := cast.Options{Without: without}
	target := func(finding string) string { return strings.Split(finding, " (")[0] }
	for _, source := range programs(t, "testdata/*.bpf.c") {
		wanted := make(map[string]bool)
		for w := range wants(t, source) {
			if !strings.HasPrefix(w, "conflict ") {
				wanted[target(w)] = true
			}
		}
		for _, path := range compiled(t, programName(source)) {
			obj, err := object.Open(path)
			require.NoError(t, err)
			r := cast.Run(obj, opts).Result()
			r.Conflicts = nil
			a.wanted += len(wanted)
			for f := range findings(r) {
				if wanted[target(f)] {
					a.found++
				} else {
					a.unwanted++
				}
			}
		}
	}
	for _, source := range programs(t, "testdata/sched/*.bpf.c") {
		for _, path := range compiled(t, programName(source)) {
			a.schedulers.add(rule(t, path, opts))
		}
	}
	a.arenas = suiteOf(t, opts)
	if os.Getenv("KTGEN_CORPUS") != "" {
		for _, path := range corpus(t) {
			a.corpus.add(rule(t, path, opts))
		}
	}
	return a
}

// suiteOf rules the programs of testdata/suite, as all compilers compile them.
func suiteOf(t *testing.T, opts cast.Options) suiteScore {
	total := suiteScore{wrong: make(map[string]int)}
	for name, sources := range suitePrograms(t) {
		facts := suiteFacts(t, sources)
		for _, variant := range suiteVariants {
			total.add(judge(rule(t, suiteObject(name, variant), opts), facts))
		}
	}
	return total
}

func rule(t *testing.T, path string, opts cast.Options) *cast.Ruling {
	obj, err := object.Open(path)
	require.NoError(t, err)
	return cast.Rule(obj, opts)
}

// row is a line of the table in the package's documentation, without the
// columns that take the corpus.
func (a ablated) row(name string) string {
	return fmt.Sprintf("%-16s %4d of %d %6d %11.2f %10.2f %5d", name, a.found, a.wanted, a.unwanted, a.schedulers.recall(),
		a.arenas.sureRecall(), a.arenas.wrong["proven"]+a.arenas.wrong["likely"])
}

// TestAblationIsAsDocumented measures what each ingredient of the analysis is
// worth, and holds the table in the package's documentation to it. With a
// corpus ($KTGEN_CORPUS), it logs the rows with the columns that take one.
func TestAblationIsAsDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	check := func(name string, without cast.Ingredients) {
		a := measure(t, without)
		row := a.row(name)
		t.Logf("%s %10.2f %5d", row, a.corpus.recall(), a.corpus.wrong)
		assert.True(t, strings.Contains(string(doc), "//\t"+row), "the table of doc.go has no row %q; run with -v for all", row)
	}
	check("nothing", 0)
	for i, name := range cast.IngredientNames {
		check(name, 1<<i)
	}
}

// TestResultsDoNotDependOnChance: maps are iterated in a random order, and
// what an object lists may come in any.
func TestResultsDoNotDependOnChance(t *testing.T) {
	runs := 1000
	if testing.Short() {
		runs = 20
	}
	for _, name := range []string{"arena_sched", "flows", "traps"} {
		path := compiled(t, name)[3]
		want := ""
		for range runs / 10 {
			obj, err := object.Open(path)
			require.NoError(t, err)
			shuffle(obj)
			for range 10 {
				got := render(cast.Analyze(obj))
				if want == "" {
					want = got
				}
				require.Equal(t, want, got, filepath.Base(path))
			}
		}
	}
}
