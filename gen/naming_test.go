package gen

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/gen/internal/gofile"
)

// Code that reads a member by its Go name must not come to read another one when the C changes.
func TestNamesStayWithWhatTheyAreOf(t *testing.T) {
	b := &builder{part: new(part), model: new(gofile.Model), renames: newRenamer(nil)}
	named := func(spelled ...string) map[string]string {
		var all []claimed
		for _, name := range spelled {
			all = append(all, claimed{spelled: name, name: exported(name), what: "struct s." + name})
		}
		byName := make(map[string]string)
		for i, name := range b.newScope().claimEach(all) {
			byName[name] = spelled[i]
		}
		return byName
	}
	require.Equal(t, map[string]string{"Type_type": "type", "Type_Type": "Type", "Kind": "kind"}, named("type", "Type", "kind"))
	require.Equal(t, named("type", "Type", "kind"), named("kind", "Type", "type"), "in another order")
	require.Equal(t, map[string]string{"Type": "type"}, named("type"))
	for name := range named("type", "Type") {
		require.NotContains(t, named("type"), name, "one of them is gone")
	}
}
