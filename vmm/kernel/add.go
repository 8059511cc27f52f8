package kernel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ktgen/ktgen/vmm/cache"
)

// Add puts a kernel that was built by hand into the cache and returns it. The path
// is what [Open] takes: a build tree, or an image in it. The configuration is the
// file config, or if that is "" the one in the tree or beside the image. Modules are those
// that guests need, and those named. An entry of the same release is replaced.
//
// The error is an [*UnfitError] for a kernel that guests cannot run on, and a
// [*NoConfigError] if there is no configuration, a [*ModuleError] if a module is not there.
func Add(ctx context.Context, path, config string, names ...string) (*Kernel, error) {
	k, err := Open(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := k.Fit(); err != nil {
		return nil, err
	}
	if config, err = k.configOr(config); err != nil {
		return nil, err
	}
	modules, err := k.Modules(ctx, names...)
	if err != nil {
		return nil, err
	}
	dir, err := cache.Dir()
	if err != nil {
		return nil, err
	}
	entry := filepath.Join(dir, kernelsDir, k.Release)
	image := filepath.Join(entry, imageFile)
	if k.Path == image {
		return k, nil
	}
	err = cache.Replace(ctx, entry, func(partial string) error {
		if err := os.Mkdir(partial, 0o755); err != nil {
			return err
		}
		return errors.Join(copyFile(filepath.Join(partial, imageFile), k.Path), copyFile(filepath.Join(partial, configFile), config),
			copyModules(modules, filepath.Join(partial, modulesDir)))
	})
	if err != nil {
		return nil, fmt.Errorf("adding kernel %s to the cache: %w", k.Release, err)
	}
	return Open(ctx, image)
}

// configOr returns the configuration that was chosen, or if that is "" the kernel's.
func (k *Kernel) configOr(chosen string) (string, error) {
	config := cmp.Or(chosen, k.Config)
	if config == "" {
		return "", &NoConfigError{Path: k.Path, Release: k.Release}
	}
	if err := checkConfig(config); err != nil {
		return "", fmt.Errorf("reading the configuration of kernel %s: %w", k.Release, err)
	}
	return config, nil
}

// checkConfig says whether a file can be a kernel's configuration: one line in it
// sets an option.
func checkConfig(path string) error {
	options, err := readOptions(path, []string{"CONFIG_X86_64", "CONFIG_BPF", "CONFIG_HZ"})
	if err == nil && len(options) == 0 {
		err = fmt.Errorf("%s does not set CONFIG_X86_64, CONFIG_BPF or CONFIG_HZ, as configurations of kernels do (.config in the build tree)", path)
	}
	return err
}

func copyFile(to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return writeFile(to, f)
}

// NoConfigError says that a kernel comes without the configuration that it was built
// with, which programs in its guests read.
type NoConfigError struct {
	Path    string
	Release string
}

func (e *NoConfigError) Error() string {
	return fmt.Sprintf("kernel %s (%s) has no configuration in its tree or beside it (.config, config-%[1]s or config): schedulers read options of it, so keep the .config of the build, or name it (-config FILE)",
		e.Release, e.Path)
}
