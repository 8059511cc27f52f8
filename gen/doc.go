// Package gen turns the maps, globals and types of a BPF object into Go source
// that reads them out of snapshots.
//
// For authors of tools.
//
// [BuildPackage] decides names, types, decoders and comments; [Package.Files] prints them.
// [Build] and [Package.Render] do the same for one object and one file.
//
// The same object gives the same bytes, on any machine and in any directory.
//
// The package reads no files and writes none; package object reads objects.
package gen
