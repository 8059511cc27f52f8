package kernel

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ktgen/ktgen/vmm/cache"
)

// FetchError says why there is no kernel, or no source tree, and what to do.
type FetchError struct {
	What string // that was fetched
	Err  error
	Hint string
}

func (e *FetchError) Error() string {
	return fmt.Sprintf("fetching %s: %v\n%s", e.What, e.Err, e.Hint)
}

func (e *FetchError) Unwrap() error { return e.Err }

// Reasons that are not a failing command.
var (
	errNoApt     = errors.New("this system has no apt")
	errNoArchive = errors.New("none of this system's package sources is the Debian archive")
	errNoPackage = errors.New("no such kernel")
)

// elsewhere ends hints: what works without fetching.
const elsewhere = "or get a kernel (6.12 or later with CONFIG_SCHED_CLASS_EXT=y and CONFIG_DEBUG_INFO_BTF=y) by other means and set $" + Env + " to it"

// hints are what to do by a part of a failing command's output. The first that
// applies is given.
var hints = []struct{ symptom, hint string }{
	{"NO_PUBKEY", "the archive's signature cannot be verified with the keys this system has: update the package debian-archive-keyring, "},
	{"EXPKEYSIG", "the archive's key in use has expired: update the package debian-archive-keyring, "},
	{"is not signed", "the archive is not signed, and unsigned packages are never used: correct the system's sources, "},
	{"not available in your", "the archive's signature cannot be verified: update the package debian-archive-keyring, "},
	{"does not have a Release file", "the archive has no such suite: choose one with -suite, "},
	{"No space left", "make room, or set $" + cache.DirEnv + " to a directory with some, "},
	{"Could not resolve", "connect to the network or set apt's proxy (Acquire::http::Proxy), "},
	{"Could not connect", "connect to the network or set apt's proxy (Acquire::http::Proxy), "},
	{"Failed to fetch", "see that `apt-get update` works on this system, "},
}

// hintFor says what to do about err, or what works without fetching.
func hintFor(err error, elsewhere string) string {
	var (
		failed *CommandError
		unfit  *UnfitError
		file   *fs.PathError
		full   *cache.WriteError
	)
	switch {
	case errors.Is(err, errNoApt):
		return "fetching needs Debian's package tools: use a Debian or Ubuntu system or container, " + elsewhere
	case errors.Is(err, errNoArchive):
		return "name a mirror of the Debian archive with -mirror (its keys come with the package debian-archive-keyring), " + elsewhere
	case errors.Is(err, errNoPackage):
		return "choose another suite or version with -suite and -release, " + elsewhere
	case errors.As(err, &unfit):
		return "choose a newer kernel with -suite or -release, " + elsewhere
	case errors.As(err, &full): // which says what to do
		return elsewhere
	case errors.As(err, &file):
		return "set $" + cache.DirEnv + " to a directory that ktgen may write to, " + elsewhere
	case errors.As(err, &failed):
		for _, h := range hints {
			if strings.Contains(failed.Output, h.symptom) {
				return h.hint + elsewhere
			}
		}
	}
	return "try again, " + elsewhere
}
