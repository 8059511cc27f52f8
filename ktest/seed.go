package ktest

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// EnvSeed names the environment variable with the seed to use instead of that of a
// test: 37, or 37@KEY as a failed test prints it, which is refused where the run cannot
// be the same. In a [Search] it is the only one. It may have several, with commas in
// between, for a test that boots several guests: each takes that of its [Config.Seed], or the
// one seed that all keys are of.
const EnvSeed = "KTGEN_SEED"

// seed is a seed and the key of the guest that it belongs to; empty for any.
type seed struct {
	n   uint64
	key string
}

func (s seed) String() string {
	if s.key == "" {
		return strconv.FormatUint(s.n, 10)
	}
	return fmt.Sprintf("%d@%s", s.n, s.key)
}

// SeedError says why a seed cannot be used.
type SeedError struct {
	Seed   string
	Reason string
}

func (e *SeedError) Error() string { return fmt.Sprintf("seed %s: %s", e.Seed, e.Reason) }

func parseSeed(text string) (seed, error) {
	number, key, keyed := strings.Cut(strings.TrimSpace(text), "@")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n == 0 || keyed && key == "" {
		return seed{}, &SeedError{Seed: strconv.Quote(text), Reason: "a seed is a number from 1 on, maybe with @ and a key, as a failed test prints it"}
	}
	return seed{n, key}, nil
}

// askedSeeds returns the seeds of the environment, if there are any.
func askedSeeds() (all []seed, err error) {
	text := os.Getenv(EnvSeed)
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		s, err := parseSeed(part)
		if err != nil {
			return nil, fmt.Errorf("$%s: %w", EnvSeed, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// askedSeed returns the seed of the environment, if there is one, for a search.
func askedSeed() (s seed, ok bool, err error) {
	all, err := askedSeeds()
	if len(all) > 1 {
		return s, false, fmt.Errorf("$%s: %w", EnvSeed, &SeedError{Seed: all[1].String(), Reason: "a search runs one: name one only"})
	}
	if err != nil || len(all) == 0 {
		return s, false, err
	}
	return all[0], true, nil
}

// seeded returns the configuration with the seed that the environment asks for.
func (c Config) seeded() (Config, error) {
	if c.Seed == 0 || c.isPrepared() {
		return c, nil
	}
	asked, err := askedSeeds()
	if err != nil || len(asked) == 0 {
		return c, err
	}
	if slices.ContainsFunc(asked, func(s seed) bool { return s.n != asked[0].n }) {
		own := slices.DeleteFunc(slices.Clone(asked), func(s seed) bool { return s.n != c.Seed })
		if len(own) == 0 {
			return c, fmt.Errorf("$%s: %w", EnvSeed, &SeedError{Seed: os.Getenv(EnvSeed), Reason: fmt.Sprintf("a guest of the test has Config.Seed %d, which is none of them: name that, or unset the variable", c.Seed)})
		}
		asked = own
	}
	c.Seed = asked[0].n
	for _, s := range asked {
		if s.key != "" {
			c.seedKeys = append(c.seedKeys, s.key)
		}
	}
	return c, nil
}

// ignoresSeed says that a guest does not take the seed of the environment.
func (c Config) ignoresSeed() error {
	if text := os.Getenv(EnvSeed); text != "" && c.Seed == 0 {
		return fmt.Errorf("$%s is %s, and this guest runs without a seed: Config.Seed is 0, so the run is another one each time", EnvSeed, text)
	}
	return nil
}

// checkSeed says why the run cannot be the one that the seed is known for.
func (vm *VM) checkSeed() error {
	if len(vm.cfg.seedKeys) == 0 {
		return nil
	}
	key, err := vm.machine.SeedKey()
	if err != nil {
		return err
	}
	var differs string
	for _, other := range slices.Backward(vm.cfg.seedKeys) {
		if differs = key.Differs(other); differs == "" {
			return nil
		}
	}
	s := seed{vm.cfg.Seed, vm.cfg.seedKeys[0]}
	return &SeedError{Seed: s.String(), Reason: fmt.Sprintf("the run that it is known for cannot be repeated, as this differs: %s; run it where that is as it was, or try the seed for itself, which is another run here (%s=%d)", differs, EnvSeed, s.n)}
}

// seed returns the guest's seed with its key.
func (vm *VM) seed() seed {
	key, err := vm.machine.SeedKey()
	if err != nil {
		return seed{n: vm.cfg.Seed}
	}
	return seed{vm.cfg.Seed, key.String()}
}

// repeat returns the command that repeats a run of a test with these seeds.
func repeat(name string, seeds ...seed) string {
	var all []string
	for _, s := range seeds {
		all = append(all, s.String())
	}
	var levels []string
	for level := range strings.SplitSeq(name, "/") {
		levels = append(levels, "^"+regexp.QuoteMeta(level)+"$")
	}
	return fmt.Sprintf("%s=%s go test -count=1 -run '%s'", EnvSeed, strings.Join(all, ","), strings.Join(levels, "/"))
}

// saySeed tells how the run of a test that has failed is repeated, once.
func (vm *VM) saySeed(tb testing.TB) {
	if vm.cfg.Seed == 0 || vm.cfg.searched {
		return
	}
	if seeds, wanted := testSeeds.tell(tb.Name()); wanted {
		tb.Logf("repeat this run with\n\t%s", repeat(tb.Name(), seeds...))
	}
}

// noteSeed notes the guest's seed as one of its test.
func (vm *VM) noteSeed(tb testing.TB) {
	if vm.cfg.Seed != 0 && !vm.cfg.searched {
		testSeeds.note(tb.Name(), vm.seed())
		tb.Cleanup(func() { testSeeds.end(tb.Name()) })
	}
}

// noteRefusal notes if an error of a guest's start is that of a seed.
func noteRefusal(tb testing.TB, err error) {
	if refused := (*SeedError)(nil); errors.As(err, &refused) {
		testSeeds.refuse(tb.Name())
		tb.Cleanup(func() { testSeeds.end(tb.Name()) })
	}
}

// seedsOfTests are the seeds of the guests that tests have booted: a command runs a test, with its
// subtests, and as much of the tests that it is a part of as does not belong to others.
type seedsOfTests struct {
	mu     sync.Mutex
	byName map[string]*seedsOfTest
}

type seedsOfTest struct {
	seeds []seed // each once, in the order of the boots
	told  bool
	over  bool // the test has ended; one of its name is another run of it

	refused bool // one of its guests did not run, as it was given a seed that it cannot use
}

var testSeeds = seedsOfTests{byName: make(map[string]*seedsOfTest)}

// of returns the seeds of the run of a test that has not ended. The lock is held.
func (t *seedsOfTests) of(name string) *seedsOfTest {
	of := t.byName[name]
	if of == nil || of.over {
		of = new(seedsOfTest)
		t.byName[name] = of
	}
	return of
}

// refuse notes that a test was given a seed that a guest cannot use: no command repeats
// what it was to run.
func (t *seedsOfTests) refuse(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.of(name).refused = true
}

func (t *seedsOfTests) note(name string, s seed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := t.of(name)
	if !slices.Contains(of.seeds, s) {
		of.seeds = append(of.seeds, s)
	}
}

func (t *seedsOfTests) end(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.byName[name].over = true
}

// tell returns what the command needs that runs a test, and whether it is to be told: that is once,
// and not if a seed was refused.
func (t *seedsOfTests) tell(name string) (seeds []seed, wanted bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	refused := false
	for _, other := range slices.Sorted(maps.Keys(t.byName)) {
		if !strings.HasPrefix(name+"/", other+"/") && !strings.HasPrefix(other, name+"/") {
			continue
		}
		refused = refused || t.byName[other].refused
		for _, s := range t.byName[other].seeds {
			if !slices.Contains(seeds, s) {
				seeds = append(seeds, s)
			}
		}
	}
	of := t.byName[name]
	wanted = of != nil && !of.told && !refused
	if of != nil {
		of.told = true
	}
	return seeds, wanted
}
