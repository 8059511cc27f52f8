package kernel

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ktgen/ktgen/vmm/cache"
)

// This file finds the configuration that a kernel was built with, which BPF
// programs read options of.

// configFile is the configuration beside a fetched image.
const configFile = "config"

// maxConfig bounds a configuration in bytes. Debian's have 130 to 300 kB.
const maxConfig = 16 << 20

// configOf returns the path of the configuration of the kernel in image, as
// packages and build trees have it, or "".
func configOf(image, release string) string {
	dir := filepath.Dir(image)
	places := []string{filepath.Join(dir, "config-"+release), filepath.Join(dir, configFile), filepath.Join(dir, ".config")}
	if tree, ok := strings.CutSuffix(dir, "/arch/x86/boot"); ok {
		places = append(places, filepath.Join(tree, ".config"))
	}
	for _, path := range places {
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Size() > 0 && info.Size() <= maxConfig {
			return path
		}
	}
	return ""
}

// addConfig puts the configuration into a cache entry that has none: from the
// image's package, or where Debian has it since 7.x, the one of the files that
// all packages of a release share. Guests boot without.
func (f *fetcher) addConfig(ctx context.Context, apt *apt, p aptPackage, entry string) {
	target := filepath.Join(entry, configFile)
	if _, err := os.Stat(target); err == nil {
		return
	}
	base, err := apt.describe(ctx, aptPackage{name: "linux-base-" + p.release, suite: p.suite, release: p.release})
	if err == nil {
		f.logf("downloading %s %s, %.1f MB, for the kernel's configuration", base.name, base.version, float64(base.size)/1e6)
		err = apt.withPackage(ctx, base, func(path string) error { return replaceConfig(path, target) })
	} else if ctx.Err() == nil {
		err = errors.Join(err, os.WriteFile(target, nil, 0o644)) // not to look for it again
	}
	if err != nil && ctx.Err() == nil {
		f.logf("the kernel's configuration is missing, which programs that read options of it need: %s", firstLine(err))
	}
}

// Whole reports whether nothing that Fetch gets with a kernel is missing. Those
// that earlier versions fetched have no configuration.
func (k *Kernel) Whole() bool {
	dir, err := cache.Dir()
	if err != nil || filepath.Dir(filepath.Dir(k.Path)) != filepath.Join(dir, kernelsDir) {
		return true
	}
	_, err = os.Stat(filepath.Join(filepath.Dir(k.Path), configFile))
	return err == nil
}

// replaceConfig unpacks a configuration at once: others may look for it.
func replaceConfig(packed, target string) error {
	partial := target + ".partial"
	found, err := unpack(packed, map[string]string{configFile: partial})
	if err == nil && !found[configFile] {
		err = errors.New("it has no configuration (boot/config-* or usr/lib/modules/*/config)")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("unpacking %s: %w", filepath.Base(packed), err), os.RemoveAll(partial))
	}
	return os.Rename(partial, target)
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// Options returns the values of options of the configuration that the kernel was
// built with, by name, such as "CONFIG_NR_CPUS". Those that are not set are not in it.
// It is nil if the configuration is not known.
func (k *Kernel) Options(names ...string) (map[string]string, error) {
	if k.Config == "" {
		return nil, nil
	}
	values, err := readOptions(k.Config, names)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration of kernel %s: %w", k.Release, err)
	}
	return values, nil
}

func readOptions(config string, names []string) (map[string]string, error) {
	f, err := os.Open(config)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	values := make(map[string]string)
	lines := bufio.NewScanner(io.LimitReader(f, maxConfig))
	for lines.Scan() {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if ok && slices.Contains(names, name) {
			values[name] = strings.Trim(value, `"`)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", config, err)
	}
	return values, nil
}
