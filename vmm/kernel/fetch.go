package kernel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/vmm/cache"
)

// DefaultSuites are the suites of the Debian archive that have kernels with
// sched_ext, in the order they are tried. The first is a small download: its
// list of packages has 1 MB, that of the second 10 MB.
var DefaultSuites = []string{"trixie-backports", "sid"}

// FetchOptions says what to download. The zero value is the newest kernel of
// the first of the default suites that has one.
type FetchOptions struct {
	Suite   string    // of the Debian archive; "" for DefaultSuites
	Release string    // of the kernel, or how it begins, such as "7.2"; "" for the newest. All of it takes any flavour
	Modules []string  // names of modules that guests are going to load
	Mirror  string    // URI of a Debian archive; "" for the one the system uses
	Log     io.Writer // gets a line for each step; may be nil
}

// Fetch downloads a Debian kernel for virtual machines into the cache and
// returns it. It uses apt and how the system reaches the Debian archive, with
// a configuration of its own: it installs nothing, changes nothing outside of
// the cache, and needs no privileges. Packages are only taken if their
// signature is good.
//
// Without the archive a kernel that is in the cache and meets opts is returned,
// and the log says so. The error is a [*FetchError].
func Fetch(ctx context.Context, opts FetchOptions) (*Kernel, error) {
	if opts.Log == nil {
		opts.Log = io.Discard
	}
	dir, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	f := &fetcher{FetchOptions: opts, kernels: filepath.Join(dir, kernelsDir), aptDir: filepath.Join(dir, cache.Apt)}
	kernel, err := fetchFirst(ctx, f, f.fetchFrom)
	if err == nil {
		return kernel, nil
	}
	if ctx.Err() != nil {
		return nil, err
	}
	err = cache.Explain(filepath.Join(f.aptDir, "lock"), err)
	failure := &FetchError{What: "a kernel", Err: err, Hint: hintFor(err, elsewhere)}
	if kernel, _ := f.cachedMatch(ctx); kernel != nil && kernel.HasModules(ctx, f.Modules) {
		f.logf("%v", failure)
		f.logf("using kernel %s, which is in the cache: %s", kernel.Release, kernel.Path)
		return kernel, nil
	}
	return nil, failure
}

// fetcher is one call of Fetch.
type fetcher struct {
	FetchOptions
	kernels string // directory of the results
	aptDir  string
}

func (f *fetcher) logf(format string, args ...any) {
	fmt.Fprintf(f.Log, format+"\n", args...)
}

// fetchFirst fetches with from, from the first archive and suite that has what
// is wanted.
func fetchFirst[T any](ctx context.Context, f *fetcher, from func(context.Context, *apt, string) (T, error)) (T, error) {
	var none T
	if _, err := exec.LookPath("apt-get"); err != nil {
		return none, fmt.Errorf("%w: %w", errNoApt, err)
	}
	archives, err := f.archives(ctx)
	if err != nil {
		return none, err
	}
	if err := os.MkdirAll(f.aptDir, 0o755); err != nil {
		return none, err
	}
	unlock, err := cache.Lock(ctx, filepath.Join(f.aptDir, "lock"))
	if err != nil {
		return none, err
	}
	defer unlock()
	defer os.RemoveAll(filepath.Join(f.aptDir, aptCache))
	return fetchFrom(ctx, f, archives, from)
}

// keyrings are where Debian's keys are when a system has them, by the release
// of the package.
var keyrings = []string{
	"/usr/share/keyrings/debian-archive-keyring.pgp",
	"/usr/share/keyrings/debian-archive-keyring.gpg",
}

// archives returns where to look, at least one.
func (f *fetcher) archives(ctx context.Context) ([]source, error) {
	if f.Mirror != "" {
		mirror := source{uris: []string{f.Mirror}, options: map[string]string{}}
		for _, keyring := range keyrings {
			if _, err := os.Stat(keyring); err == nil {
				mirror.options["Signed-By"] = keyring
				break
			}
		}
		return []source{mirror}, nil
	}
	archives, err := systemArchives(ctx)
	if err == nil && len(archives) == 0 {
		err = errNoArchive
	}
	return archives, err
}

// fetchFrom is fetchFirst for archives that are known.
func fetchFrom[T any](ctx context.Context, f *fetcher, archives []source, from func(context.Context, *apt, string) (T, error)) (T, error) {
	var none T
	suites := DefaultSuites
	if f.Suite != "" {
		suites = []string{f.Suite}
	}
	var failures []error
	for _, archive := range archives {
		apt, err := newApt(f.aptDir, archive)
		if err != nil {
			return none, err
		}
		for _, suite := range suites {
			got, err := from(ctx, apt, suite)
			if err == nil || ctx.Err() != nil {
				return got, err
			}
			failures = append(failures, fmt.Errorf("suite %s: %w", suite, err))
		}
	}
	return none, errors.Join(failures...)
}

func (f *fetcher) fetchFrom(ctx context.Context, apt *apt, suite string) (*Kernel, error) {
	p, err := f.choose(ctx, apt, suite)
	if err != nil {
		return nil, err
	}
	return f.get(ctx, apt, p)
}

// choose finds the newest package in suite that is wanted.
func (f *fetcher) choose(ctx context.Context, apt *apt, suite string) (aptPackage, error) {
	if err := f.readList(ctx, apt, suite); err != nil {
		return aptPackage{}, err
	}
	packages, err := apt.kernelPackages(ctx, f.Release)
	if err != nil {
		return aptPackage{}, err
	}
	i := slices.IndexFunc(packages, func(p aptPackage) bool { return f.wants(p.release) })
	if i < 0 {
		return aptPackage{}, fmt.Errorf("%w: %s", errNoPackage, f.describeMiss(packages))
	}
	p := packages[i]
	p.suite = suite
	return p, nil
}

// readList makes suite the one in use and downloads the list of its packages.
func (f *fetcher) readList(ctx context.Context, apt *apt, suite string) error {
	if err := apt.use(suite); err != nil {
		return err
	}
	f.logf("reading the package list of %s from %s", suite, strings.Join(apt.archive.uris, " "))
	if strings.EqualFold(apt.archive.options["Trusted"], "yes") {
		f.logf("this system's sources trust that archive without signatures (Trusted: yes)")
	}
	return apt.update(ctx)
}

// wants says whether a release is what was asked for.
func (f *fetcher) wants(release string) bool {
	rest, ok := strings.CutPrefix(release, f.Release)
	return ok && (f.Release == "" || rest == "" || !isDigit(rest[0]))
}

func (f *fetcher) describeMiss(packages []aptPackage) string {
	if len(packages) == 0 {
		return "it has no kernel for virtual machines"
	}
	var releases []string
	for _, p := range packages {
		if !slices.Contains(releases, p.release) {
			releases = append(releases, p.release)
		}
	}
	return fmt.Sprintf("release %s is not among its %d kernels: %s", f.Release, len(releases), strings.Join(releases, ", "))
}

// get returns the kernel of a package, downloading it unless it is in the cache
// and whole.
func (f *fetcher) get(ctx context.Context, apt *apt, p aptPackage) (*Kernel, error) {
	entry := filepath.Join(f.kernels, p.release)
	image := filepath.Join(entry, imageFile)
	if k, err := Open(ctx, image); err == nil {
		f.logf("kernel %s is in the cache: %s", p.release, image)
		f.addConfig(ctx, apt, p, entry)
		if err := f.addModules(ctx, apt, p, k, entry); err != nil {
			return nil, err
		}
		k.Config = configOf(image, k.Release)
		return k, k.Fit()
	}
	p, err := apt.describe(ctx, p)
	if err != nil {
		return nil, err
	}
	f.logf("downloading %s %s of %s, %.1f MB, to %s", p.name, p.version, p.suite, float64(p.size)/1e6, entry)
	err = cache.Replace(ctx, entry, func(partial string) error {
		return f.downloadInto(ctx, apt, p, partial)
	})
	if err != nil {
		return nil, err
	}
	return Open(ctx, image)
}

// downloadInto makes the cache entry of a package's kernel. A kernel that does
// not fit does not get there.
func (f *fetcher) downloadInto(ctx context.Context, apt *apt, p aptPackage, entry string) error {
	if err := os.Mkdir(entry, 0o755); err != nil {
		return err
	}
	image := filepath.Join(entry, imageFile)
	var packed string
	err := apt.withPackage(ctx, p, func(path string) error {
		packed = filepath.Base(path)
		found, err := unpack(path, map[string]string{imageFile: image, configFile: filepath.Join(entry, configFile)})
		if err == nil && !found[imageFile] {
			err = errors.New("it has no kernel image (boot/vmlinuz-* or usr/lib/modules/*/vmlinuz)")
		}
		if err != nil {
			return fmt.Errorf("unpacking %s: %w", packed, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	k, err := Open(ctx, image)
	if err != nil {
		return err
	}
	if err := f.addModules(ctx, apt, p, k, entry); err != nil {
		return err
	}
	if k.Fit() != nil {
		unfit := &UnfitError{Path: packed, Release: k.Release, Lacks: k.lacks}
		return errors.Join(unfit, cache.Remove(ctx, k.inspected))
	}
	f.addConfig(ctx, apt, p, entry)
	return os.WriteFile(filepath.Join(entry, suiteFile), []byte(p.suite+"\n"), 0o644)
}

// suiteFile, beside a fetched image, holds the suite it is of.
const suiteFile = "suite"

// cachedMatch returns the newest fit kernel in the cache that is wanted; nil if there is none. The
// error is a [*cache.WriteError].
func (f *fetcher) cachedMatch(ctx context.Context) (*Kernel, error) {
	var full *cache.WriteError
	var unwritten error
	for _, release := range cachedReleases(f.kernels) {
		if !f.wants(release) || !f.wantsSuiteOf(release) {
			continue
		}
		k, err := Open(ctx, filepath.Join(f.kernels, release, imageFile))
		if err == nil && k.Fit() == nil {
			return k, nil
		}
		if errors.As(err, &full) {
			unwritten = err
		}
	}
	return nil, unwritten
}

func (f *fetcher) wantsSuiteOf(release string) bool {
	if f.Suite == "" {
		return true
	}
	suite, err := os.ReadFile(filepath.Join(f.kernels, release, suiteFile))
	return err == nil && strings.TrimSpace(string(suite)) == f.Suite
}
