package dump

import (
	"fmt"
	"strconv"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// This file shows the structs that the kernel puts into the values of maps, and whose words
// have no names for programs (include/uapi/linux/bpf.h), as package runtime reads them. Heads
// of lists and roots of trees are not among them: they are shown as what is in them.

// kernelStructs says what tells the state of such a struct: one of its words.
var kernelStructs = map[string]struct {
	size     int // of the struct, in bytes
	at, bits int // of the word
	member   string
	state    func(word uint64) (json, text string)
}{
	"bpf_spin_lock":     {4, 0, 32, "$locked", isOrNot("locked", "unlocked")},
	"bpf_res_spin_lock": {4, 0, 32, "$locked", isOrNot("locked", "unlocked")},
	"bpf_refcount":      {4, 0, 32, "$count", count},
	"bpf_timer":         {16, 0, 64, "$callback", callback},
	"bpf_wq":            {16, 0, 64, "$callback", callback},
	"bpf_list_node":     {24, 16, 64, "$linked", isOrNot("linked", "not linked")}, // its owner
	"bpf_rb_node":       {32, 24, 64, "$linked", isOrNot("linked", "not linked")},
}

func isOrNot(yes, no string) func(uint64) (json, text string) {
	return func(word uint64) (json, text string) {
		if word == 0 {
			return "false", no
		}
		return "true", yes
	}
}

func count(word uint64) (json, text string) {
	text = strconv.FormatUint(word, 10)
	return text, text
}

// callback is of a timer or a work queue, which has the address of the kernel's own once it
// is initialised.
func callback(word uint64) (json, text string) {
	json = fmt.Sprintf(`"%#x"`, word)
	if word == 0 {
		return json, "not set"
	}
	return json, fmt.Sprintf("set: %#x", word)
}

// kernelState is the state of a struct of the kernel's.
type kernelState struct {
	member, json string // in JSON: the name and the value of a member
	text         string
}

// kernelStateOf returns the state of a struct; ok is false if it is none of the kernel's.
func kernelStateOf(v *ktsnap.Value) (state kernelState, ok bool) {
	u := v.Shape().Underlying()
	if u == nil || u.Kind != ctype.KindStruct {
		return state, false
	}
	known, ok := kernelStructs[u.Name]
	if !ok || known.size != v.Size() {
		return state, false
	}
	raw, err := v.Bytes()
	if err != nil {
		return state, false
	}
	word := ctype.IntPlace{Bits: known.bits}.Load(raw[known.at:])
	state.member = known.member
	state.json, state.text = known.state(word)
	return state, true
}
