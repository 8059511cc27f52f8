// Package chase follows the pointers in captured maps to objects of the kernel,
// and to those that the program has allocated, while the guest stands still.
//
// Before the pause, a [Planner] makes a [Plan] from the shape of a map's values. It lists
// the offsets of lists, trees and pointers: pointers to objects of the kernel, and pointers
// to objects of the program through which more of those are found. A [Chase] goes over the
// values with it, and copies each object once.
//
// The program's types or instructions say that a pointer leads to a task_struct. It can be
// stale, or the program wrong. [Claims] compares the target with what the kernel says is
// there. A target that contradicts the claim is reported and not copied.
package chase
