package main

import (
	"fmt"

	"github.com/ktgen/ktgen/vmm/cache"
)

// cache shows what the cache takes, or empties it.
func (t *tool) cache(args []string) error {
	set := t.flags("ktgen cache [list|clean]")
	if err := t.parseFlags(set, args); err != nil {
		return err
	}
	dir, err := cache.Dir()
	if err != nil {
		return err
	}
	switch {
	case set.NArg() == 0 || set.NArg() == 1 && set.Arg(0) == "list":
		return t.cacheList(dir)
	case set.NArg() == 1 && set.Arg(0) == "clean":
		return cache.Clean(dir)
	}
	return t.unknown("cache command", set.Arg(set.NArg()-1), cacheCommands)
}

var cacheCommands = []string{"list", "clean"}

// cacheList prints where the cache is, what each folder takes, and how it is
// bounded.
func (t *tool) cacheList(dir string) error {
	limit, err := cache.TemplateLimit()
	if err != nil {
		return err
	}
	var total int64
	for _, f := range cache.Measure(dir) {
		total += f.Bytes
		fmt.Fprintf(t.stdout, "%8s  %-10s %s\n", mib(f.Bytes), f.Name, f.About)
	}
	_, err = fmt.Fprintf(t.stdout, `%8s  together, in %s
%s takes %s at most: what was used last is kept ($%s).
$%s moves the cache; "ktgen cache clean" empties it.
`, mib(total), dir, cache.Templates, mib(limit), cache.TemplatesEnv, cache.DirEnv)
	return err
}

func mib(bytes int64) string { return fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20)) }
