// Package gen turns the maps, globals and types of a BPF object into Go source
// that reads them out of snapshots.
//
// It works in two steps. [Build] decides everything, and its result, a
// [Model], is plain data: names, types, ways to decode, comments. [Model.Render]
// prints it.
//
// The same object gives the same bytes, on any machine and in any directory.
//
// The package reads no files and writes none; package object reads objects.
package gen
