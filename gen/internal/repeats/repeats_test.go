package repeats_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen"
	"github.com/ktgen/ktgen/object"
)

func build(t *testing.T) *gen.Model {
	t.Helper()
	obj, err := object.Open("testdata/repeats.bpf.o")
	require.NoError(t, err)
	model, err := gen.Build(obj, gen.Options{Package: "p"})
	require.NoError(t, err)
	return model
}

// A text that is state, or that a loader sets, is read.
func TestTextsThatOnlyTheProgramReadsAreLeftOut(t *testing.T) {
	vars := make(map[string][]string) // by section
	docs := make(map[string]string)
	for _, s := range build(t).Sections {
		for _, v := range s.Vars {
			vars[s.CName] = append(vars[s.CName], v.Name)
		}
		docs[s.CName] = s.Doc[len(s.Doc)-1]
	}
	require.Equal(t, []string{"RepeatsEnqueueState"}, vars[".data"])
	require.Equal(t, []string{"Mode"}, vars[".rodata"])
	require.Equal(t, "Left out: the text that only the program itself reads.", docs[".data"])
	require.Equal(t, "Left out: the 4 texts that only the program itself reads.", docs[".rodata"])
}
