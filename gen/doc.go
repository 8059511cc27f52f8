// Package gen turns the maps, globals and types of a BPF object into Go source
// that reads them out of snapshots.
//
// For authors of tools.
//
// It works in two steps. [BuildPackage] decides everything. Its result has a [Model] for
// each object, which is plain data: names, types, ways to decode, comments.
// [Package.Files] prints them. [Build] and [Model.Render] are the same for one object.
//
// The same object gives the same bytes, on any machine and in any directory.
//
// The package reads no files and writes none; package object reads objects.
package gen
