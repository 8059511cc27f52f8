package runtime

import "github.com/ktgen/ktgen/runtime/ktsnap"

// CPUs returns the set of CPUs in a bitmap, such as the bits of a struct
// cpumask: bit i of word n is CPU n*width+i. Bits at and above the guest's
// number of possible CPUs mean nothing, and are left out.
func CPUs[W ~uint8 | ~uint16 | ~uint32 | ~uint64](snap Bound, bitmap []W) ktsnap.CPUMask {
	return ktsnap.Bitmap(bitmap).Below(snap.Binding().snapshot.Guest.CPUs)
}
