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
// A value is what a register or stack slot may hold: where it points (one kind of
// object at some offset, or conflicting ones), whether it may be zero, a number, or
// something that cannot be followed, and from which place in memory it was loaded. Each
// part is a small lattice, and values are joined part by part. So nothing known (bottom)
// and different things at different times (conflict) stay apart: where a pointer and a
// time stamp meet, the result is no pointer.
//
// An offset is a base and a stride, so that an indexed access to an array of structs is
// one to the member of its element. BTF decides which member that is. Two numbers that
// meet, as in c ? &n->left : &n->right, stay two: the sum is the address of either place.
// A place is that of the innermost named struct or union around it, or of a data section.
//
// # Memory
//
// A stack slot belongs to a state and is overwritten. If a function is declared to be passed
// a pointer to a struct that is there, what the function reads and writes there is what the
// struct's members hold, too; that is likely at most. All other memory is one cell for
// each place in a type, whichever object it is in: what is stored in the task member of
// any task_ctx is joined into one cell, and a load gives what the cell holds. A cell also
// collects the uses of its content. They type places that are only filled from
// outside, or by something untyped, such as an allocator. So the result of each untyped
// call is a place of its own. Members that overlap are told apart by the names in lines of C;
// where none is named, and their bytes are copied to those of another object of the type, each
// holds what it held. The kernel's own objects hold what the kernel stores: one
// program's use of a register of a struct pt_regs says nothing of another's.
//
// # Objects
//
// A place that turns out to hold different things is told apart by the object that it is
// in: a list's cells hold contexts in one list, and groups in another. An object is a
// variable, the values of a map, or what one call of an allocator returns, told apart by
// the two calls that lead there. Each value carries the objects that it may lead into, eight
// at most. Beyond that, and where memory comes from outside, it may be any.
//
// Which objects there are follows from types, and types are found in turn. So it is found
// out once more when all types are known. A place is read as empty until a store to it is
// known; if none turns up, it is one of any object.
//
// A pointer that was moved in front of a part leads to the whole object, if all that it may
// lead into have that part there. What only leads to objects of one type that lines of C
// show is likely, as they are.
//
// An access in front of what a pointer leads to, or behind it, is one to the only struct that
// holds such an object and has the member there that the line of C names.
//
// # Order
//
// States flow along the edges of a function's control-flow graph until they settle. A
// call is analysed with its arguments, and the outcome kept: a function that stores its
// second argument through its first does something else for each caller. What it leaves on
// its caller's stack where it returns zero is kept apart from the rest. A program starts
// with what the kernel passes it; for struct_ops the type of the implemented member says
// that. A callback starts with what the helper that takes it passes. All of that is
// repeated until no cell changes. What is found out once more, of objects or of places that
// hold different things, is so for the functions only that share cells. Widening of offsets cuts loops short, so the size of the
// program bounds the number of steps.
//
// # Results
//
// A place is
//
//   - proven, if all that is stored there is pointers to one target, and zero;
//   - likely, if something is also stored there that cannot be followed, or only
//     its use shows the target;
//   - guessed, if only a guess shows the target (see Guesses), or if it would be likely,
//     and lines of C name another struct;
//   - a [Conflict], and no finding, if it has two targets, or a target and a number.
//
// Instructions that no verifier would accept are not followed, and listed as gaps.
// Programs that a declaration tag says the verifier must refuse, as tests of the kernel
// do, prove nothing, nor do functions that only they call.
//
// A pointer to a struct is also one to its first member. If a place may hold either, the
// smaller type is the target, also if some code takes it for the larger one, which may be
// right for some of the pointers only. A pointer that such code derives from it is
// one to the larger struct. Passing the address of a first member shows the smaller one
// only.
//
// # Guesses
//
// Pointers from an untyped allocator that never meet a type are guessed from what the
// object has beside its instructions. Lines of C at accesses name members: only one struct
// of the program's may have those members there. Lines of C name types where they declare,
// cast or allocate a pointer. That reaches structs that the object only declares, as clang
// leaves out structs that only members of others point to. Failing that, the offsets and sizes
// of accesses must fit exactly one struct. None of that is proof, so guessed places are for
// people, and decode nothing.
//
// A guess is made for all places at once that pointers are copied between. Of these, places
// are not guessed, but likely, if they are
//
//   - places that show it themselves: lines of C name three members, or the type, of what
//     is loaded from one, and none names anything else. One member will do if the object
//     describes each struct that its types and its lines of C name;
//   - places that get pointers from such places only;
//   - places whose content goes to a place that nothing else is stored in.
//
// Types that begin with a struct, or that begin others, are likely only if lines of C name
// them.
//
// What a parameter is declared to lead to is no guess where the function stores it. A guess
// that accesses belie sets the places apart before what followed from it counts.
//
// # Allocators
//
// A function that returns an integer or an untyped pointer, and may return memory from an
// untyped call, is an allocator: each caller's memory is a place of its own.
//
// It is a pool if instead it returns the content of a place in which no new memory is
// stored, or in which the first word of its own content is stored. What is put into a
// pool, and taken from it, says nothing of anything else. The place has the type that all
// calls which take from it take it for. Lines of C access such a word by a cast to words;
// it is no member of the object.
//
// If it returns the content of any other place, that place has the type that all callers
// take it for. What is loaded from a place that holds different things has the type of the
// load's uses, or that its line casts it to. Where it is stored, it counts once a line has
// accessed a member of it. Lines of C that name two structs for places that are kin set
// them apart, or only the one that both are said of, if there is one.
//
// # Structs that are only declared
//
// Values are followed through structs that the object only declares, by the names of
// members in lines of C. No finding is about such a place. A line that stores a variable in
// a place, or loads one from it, makes a guess if the object only declares the target: the
// place leads to what all variables of that name are declared to lead to.
//
// Memory behind the header of an allocation, which is only declared or ends in a flexible
// array, is typed in the same way, by the place that holds the pointer to the header. There
// the names of members in lines of C count as likely: nothing else tells in a program whose
// functions are all inlined.
//
// # Twice
//
// A function that is for all of its callers is passed different things, or what is not known. So those
// parts of an object in which a place is left open are analysed a second time, each function by itself
// and called with what its prototype says.
// What only the second analysis finds is likely at best, as callers may pass something else. It does
// not count where the first one knows of several things, where a free list is, or where the struct
// begins with another one. Of the 174 pointers of testdata/heldout2, 148 are found without it, and 163
// with it; none wrongly.
//
// # What it does not do
//
// It looks at no tag of a union: the line of C says which of its members an access means,
// and an access whose line does not is one to all of them. It does not read the initial
// contents of sections: loaders fill in no pointers there. It types a dynptr's slices by
// their use only.
//
// # What earns its keep
//
// Each row leaves out one ingredient ([Options].Without). The columns are: the findings
// that the C programs in testdata want, and those that they do not; the recall of [Rule] on
// the schedulers there; recall and wrong findings, without guesses, on the programs of
// testdata/suite, which keep their data in arenas; recall and wrong findings over 1,046
// objects compiled from linux-source-7.3 (scripts/corpus). TestAblationIsAsDocumented
// measures them.
//
//	left out        found of wanted  false  schedulers      arena wrong     corpus wrong
//	nothing           384 of 384      0        1.00       0.91     0       0.71     0
//	joins             380 of 384      0        0.91       0.75    18       0.69     0
//	interprocedural   348 of 384      4        0.62       0.76     4       0.62     0
//	struct_ops        280 of 384      4        1.00       0.91     0       0.71     0
//	offsets           324 of 384      0        0.96       0.79     8       0.60     0
//	atomics           328 of 384      0        1.00       0.89     0       0.71     0
//	callbacks         372 of 384      0        1.00       0.91     0       0.66     1
//	spills            296 of 384      0        1.00       0.88     5       0.68     0
//	copies            344 of 384      0        1.00       0.91     0       0.71     0
//	uses              360 of 384      0        1.00       0.88     0       0.54     0
//	shapes            364 of 384      0        0.57       0.35     4       0.54     0
//	foreign           384 of 384      4        1.00       0.91     0       0.71     0
//	allocators        384 of 384      0        1.00       0.88     2       0.71     0
//	declarations      384 of 384      0        1.00       0.91     0       0.71     0
//	variables         384 of 384      0        1.00       0.90     0       0.71     0
//	instances         384 of 384      0        1.00       0.89     0       0.71     0
//	unions            384 of 384      0        1.00       0.91     0       0.71     0
//	parameters        384 of 384      0        1.00       0.91     0       0.71     0
//	containers        384 of 384      0        1.00       0.91     0       0.71     0
//	prototypes        384 of 384      0        1.00       0.91     0       0.71     0
//
// Over the corpus, 71 of the 100 pointers that an instruction touches are
// recovered, and none wrong. testdata/missed.txt lists the other 29: 20 are places of one
// test, whose types user space chooses; three lead to structs that the object only
// declares, two to single bytes; four are only handed on. [Ruling.Shown] leaves out
// pointers whose target no instruction tells; of the rest, 0.99 is recovered. Other
// people's builds: of the 10 that the 83 objects of Debian's libbpf-tools touch, all are
// recovered; of the 15 in libarena's 12 objects, 11.
package cast
