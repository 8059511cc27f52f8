// Package cast finds which integers of a BPF program really are pointers, and
// to what.
//
// For authors of tools.
//
// BTF cannot say that a u64 holds a struct task_struct *, or that an untyped
// pointer leads to the program's own struct in its arena. The instructions
// can: they store what they got from the kernel as a task, and use what they
// load as one. [Analyze] follows both.
//
// # Values
//
// A value is what a register or stack slot may hold: where it points, if it
// does (one kind of object at some offset, or conflicting ones), whether it
// may also be zero, a number, or something that cannot be followed, and from
// which place in memory it was loaded. Each part is a small lattice and values
// are joined part by part. Nothing known (bottom) and different things at
// different times (conflict) are therefore never mistaken for one another:
// where a pointer and a time stamp meet, the result is no pointer.
//
// Offsets are a base and a stride, so that an indexed access to an array of
// structs is one to the member of its element. Which member that is, BTF
// decides: every place is that of the innermost named struct or union around
// it, or of a data section.
//
// # Memory
//
// Stack slots belong to a state and are overwritten. All other memory is one
// cell per place in a type, whichever object it is in: what is stored in the
// task member of any task_ctx is joined into one cell, and a load gives what
// the cell holds. A cell also collects what its content is used as, which
// types places that are only ever filled from outside, or by something that
// has no type itself, such as an allocator. An untyped call result is a place
// of its own for that reason. The kernel's own objects hold what the kernel
// stores: how one program uses a register of a struct pt_regs says nothing of
// what it is in another.
//
// # Order
//
// States flow along the edges of a function's control-flow graph until they
// settle. A call is analysed with what it passes, and the outcome kept: a
// function that stores its second argument through its first does something
// else for each of its callers. Programs start with what the kernel passes
// them, which for struct_ops the type of the implemented member says.
// Callbacks start with what the helper that takes them passes. All of that is
// repeated until no cell changes. Loops are cut short by widening offsets, so
// the number of steps is bounded by the size of the program.
//
// # Results
//
// A place with one target, and nothing but that and zero stored in it, is
// proven; one that is also filled by something that cannot be followed, or
// known by its use only, is likely, or guessed if lines of C name another struct.
// Two targets, or a target and a number, are a [Conflict] and never a finding. Instructions that no verifier would
// accept are given up on and listed as gaps. Programs that a declaration tag
// says the verifier must refuse, as tests of the kernel do, prove nothing, nor
// do functions that only they call.
//
// A pointer to a struct is one to what the struct begins with. Where either may
// be there, the smaller one is the target, also if some code takes it for the
// larger one: it may do so for some of them only. What that code makes of the
// pointer it has is one to the larger struct. Where the address of the first member is
// passed, the smaller one is all that this says.
//
// Pointers from an untyped allocator that never meet a type are guessed, by
// what the object shows beside its instructions. The lines of C that accesses
// come from name members: only one struct of the program's may have those
// members there. They name types outright where a pointer is declared, cast or
// allocated, and that reaches structs that the object only declares, as clang
// leaves out what only members of other structs point to. Failing that, the
// offsets and sizes of accesses must fit exactly one struct. Nothing of that is
// proof, so that a guess is for people, not for decoding.
//
// A guess is made for all places at once that pointers are copied between. It is
// likely for those that show it themselves: of what is loaded from one, lines of C
// name three members, or the type, and none names anything else. One member will do
// if the object describes each struct that its types and its lines of C name. Places
// that get pointers from such places only are likely, too, as are those whose content
// goes to one that nothing else is stored in. Types that begin with a struct, or that
// begin others, are likely only where lines of C name them.
//
// A function that returns an integer or an untyped pointer, and may return memory that
// an untyped call gave it, is an allocator: each caller's memory is a place of its own.
// Where it returns instead what a place holds that no new memory is stored in, or that
// gets the word that its content begins with, that is a pool: what is put there, and
// taken from there, says nothing of anything else. Such a word, which lines of C access
// by a cast to words, is no member of what is there. Any other place that it returns the
// content of is of the type that all callers take it for. What is loaded from a place
// that holds different things is what the load is used as; lines of C that name two
// structs for places that are kin set them apart.
//
// Structs that the object only declares hold what is stored there, by the names of
// members in lines of C, so that values are followed through them; no finding is about
// such a place. Lines that store a variable in a place, or load one from there, make it
// a guess that the place leads to what all variables of that name are declared to lead
// to, where the object only declares that.
//
// What is behind the header of an allocation, which is only declared or ends in a
// flexible array, is typed in the same way, by the place that holds the pointer to
// the header. There the names of members in lines of C count as likely: nothing
// else tells in a program whose functions are all inlined.
//
// # What it does not do
//
// No tag of a union is looked at: which of its members an access means, the line of C
// says, and an access whose line does not is one to all of them. The initial contents of sections are not
// read: loaders fill in no pointers there. A dynptr's slices are typed by their
// use only.
//
// # What earns its keep
//
// With an ingredient left out ([Options].Without): the findings that the C
// programs in testdata want, those that they do not, the recall of [Rule] on
// the schedulers there, recall and wrong findings, guesses left out, on the
// programs of testdata/suite, which keep their data in arenas, and recall and
// wrong findings over 1,046 objects compiled from linux-source-7.3
// (scripts/corpus). TestAblationIsAsDocumented measures all of that.
//
//	left out        found of wanted  false  schedulers      arena wrong     corpus wrong
//	nothing           380 of 380      0        1.00       0.83     0       0.71     0
//	joins             376 of 380      0        0.91       0.68    12       0.69     0
//	interprocedural   348 of 380      4        0.62       0.77     4       0.62     2
//	struct_ops        276 of 380      4        1.00       0.83     0       0.71     0
//	offsets           320 of 380      0        0.96       0.73     4       0.60     3
//	atomics           324 of 380      0        1.00       0.82     0       0.71     0
//	callbacks         372 of 380      0        1.00       0.83     0       0.67     2
//	spills            296 of 380      0        1.00       0.81     3       0.65     1
//	copies            340 of 380      0        1.00       0.83     0       0.71     0
//	uses              356 of 380      0        1.00       0.75     0       0.54     0
//	shapes            360 of 380      0        0.57       0.37     4       0.54     0
//	foreign           380 of 380      4        1.00       0.83     0       0.71     0
//	allocators        380 of 380      0        1.00       0.80     0       0.71     0
//	declarations      380 of 380      0        1.00       0.83     0       0.71     0
//	variables         380 of 380      0        1.00       0.83     0       0.71     0
//
// Over the corpus, 71 of the 100 pointers that an instruction touches are
// recovered, and none wrong. Of the other 29, 20 are places of one test that are
// filled with objects of types that user space chooses, three lead to structs
// that the object only declares, two to single bytes, and four are only handed
// on: testdata/missed.txt lists them. [Ruling.Shown] leaves out those of which
// no instruction tells what they lead to; of what is shown, 0.99 is recovered.
// Compiled by others, the 83 objects of Debian's libbpf-tools touch 10, all of
// which are recovered; of libarena's 12 objects it is 11 of 15.
package cast
