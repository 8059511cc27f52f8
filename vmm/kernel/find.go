package kernel

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/vmm/cache"
)

// Env names the environment variable that chooses the kernel: a bzImage, an ELF
// vmlinux or a directory that holds one.
const Env = "KTGEN_KERNEL"

// Origin is why a place is looked at.
type Origin string

const (
	OriginEnv   Origin = "chosen by $" + Env
	OriginCache Origin = "in the cache"
	OriginHost  Origin = "what this machine runs"
)

// Look is a place where a kernel could be, and what is there.
type Look struct {
	Origin Origin
	Path   string
	Kernel *Kernel // nil if there is none, or none that can be read
	Err    error   // why the kernel is not used; nil if it can be
}

// Find returns the kernel to boot: the one $KTGEN_KERNEL chooses, else the
// newest in the cache, else the one this machine runs, if its image is on disk.
// Kernels that are unfit or damaged are passed over, unless chosen: then there
// is no other. The error is a [*NotFoundError], which is [ErrNoKernel], or a
// [*cache.WriteError] if a kernel is there and the cache has no room for what is read of it.
func Find(ctx context.Context) (*Kernel, error) {
	var looked []Look
	for look, err := range looks(ctx) {
		if err != nil {
			return nil, err
		}
		if look.Err == nil {
			return look.Kernel, nil
		}
		looked = append(looked, look)
	}
	for _, look := range looked {
		if full := (*cache.WriteError)(nil); errors.As(look.Err, &full) {
			return nil, look.Err
		}
	}
	return nil, &NotFoundError{Looked: looked}
}

// FindRelease returns the newest kernel in the cache of a release, or of those
// that begin with it as a version does: "7.2" is 7.2.12 and not 7.20. It returns
// [ErrNoKernel] if there is none that is fit.
func FindRelease(ctx context.Context, release string) (*Kernel, error) {
	dir, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	f := fetcher{FetchOptions: FetchOptions{Release: release}, kernels: filepath.Join(dir, kernelsDir)}
	k, err := f.cachedMatch(ctx)
	if k != nil || err != nil {
		return k, err
	}
	return nil, fmt.Errorf("%w of release %s in %s: run `ktgen kernel fetch -release %[2]s` to download one", ErrNoKernel, release, f.kernels)
}

// Survey looks at all the places that Find may look at, in its order. Find
// returns the kernel of the first without an error.
func Survey(ctx context.Context) ([]Look, error) {
	var looked []Look
	for look, err := range looks(ctx) {
		if err != nil {
			return nil, err
		}
		looked = append(looked, look)
	}
	return looked, nil
}

// looks opens the kernels at all places, one after the other.
func looks(ctx context.Context) func(yield func(Look, error) bool) {
	return func(yield func(Look, error) bool) {
		places, err := places()
		if err != nil {
			yield(Look{}, err)
			return
		}
		for _, look := range places {
			if look.Err == nil {
				look.open(ctx)
			}
			if !yield(look, context.Cause(ctx)) {
				return
			}
		}
	}
}

func (l *Look) open(ctx context.Context) {
	if l.Kernel, l.Err = Open(ctx, l.Path); l.Err == nil {
		l.Err = l.Kernel.Fit()
	}
}

// places lists where kernels can be. Those that have an error have none.
func places() ([]Look, error) {
	if chosen := os.Getenv(Env); chosen != "" {
		return []Look{{Origin: OriginEnv, Path: chosen}}, nil
	}
	dir, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	return append(cached(dir), hosts()...), nil
}

// kernelsDir and imageFile name, below the cache directory, a fetched kernel:
// kernels/RELEASE/vmlinuz.
const (
	kernelsDir = cache.Kernels
	imageFile  = "vmlinuz"
)

// cached lists the kernels in a cache directory, the newest first.
func cached(dir string) []Look {
	root := filepath.Join(dir, kernelsDir)
	releases := cachedReleases(root)
	if len(releases) == 0 {
		return []Look{{Origin: OriginCache, Path: root, Err: fmt.Errorf("%s has no kernel", root)}}
	}
	var found []Look
	for _, release := range releases {
		found = append(found, Look{Origin: OriginCache, Path: filepath.Join(root, release, imageFile)})
	}
	return found
}

// cachedReleases names the complete entries of root, the newest first.
func cachedReleases(root string) []string {
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil
	}
	var releases []string
	for _, entry := range entries {
		if entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			releases = append(releases, entry.Name())
		}
	}
	slices.SortFunc(releases, func(a, b string) int { return compareReleases(b, a) })
	return releases
}

// hosts lists where distributions keep the image of the running kernel.
func hosts() []Look {
	release := runningRelease()
	var places []Look
	for _, path := range []string{
		"/boot/vmlinuz-" + release,
		"/usr/lib/modules/" + release + "/vmlinuz",
		"/boot/vmlinuz",
	} {
		look := Look{Origin: OriginHost, Path: path}
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			look.Err = fmt.Errorf("%s does not exist", path)
		}
		places = append(places, look)
	}
	return places
}

// runningRelease is what uname -r prints.
func runningRelease() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}
