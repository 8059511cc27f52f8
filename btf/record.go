package btf

import (
	"strings"

	"github.com/cilium/ebpf/btf"
)

// recordTag, before the name of a type, is the decl tag of a ring buffer that says of which
// type its records are.
const recordTag = "ktgen:record:"

// RecordTypes returns the name of the type that the tags of a ring buffer say its records
// are of, and the types of that name: one, if it can be used. tagged tells whether they say
// it at all.
func RecordTypes(spec *btf.Spec, tags []string) (name string, types []btf.Type, tagged bool) {
	for _, tag := range tags {
		if name, tagged = strings.CutPrefix(tag, recordTag); tagged {
			types, _ = spec.AnyTypesByName(name) // none if there is no such type
			return name, types, true
		}
	}
	return "", nil, false
}
