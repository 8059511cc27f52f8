package cast

import (
	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Casts returns the findings that are sure enough to read memory by, as
// layouts and captures take them: what is proven or likely, and leads to a type
// with a name. Per-CPU pointers, which are offsets, and those to the memory of
// user space are left out.
func (r *Result) Casts() []ktsnap.Cast {
	var casts []ktsnap.Cast
	for _, f := range r.Findings {
		c := ktsnap.Cast{Path: f.Path, Space: f.Space, Behind: int(f.Behind)}
		switch {
		case f.Class > Likely || f.Space == ctype.SpacePerCPU || f.Space == ctype.SpaceUser || f.Target == nil || f.Target.TypeName() == "":
			continue
		case f.Map != nil && f.Offset != 0:
			continue
		case f.Map != nil:
			c.In, c.Path = "map "+f.Map.Name, ""
		default:
			c.In = ktbtf.Spell(f.Container)
		}
		c.To = ktbtf.Spell(f.Target)
		casts = append(casts, c)
	}
	return casts
}
