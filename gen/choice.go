package gen

import "slices"

// ChoiceError says that the objects have nothing of the name that the user chose, or
// several things. A choice that a generated file was made with can become one when the
// object is rebuilt.
type ChoiceError struct {
	Flag  string // map, type, rename, payload or fields
	Value string // of the flag; of fields the path of what there is not
	Err   error
}

func (e *ChoiceError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *ChoiceError) Unwrap() error { return e.Err }

// Without returns the options without a choice that cannot be had. ok is false if what is
// left is not just the other choices: without its only map, it would choose all maps.
func (o Options) Without(choice *ChoiceError) (rest Options, ok bool) {
	drop := func(values []string) []string {
		return slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == choice.Value })
	}
	switch choice.Flag {
	case "map":
		o.Maps = drop(o.Maps)
		return o, !o.selectsAll()
	case "type":
		o.Types = drop(o.Types)
		return o, !o.selectsAll()
	case "rename":
		n := len(o.Renames)
		o.Renames = slices.DeleteFunc(slices.Clone(o.Renames), func(r Rename) bool { return r.String() == choice.Value })
		return o, len(o.Renames) < n
	case "payload":
		n := len(o.Payloads)
		o.Payloads = drop(o.Payloads)
		return o, len(o.Payloads) < n
	}
	return o, false
}
