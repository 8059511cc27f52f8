package kernel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ktgen/ktgen/vmm/cache"
)

// This file runs apt with a configuration of its own: package lists, downloads
// and sources are in the cache, nothing is installed, and none of the system's
// hooks run. How to reach and trust an archive (proxies, passwords, keys)
// stays as the system has it.

// debianArch is Debian's name of the architecture that ktgen boots.
const debianArch = "amd64"

// apt is a private configuration of apt below a directory.
type apt struct {
	dir     string
	archive source // of the system's entry for the Debian archive
}

// aptConfig is read after the system's own configuration (-c, apt.conf(5)), so
// that it wins. It clears hooks, which can change the system: some images delete
// the system's downloads after each update. It sets every directory, since the
// system may have set each of them by itself. %[1]s is the directory.
const aptConfig = `#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear APT::Architectures;
#clear Binary;
Dir::Etc::SourceList "%[1]s/ktgen.sources";
Dir::Etc::SourceParts "%[1]s/empty";
Dir::Etc::Preferences "%[1]s/empty/none";
Dir::Etc::PreferencesParts "%[1]s/empty";
Dir::State "%[1]s/state";
Dir::State::Lists "%[1]s/state/lists";
Dir::State::Status "%[1]s/state/status";
Dir::Cache "%[1]s/cache";
Dir::Cache::Archives "%[1]s/cache/archives";
Dir::Cache::PkgCache "pkgcache.bin";
Dir::Cache::SrcPkgCache "srcpkgcache.bin";
APT::Architecture "%[2]s";
APT::Architectures { "%[2]s"; };
APT::Get::List-Cleanup "false";
APT::Get::AllowUnauthenticated "false";
APT::Update::Error-Mode "any";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::PDiffs "false";
Acquire::GzipIndexes "true";
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
`

// asRoot keeps apt from handing downloads to its own user, who may not enter
// the cache of root.
const asRoot = "APT::Sandbox::User \"root\";\n"

// aptCache is what apt makes of the lists, below its directory. It can be made
// again in a second and has 100 MB.
const aptCache = "cache"

// newApt sets up the directory for an archive.
func newApt(dir string, archive source) (*apt, error) {
	if strings.ContainsAny(dir, "\"\n%") {
		return nil, fmt.Errorf("apt cannot use the directory %q: set $%s to one without quotes and %%", dir, cache.DirEnv)
	}
	for _, sub := range []string{"empty", "state/lists/partial", aptCache + "/archives/partial"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return nil, err
		}
	}
	config := fmt.Sprintf(aptConfig, dir, debianArch)
	if os.Geteuid() == 0 {
		config += asRoot
	}
	for name, content := range map[string]string{"apt.conf": config, "state/status": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	return &apt{dir: dir, archive: archive}, nil
}

// use makes suite the only one that the following commands know.
func (a *apt) use(suite string) error {
	return os.WriteFile(filepath.Join(a.dir, "ktgen.sources"), []byte(a.archive.stanza(suite)), 0o644)
}

// run runs one of apt's tools in dir with the private configuration.
func (a *apt) run(ctx context.Context, dir, tool string, args ...string) (string, error) {
	return runTool(ctx, dir, tool, append([]string{"-c", filepath.Join(a.dir, "apt.conf")}, args...)...)
}

// update downloads the list of the packages in the suite in use.
func (a *apt) update(ctx context.Context) error {
	out, err := a.run(ctx, a.dir, "apt-get", "-q", "update")
	if err != nil {
		return err
	}
	// Before apt 2.1 an update that used old lists for want of new ones succeeded.
	if strings.Contains(out, "W: Failed to fetch") {
		return &CommandError{Command: "apt-get update", Output: out, Err: errors.New("it failed")}
	}
	return nil
}

// aptPackage is a version of a package that can be downloaded.
type aptPackage struct {
	name    string
	version string
	suite   string
	release string // uname -r of the kernel in it
	size    int64  // bytes to download
}

// kernelPackages lists the packages with a cloud kernel, or the release of another flavour
// that is named in full, in the suite in use, the newest first. Packages that hold just the image come before those of the
// same release that also have its modules.
func (a *apt) kernelPackages(ctx context.Context, named string) ([]aptPackage, error) {
	var packages []aptPackage
	for _, prefix := range []string{"linux-binary-", "linux-image-"} {
		out, err := a.run(ctx, a.dir, "apt-cache", "pkgnames", prefix)
		if err != nil {
			return nil, err
		}
		for name := range strings.Lines(out) {
			name = strings.TrimSpace(name)
			if release := strings.TrimPrefix(name, prefix); isCloud(release) || release == named {
				packages = append(packages, aptPackage{name: name, release: release})
			}
		}
	}
	slices.SortStableFunc(packages, func(x, y aptPackage) int { return compareReleases(y.release, x.release) })
	return packages, nil
}

// isCloud says whether the rest of a package's name is the release of a kernel for
// virtual machines. Debian's unsigned and debug packages have something before or after it.
func isCloud(rest string) bool {
	return rest != "" && isDigit(rest[0]) && strings.HasSuffix(rest, "-cloud-"+debianArch)
}

// describe fills in what can be downloaded of a package.
func (a *apt) describe(ctx context.Context, p aptPackage) (aptPackage, error) {
	out, err := a.run(ctx, a.dir, "apt-cache", "show", "--no-all-versions", p.name)
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(out) {
		field, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch field {
		case "Version":
			p.version = value
		case "Size":
			p.size, err = strconv.ParseInt(value, 10, 64)
		}
	}
	if p.version == "" || err != nil {
		return p, &CommandError{Command: "apt-cache show " + p.name, Output: out, Err: errors.New("it names no version or size")}
	}
	return p, nil
}

// download puts the package into the empty directory dir and returns its path.
// apt compares it with the checksum in the signed lists.
func (a *apt) download(ctx context.Context, p aptPackage, dir string) (string, error) {
	out, err := a.run(ctx, dir, "apt-get", "-q", "download", p.name+"="+p.version)
	if err != nil {
		return "", err
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil {
		return "", err
	}
	if len(files) != 1 {
		return "", &CommandError{Command: "apt-get download " + p.name, Output: out, Err: fmt.Errorf("it left %d packages", len(files))}
	}
	return files[0], nil
}

// withPackage downloads the package, and removes it again when use has returned.
func (a *apt) withPackage(ctx context.Context, p aptPackage, use func(path string) error) error {
	dir, err := os.MkdirTemp(a.dir, "download-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path, err := a.download(ctx, p, dir)
	if err != nil {
		return err
	}
	return use(path)
}

// systemArchives returns the entries for the Debian archive in the system's
// sources, which may be none.
func systemArchives(ctx context.Context) ([]source, error) {
	out, err := runTool(ctx, "/", "apt-config", "shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d")
	if err != nil {
		return nil, err
	}
	var files []string
	for line := range strings.Lines(out) {
		name, quoted, _ := strings.Cut(strings.TrimSpace(line), "=")
		value := strings.Trim(quoted, "'")
		if name == "LIST" {
			files = append(files, value)
			continue
		}
		for _, pattern := range []string{"*.list", "*.sources"} {
			parts, _ := filepath.Glob(filepath.Join(value, pattern))
			files = append(files, parts...)
		}
	}
	return debianSources(files)
}

// debianSources reads sources of both formats, told apart by their names.
func debianSources(files []string) ([]source, error) {
	var found []source
	for _, file := range files {
		f, err := os.Open(file)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		parse := parseOneLine
		if filepath.Ext(file) == ".sources" {
			parse = parseDeb822
		}
		entries, err := parse(f)
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		found = append(found, entries...)
	}
	found = slices.DeleteFunc(found, func(s source) bool { return !s.isDebian() })
	return slices.CompactFunc(found, source.sameArchive), nil
}

// CommandError says that a command failed.
type CommandError struct {
	Command string
	Output  string
	Err     error
}

func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: %v\n%s", e.Command, e.Err, indent(e.Output))
}

func (e *CommandError) Unwrap() error { return e.Err }

// maxShown bounds, in bytes, how much of a command's output an error shows.
const maxShown = 4096

func indent(output string) string {
	output = strings.TrimSpace(output)
	if len(output) > maxShown {
		output = "..." + output[len(output)-maxShown:]
	}
	return "    " + strings.ReplaceAll(output, "\n", "\n    ")
}

// stopGrace is how long a command that was told to end may take for it.
const stopGrace = 3 * time.Second

// runTool runs a command, whose messages are in English, and returns its output
// and messages.
func runTool(ctx context.Context, dir, tool string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopGrace
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return "", &CommandError{Command: strings.Join(cmd.Args, " "), Output: out.String(), Err: err}
	}
	return out.String(), nil
}
