package ctype

import (
	"math/bits"
	"slices"
	"strconv"
)

// TopFlags returns the enumerators that say of an enum's values which kind they are
// of, by the topmost bits, and nil if it has none; the other bits are a number.
// So are the ids of dispatch queues made (enum scx_dsq_id_flags,
// kernel/sched/ext): SCX_DSQ_LOCAL_ON|3 is the queue of CPU 3. A tag is one bit
// in the upper half of the word, which is or'ed with others in another
// enumerator, and above all numbers that enumerators have. Those that combine
// tags only are in the list, too.
func (s *Shape) TopFlags() []Flag {
	if s.Kind != KindEnum || s.Signed || len(s.Values) > maxFlagValues || s.Size > 8 {
		return nil
	}
	top := s.tagBits()
	var tags []Flag
	for _, v := range s.Values {
		if v.Value != 0 && v.Value&^top == 0 && !slices.ContainsFunc(tags, func(f Flag) bool { return f.Bit == v.Value }) {
			tags = append(tags, Flag{v.Value, v.Name})
		}
	}
	return tags
}

// tagBits returns the bits of an enum that are tags.
func (s *Shape) tagBits() (top uint64) {
	for bit := 8*s.Size - 1; bit >= 4*s.Size; bit-- {
		candidate := uint64(1) << bit
		if !s.has(candidate) {
			continue
		}
		if !(s.combines(candidate) && s.numbersBelow(candidate, top|candidate)) {
			break
		}
		top |= candidate
	}
	return top
}

// has tells whether an enum has a value.
func (s *Shape) has(value uint64) bool {
	return slices.ContainsFunc(s.Values, func(v EnumValue) bool { return v.Value == value })
}

// combines tells whether an enumerator is made of a bit and others.
func (s *Shape) combines(bit uint64) bool {
	return slices.ContainsFunc(s.Values, func(v EnumValue) bool { return v.Value&bit != 0 && v.Value != bit })
}

// numbersBelow tells whether all enumerators are below a bit, apart from tags.
func (s *Shape) numbersBelow(bit, tags uint64) bool {
	return !slices.ContainsFunc(s.Values, func(v EnumValue) bool { return v.Value&^tags >= bit })
}

// TagText names the tags of a value that has one of them, and otherwise only a number
// below them: "SCX_DSQ_LOCAL_ON|3".
func TagText(value uint64, tags []Flag) (text string, ok bool) {
	var top uint64
	lowest := ^uint64(0)
	for _, tag := range tags {
		top |= tag.Bit
		lowest = min(lowest, tag.Bit)
	}
	number := value &^ top
	if value&top == 0 || number >= lowest {
		return "", false
	}
	if i := slices.IndexFunc(tags, func(f Flag) bool { return f.Bit == value&top }); i >= 0 {
		text = tags[i].Name
	} else {
		text, _ = FlagText(value&top, slices.DeleteFunc(slices.Clone(tags), func(f Flag) bool { return bits.OnesCount64(f.Bit) > 1 }))
	}
	if number == 0 {
		return text, true
	}
	return text + "|" + strconv.FormatUint(number, 10), true
}

// Number is a value of an enum as its type has it.
func (s *Shape) Number(value uint64) string {
	if s.Signed {
		return strconv.FormatInt(int64(value), 10)
	}
	return strconv.FormatUint(value, 10)
}
