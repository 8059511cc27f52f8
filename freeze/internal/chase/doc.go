// Package chase follows the pointers in captured maps to objects of the kernel,
// and to those that the program has allocated, while the guest stands still.
//
// What to look for is decided before: a [Planner] makes a [Plan] of the shape of
// a map's values, which lists the offsets of its pointers, those to objects of
// the kernel and those to objects of the program through which more of them are
// found, and its lists and trees. A [Chase] goes over the values with it, and copies
// each object once.
//
// A pointer that the program's types or instructions say is one to a
// task_struct need not be: it can be stale, or the program can be wrong. [Claims]
// holds the target against what the kernel itself says is there, and what
// contradicts it is reported and not copied.
package chase
