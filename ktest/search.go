package ktest

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ktgen/ktgen/vmm"
)

// Seeds says which runs a [Search] makes.
type Seeds struct {
	N      int    // how many seeds; 100 if it is 0
	First  uint64 // the first of them; 1 if it is 0
	All    bool   // go on after a run that failed, and count
	AtOnce int    // runs at a time; one for each CPU if it is 0

	// Config is of the guest of each run. It has no Seed.
	Config Config

	// Prepare leads the guest to the moment at which the seeds begin, such as with workers
	// that have worked for a while. If it is nil, that is when the scheduler is attached.
	//
	// One guest does what Prepare asks for, and not by any seed; then it is kept. For the guest of each seed
	// Prepare is called again, but what it asks for is not done: it is given what the first
	// guest answered, so that handles, workers and captures are there. It must ask for the same
	// each time, and what it hands to the test it hands over in the VM ([VM.Workers],
	// [VM.Captures]), as seeds run at the same time. It cannot use what looks at the guest's memory
	// while the guest runs, such as [VM.CaptureBeforeStall], nor [VM.Blame] and [VM.At]. If it
	// reads memory by [VM.Machine], it reads that of the moment at which the seeds begin.
	Prepare func(t *testing.T, vm *VM)
}

const defaultSeeds = 100

// Search runs a test in guests that differ in their seed only, until one fails. Each seed is
// another interleaving of the guest's CPUs, from where [Seeds.Prepare] has led one guest on, with the
// scheduler attached: the other guests begin as copies of it. Search runs the seed that failed again at once, and keeps it in
// testdata/seeds, from which later searches take their first seeds. The message says
// whether it failed again, and has the command that repeats the run. As [VM.Blame] does, it
// names the last stores to what the test has read out of its snapshots: to members in the
// source line that failed, and to others that stores raced to.
//
// The test keeps to what [Config.Seed] says, and does not call t.Parallel. Runs take place at
// the same time, so they must share nothing that they change. What the test does must depend
// on the guest only: a search in which all pass runs the first seed again, and fails if the
// test then did something else. A seed with which the test skips is neither passed nor failed; if
// it skips with all of them, so does the search.
//
// With KTGEN_SEED in the environment that seed is the only one.
func Search(t *testing.T, seeds Seeds, test func(t *testing.T, vm *VM)) {
	t.Helper()
	if err := seeds.check(); err != nil {
		t.Fatalf("search: %v", err)
	}
	s := &search{t: t, seeds: seeds.withDefaults(), test: test, began: time.Now()}
	asked, ok, err := askedSeed()
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	if !s.prepare() {
		return
	}
	defer s.preparation.machine.Close()
	if ok {
		if r := s.run(asked, "", true); r.blamed != "" {
			t.Log(r.blamed)
		}
		return
	}
	kept, err := keptSeeds(t.Name())
	if err != nil {
		t.Fatalf("search: %v", err)
	}
	s.queue = s.seeds.order(kept)
	s.sweep()
	s.conclude()
}

// check says what no search can be made of.
func (s Seeds) check() error {
	d := s.withDefaults()
	switch {
	case s.N < 0 || s.AtOnce < 0:
		return fmt.Errorf("Seeds has N %d and AtOnce %d: neither can be negative, and 0 is the default", s.N, s.AtOnce)
	case d.First+uint64(d.N) < d.First:
		return fmt.Errorf("%d seeds from %d on are more than there are: seeds end with %d", d.N, d.First, uint64(math.MaxUint64))
	case s.Config.Seed != 0:
		return fmt.Errorf("Seeds.Config has the seed %d, and a search takes many: say First: %[1]d to begin with it, or $%s=%[1]d to run no other", s.Config.Seed, EnvSeed)
	}
	return nil
}

func (s Seeds) withDefaults() Seeds {
	if s.N == 0 {
		s.N = defaultSeeds
	}
	if s.First == 0 {
		s.First = 1
	}
	if s.AtOnce == 0 {
		s.AtOnce = runtime.GOMAXPROCS(0)
	}
	return s
}

// order returns the seeds to run, kept ones first.
func (s Seeds) order(kept []seed) []seed {
	queue, there := kept, make(map[uint64]bool)
	for _, k := range kept {
		there[k.n] = true
	}
	for n := s.First; n < s.First+uint64(s.N); n++ {
		if !there[n] {
			queue = append(queue, seed{n: n})
		}
	}
	return queue
}

// search is a search under way.
type search struct {
	t     *testing.T
	seeds Seeds
	test  func(t *testing.T, vm *VM)
	began time.Time

	preparation *preparation // where the seeds begin

	mu     sync.Mutex
	queue  []seed
	done   int
	first  *searchRun // that has ended, and did not skip
	failed []*searchRun
	skips  []*searchRun
	stuck  *searchRun // one whose seed did not begin
	over   bool       // no further run begins
}

// searchRun is a run of one seed.
type searchRun struct {
	seed    seed // with its key
	began   bool // the guest came to where the seed decides
	passed  bool
	skipped bool
	trail   []vmm.Exchange
	blamed  string // who has written to what the test had read
}

// sweep runs the seeds until there are no more, or one has failed.
func (s *search) sweep() {
	var workers sync.WaitGroup
	for range s.seeds.AtOnce {
		workers.Go(func() {
			for n, ok := s.next(); ok; n, ok = s.next() {
				s.note(s.run(n, "", false))
			}
		})
	}
	workers.Wait()
}

func (s *search) next() (n seed, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || len(s.queue) == 0 {
		return seed{}, false
	}
	n, s.queue = s.queue[0], s.queue[1:]
	return n, true
}

// note takes the outcome of a run. One that failed is kept at once, as the search may be
// interrupted.
func (s *search) note(r *searchRun) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	switch {
	case r.skipped && !r.began: // no guest can boot
		s.skips, s.over = append(s.skips, r), true
		return
	case r.skipped:
		s.skips = append(s.skips, r)
		return
	case !r.began:
		s.stuck, s.over = r, true
		return
	}
	if s.first == nil {
		s.first = r
	}
	if r.passed {
		return
	}
	s.failed = append(s.failed, r)
	s.over = s.over || !s.seeds.All
	if err := keepSeed(s.t.Name(), r.seed); err != nil {
		s.t.Logf("seed %s is not kept: %v", r.seed, err)
	}
}

// run runs the test with a seed. If it fails, and why is asked for, the run says who has
// written to what the test had read.
func (s *search) run(n seed, suffix string, why bool) *searchRun {
	r := &searchRun{seed: seed{n: n.n}}
	ended := false
	r.passed = s.t.Run(fmt.Sprintf("seed=%d%s", n.n, suffix), func(t *testing.T) {
		defer func() { ended, r.skipped = true, t.Skipped() }()
		vm := s.start(t, n.n)
		r.began = true
		returned := false
		defer func() {
			r.seed, r.trail = vm.seed(), vm.machine.Calls().Trail()
			if !returned && !t.Failed() && !t.Skipped() {
				s.panics(r) // which ends the process
				return
			}
			if t.Failed() && why {
				r.blamed = vm.whyFailed(t, failedAt())
			}
		}()
		s.test(t, vm)
		returned = true
	})
	if !ended {
		s.t.Errorf("seed %d: the test calls t.Parallel, which a search does not allow: it runs as many guests at once as Seeds.AtOnce says", n.n)
	}
	return r
}

// panics keeps the seed of a test that panics, which nothing comes after.
func (s *search) panics(r *searchRun) {
	if err := keepSeed(s.t.Name(), r.seed); err != nil {
		fmt.Fprintf(os.Stderr, "seed %s is not kept: %v\n", r.seed, err)
	}
	fmt.Fprintf(os.Stderr, "seed %d panics; repeat this run with\n\t%s\n", r.seed.n, repeat(s.t.Name(), r.seed))
}

// conclude says what was found, and whether it is found again.
func (s *search) conclude() {
	s.t.Helper()
	spent := time.Since(s.began).Round(100 * time.Millisecond)
	switch {
	case len(s.skips) == 0 && s.first == nil && s.stuck == nil, slices.ContainsFunc(s.skips, func(r *searchRun) bool { return !r.began }):
		s.t.Skip("no guest can boot here: see the first seed")
	case s.first == nil && s.stuck == nil:
		s.t.Skipf("the test skips with each of %d seeds: see there", s.done)
	case len(s.failed) > 0:
		found := s.failed[0]
		again := s.run(found.seed, "/again", true)
		s.t.Errorf("seed %d fails (%d of %d runs failed, in %v); %s\nrepeat this run with\n\t%s\n%s%s", found.seed.n, len(s.failed), s.done, spent, found.compare(again), repeat(s.t.Name(), found.seed), s.nonePassed(), again.blamed)
	case s.stuck != nil:
		s.t.Errorf("seed %d did not begin, and no other one was tried: its guest did not come to where seeds begin, for the reason above", s.stuck.seed.n)
	default:
		again := s.run(s.first.seed, "/again", false)
		if d := difference(s.first.trail, again.trail); d != "" {
			s.t.Errorf("seed %d was run twice, and the two runs differ, so that what the other runs say is worth nothing: %s", s.first.seed.n, d)
			return
		}
		s.t.Log(s.passed(spent))
	}
}

// nonePassed says what it can mean that no seed has passed: with a rare race most do.
func (s *search) nonePassed() string {
	if len(s.failed)+len(s.skips) < s.done {
		return ""
	}
	return "no seed has passed: what was wrong before seeds begin, in Seeds.Prepare or while the scheduler started, fails each, and is not explained here (compare with a snapshot that the test takes first)\n"
}

// passed says how many seeds pass, if none fails.
func (s *search) passed(spent time.Duration) string {
	switch {
	case len(s.skips) > 0:
		return fmt.Sprintf("%d of %d seeds pass, in %v; with the others the test skips, such as seed %d", s.done-len(s.skips), s.done, spent, s.skips[0].seed.n)
	case s.done == 1:
		return fmt.Sprintf("the only seed, %d, passes, in %v", s.first.seed.n, spent)
	}
	return fmt.Sprintf("all of %d seeds pass, in %v", s.done, spent)
}

// compare says what has become of a run that failed when it was run again.
func (r *searchRun) compare(again *searchRun) string {
	d := difference(r.trail, again.trail)
	switch {
	case d != "" && again.passed:
		return "run again it passes, as it was not the same run: " + d
	case d != "":
		return "run again it fails, but not in the same way: " + d
	case again.passed:
		return "run again it passes, although the guest was asked the same: the test itself decides otherwise by something else than the guest, such as the host's time, or other tests"
	}
	return fmt.Sprintf("run again it fails in the same way (%d exchanges with the guest are equal)", len(r.trail))
}

// difference says where two runs of a seed begin to differ, and whose doing it is. It is
// empty if they do not.
func difference(a, b []vmm.Exchange) string {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x.Now != y.Now || x.In != y.In {
			return fmt.Sprintf("the guest did (at its call %d, at %v and %v), having been asked the same: this is a bug in ktgen, please report it with the QEMU's version", i+1, x.Now, y.Now)
		}
		if x.Out != y.Out {
			return fmt.Sprintf("the test did, at %v of the guest's time: first it asked %s, then %s (what a test does may depend on the guest only: not on the host's time, random numbers, the order of a map, or other goroutines)", x.Now, asked(x.Sent), asked(y.Sent))
		}
	}
	if len(a) != len(b) {
		return fmt.Sprintf("the test did: it ended after %d exchanges with the guest, and after %d", len(a), len(b))
	}
	return ""
}

// asked names what the host has asked of the agent.
func asked(sent string) string {
	_, call, ok := strings.Cut(sent, `{"Method":"`)
	if !ok {
		return "nothing new"
	}
	method, params, _ := strings.Cut(call, `"`)
	params = strings.TrimPrefix(params, `,"Params":`)
	if end := strings.IndexFunc(params, func(r rune) bool { return r < ' ' }); end >= 0 {
		params = params[:end]
	}
	const limit = 60
	if params = strings.TrimSuffix(params, "}"); len(params) > limit {
		params = params[:limit] + "..."
	}
	return fmt.Sprintf("%s(%s)", method, params)
}
