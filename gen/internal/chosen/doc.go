// Package chosen is code that ktgen generates for a part of an object. Its tests
// read what the whole object's fixture holds with it.
package chosen

//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object ../../../internal/sample/testdata/sample.bpf.o -package chosen -map nodes -type node,bits -rename node=Item
