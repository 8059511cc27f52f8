package ktest

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// EnvSeed names the environment variable with the seed to use instead of that of a
// test: 37, or 37@KEY as a failed test prints it, which is refused where the run cannot
// be the same. In a [Search] it is the only one.
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
	number, key, _ := strings.Cut(strings.TrimSpace(text), "@")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || n == 0 {
		return seed{}, &SeedError{Seed: strconv.Quote(text), Reason: "a seed is a number from 1 on, maybe with @ and a key"}
	}
	return seed{n, key}, nil
}

// askedSeed returns the seed of the environment, if there is one.
func askedSeed() (s seed, ok bool, err error) {
	text := os.Getenv(EnvSeed)
	if text == "" {
		return seed{}, false, nil
	}
	if s, err = parseSeed(text); err != nil {
		return s, false, fmt.Errorf("$%s: %w", EnvSeed, err)
	}
	return s, true, nil
}

// seeded returns the configuration with the seed that the environment asks for.
func (c Config) seeded() (Config, error) {
	if c.Seed == 0 || c.isPrepared() {
		return c, nil
	}
	asked, ok, err := askedSeed()
	if err != nil || !ok {
		return c, err
	}
	c.Seed, c.seedKey = asked.n, asked.key
	return c, nil
}

// checkSeed says why the run cannot be the one that the seed is known for.
func (vm *VM) checkSeed() error {
	if vm.cfg.seedKey == "" {
		return nil
	}
	key, err := vm.machine.SeedKey()
	if err != nil {
		return err
	}
	differs := key.Differs(vm.cfg.seedKey)
	if differs == "" {
		return nil
	}
	s := seed{vm.cfg.Seed, vm.cfg.seedKey}
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

// repeat returns the command that repeats a run of a test.
func repeat(name string, s seed) string {
	var levels []string
	for level := range strings.SplitSeq(name, "/") {
		levels = append(levels, "^"+regexp.QuoteMeta(level)+"$")
	}
	return fmt.Sprintf("%s=%s go test -count=1 -run '%s'", EnvSeed, s, strings.Join(levels, "/"))
}

// saySeed tells how the run of a test that has failed is repeated.
func (vm *VM) saySeed(tb testing.TB) {
	if vm.cfg.Seed != 0 && !vm.cfg.searched {
		tb.Logf("repeat this run with\n\t%s", repeat(tb.Name(), vm.seed()))
	}
}
