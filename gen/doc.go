// Package gen turns the maps, globals and types of a BPF object into Go source
// that reads them out of snapshots.
//
// For authors of tools.
//
// It works in two steps. [BuildPackage] decides everything: names, types, ways to decode,
// comments. [Package.Files] prints it. [Build] and [Package.Render] are the same for one
// object and one file.
//
// The same object gives the same bytes, on any machine and in any directory.
//
// The package reads no files and writes none; package object reads objects.
package gen
