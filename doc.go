// Package ktgen is the module of tests for Linux schedulers that are written in BPF
// (sched_ext). It holds no code itself. Each of its packages is for one of three:
//
//   - Authors of tests: the package that the command ktgen generates for a scheduler,
//     ktest, scenario, series and sched, and of runtime what their code names.
//   - Authors of tools, which read snapshots or BPF objects: runtime/ktsnap,
//     runtime/ctype and dump; object, cast and gen.
//   - Contributors, who change ktgen: all others. ARCHITECTURE.md has the picture.
//
// README.md shows the first steps of each.
package ktgen
