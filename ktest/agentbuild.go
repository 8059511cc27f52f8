package ktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/ktgen/ktgen/vmm/cache"
)

// agentPackage is the program that is the agent of guests in lockstep.
const agentPackage = "github.com/ktgen/ktgen/ktest/agentprogram"

// agentBuildTime bounds its build.
const agentBuildTime = 5 * time.Minute

// agentProgram builds the program, once for each process, from the sources of the
// module that this one is built from. Where that is not possible (there is no Go, or this
// process does not run in its package's folder) the error says why.
var agentProgram = sync.OnceValues(buildAgent)

func buildAgent() (string, error) {
	dir, err := os.MkdirTemp("", "ktgen-agent-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), agentBuildTime)
	defer cancel()
	path := filepath.Join(dir, "init")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", path, agentPackage)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	var said bytes.Buffer
	build.Stderr = &said
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("go build %s: %w", agentPackage, buildReason(err, bytes.TrimSpace(said.Bytes())))
	}
	return keepAgent(path)
}

// buildReason says why a build failed that wrote something, or nothing.
func buildReason(err error, said []byte) error {
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("%w: put the go command into PATH", err)
	case len(said) == 0:
		return err
	}
	return fmt.Errorf("%w: %s", err, said)
}

// keepAgent puts the program into the cache, under a name that is of what is in it.
func keepAgent(built string) (string, error) {
	program, err := os.ReadFile(built)
	if err != nil {
		return "", err
	}
	dir, err := cache.Dir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, cache.Agents, fmt.Sprintf("%x", sha256.Sum256(program)))
	now := time.Now()
	if err := os.Chtimes(path, now, now); err == nil { // it was used
		return path, nil
	}
	if err := cache.KeepNewest(filepath.Dir(path), cache.MaxAgents-1); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", cache.Explain(path, err)
	}
	return path, cache.WriteFile(path, func(f *os.File) error {
		if _, err := f.Write(program); err != nil {
			return err
		}
		return f.Chmod(0o755)
	})
}

// initProgram returns the program that is the guest's init. note says why it is the
// test binary in a guest in lockstep, whose runs then are other ones with each change of it.
func (c Config) initProgram() (path, note string, err error) {
	if c.Seed != 0 {
		built, err := agentProgram()
		if err == nil {
			return built, "", nil
		}
		note = fmt.Sprintf("the guest's agent is the test binary, so that seeds do not outlive a change of the test: %v", err)
	}
	path, err = os.Executable()
	if err != nil {
		return "", "", fmt.Errorf("find this program, which is the guest's init: %w", err)
	}
	return path, note, nil
}
