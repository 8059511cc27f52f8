package ktsnap_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// What one program only declares is read as the others define it, if they agree
// on every member; with any difference the first definition is as wrong as the
// second.
func TestDefinitionsThatDifferInAnythingAreRefused(t *testing.T) {
	first := structure("ctx", 16, member(0, "a", u32), bitfield(4, 0, 3, "flags", u32), member(8, "p", pointer(taskCtx)))
	for what, second := range map[string]*ctype.Shape{
		"":            structure("ctx", 16, member(0, "a", u32), bitfield(4, 0, 3, "flags", u32), member(8, "p", pointer(taskCtx))),
		"a name":      structure("ctx", 16, member(0, "b", u32), bitfield(4, 0, 3, "flags", u32), member(8, "p", pointer(taskCtx))),
		"a place":     structure("ctx", 16, member(4, "a", u32), bitfield(4, 0, 3, "flags", u32), member(8, "p", pointer(taskCtx))),
		"a width":     structure("ctx", 16, member(0, "a", u32), bitfield(4, 0, 4, "flags", u32), member(8, "p", pointer(taskCtx))),
		"a first bit": structure("ctx", 16, member(0, "a", u32), bitfield(4, 1, 3, "flags", u32), member(8, "p", pointer(taskCtx))),
		"a sign":      structure("ctx", 16, member(0, "a", s32), bitfield(4, 0, 3, "flags", u32), member(8, "p", pointer(taskCtx))),
		"a target":    structure("ctx", 16, member(0, "a", u32), bitfield(4, 0, 3, "flags", u32), member(8, "p", pointer(ctx))),
		"the size":    structure("ctx", 24, member(0, "a", u32), bitfield(4, 0, 3, "flags", u32), member(8, "p", pointer(taskCtx))),
		"a member":    structure("ctx", 16, member(0, "a", u32), bitfield(4, 0, 3, "flags", u32)),
		"the kind":    {Kind: ctype.KindUnion, Name: "ctx", Size: 16, Members: first.Members},
	} {
		s := &ktsnap.Snapshot{Programs: []*ktsnap.Program{{Shapes: []*ctype.Shape{first}}, {Shapes: []*ctype.Shape{second}}}}
		shape, err := s.Definition(&ctype.Shape{Kind: ctype.KindFwd, Name: "ctx"})
		if what == "" {
			require.NoError(t, err)
			require.Same(t, first, shape)
			continue
		}
		var unbound *ktsnap.NotBoundError
		require.ErrorAs(t, err, &unbound, what)
		require.Contains(t, unbound.Reason, "define it do so differently", what)
	}
}
