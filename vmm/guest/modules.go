package guest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// moduleDir holds the modules that the agent loads, whose names sort as they are loaded.
const moduleDir = "/ktgen/modules"

// ModulePath is where the initramfs has the module that is loaded as the i-th, from 0 on.
func ModulePath(i int, name string) string {
	return fmt.Sprintf("%s/%05d-%s.ko", moduleDir, i, name)
}

// loadModules loads the modules of the initramfs. The agent's own port may need them.
func loadModules() error {
	paths, err := filepath.Glob(moduleDir + "/*.ko")
	if err != nil {
		return err
	}
	for _, path := range paths {
		if err := loadModule(path); err != nil {
			return fmt.Errorf("load module %s: %w; the kernel's log above may say why: it must be of this very kernel", filepath.Base(path), err)
		}
	}
	return nil
}

func loadModule(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unix.FinitModule(int(f.Fd()), "", 0)
	if errors.Is(err, unix.EEXIST) { // it is built in, or there already
		return nil
	}
	return os.NewSyscallError("finit_module", err)
}
