package vmm

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ktgen/ktgen/vmm/cache"
)

// templateStore is the directory that keeps templates, for all processes of a
// user. When it gets too large the templates that were not used for longest are
// removed.
type templateStore struct {
	dir   string
	limit Size
}

const templateSuffix = ".vm"

func openStore(cacheDir string) (*templateStore, error) {
	limit, err := cache.TemplateLimit()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cacheDir, cache.Templates)
	if err := os.MkdirAll(dir, 0o700); err != nil { // templates hold kernel memory
		return nil, cache.Explain(dir, err)
	}
	_ = cache.Sweep(dir) // whoever cannot remove what others left runs on
	return &templateStore{dir: dir, limit: Size(limit)}, nil
}

func (s *templateStore) path(key string) string {
	return filepath.Join(s.dir, key+templateSuffix)
}

// open opens a template and marks it as used.
func (s *templateStore) open(key string, ramSize Size) (*template, error) {
	t, err := openTemplate(s.path(key), ramSize)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	os.Chtimes(s.path(key), at, at) // only the order of removal depends on it
	return t, nil
}

func (s *templateStore) remove(key string) { os.Remove(s.path(key)) }

// put adds a template that write writes. Others see it whole or not at all.
func (s *templateStore) put(key string, write func(*os.File) error) error {
	if err := cache.WriteFile(s.path(key), write); err != nil {
		return err
	}
	s.shrink(key)
	return nil
}

// shrink removes templates, all but the one to keep, until they fit into the limit.
// A template that is being read stays readable.
func (s *templateStore) shrink(keep string) {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return
	}
	type file struct {
		path string
		size Size
		used time.Time
	}
	var files []file
	var total Size
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			continue // removed by another process
		}
		total += Size(info.Size()) // those that are being written, too
		if strings.HasSuffix(entry.Name(), templateSuffix) {
			files = append(files, file{filepath.Join(s.dir, entry.Name()), Size(info.Size()), info.ModTime()})
		}
	}
	slices.SortFunc(files, func(a, b file) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path))
	})
	for _, f := range files {
		if total <= s.limit {
			return
		}
		if f.path != s.path(keep) && os.Remove(f.path) == nil {
			total -= f.size
		}
	}
}

// lock makes the caller the only one, of all processes, who builds the template of
// the key, until it calls unlock. It waits for others for some time only. Keys
// share 256 lock files.
func (s *templateStore) lock(ctx context.Context, key string, wait time.Duration) (unlock func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	return cache.Lock(ctx, filepath.Join(s.dir, ".lock-"+key[:2]))
}
