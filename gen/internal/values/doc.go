// Package values is code that ktgen generates for values of kinds that few
// programs have, each as its C says. Its tests read them in a guest.
package values

//go:generate make -s -C testdata
//go:generate go run github.com/ktgen/ktgen/cmd/ktgen -object testdata/values.bpf.o -package values
