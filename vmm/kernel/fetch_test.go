package kernel_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

// aptSystem is a system whose apt knows only a made archive.
type aptSystem struct {
	t       *testing.T
	archive string // directory of the archive
	sources string // file with the system's sources
	cache   string
	touched string // file that the system's hooks make
}

// newAptSystem sets up a system that trusts its archive without signatures.
func newAptSystem(t *testing.T) *aptSystem {
	t.Helper()
	for _, tool := range []string{"apt-get", "apt-cache", "apt-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("fetching needs apt: %v", err)
		}
	}
	dir := t.TempDir()
	s := &aptSystem{
		t: t, archive: filepath.Join(dir, "debian"), sources: filepath.Join(dir, "sources.list"),
		cache: filepath.Join(dir, "cache"), touched: filepath.Join(dir, "touched"),
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	config := filepath.Join(dir, "apt.conf")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil,
		"Dir::Etc::SourceList %q;\nDir::Etc::SourceParts %q;\nAPT::Update::Post-Invoke { \"touch %s\"; };\n",
		s.sources, filepath.Join(dir, "empty"), s.touched), 0o644))
	s.setSources("deb [trusted=yes] file:" + s.archive + " trixie main")
	t.Setenv("APT_CONFIG", config)
	t.Setenv(cache.DirEnv, s.cache)
	t.Setenv(kernel.Env, "")
	return s
}

func (s *aptSystem) setSources(lines string) {
	require.NoError(s.t, os.WriteFile(s.sources, []byte(lines+"\n"), 0o644))
}

// debPackage is a package of the archive, with one file as a rule.
type debPackage struct {
	name    string
	version string
	file    string
	content []byte
	more    map[string][]byte // by path
}

// kernelPackage makes the package of a kernel's image.
func kernelPackage(t *testing.T, made traits) debPackage {
	return debPackage{
		name: "linux-binary-" + made.release, version: "1-1",
		file:    "./usr/lib/modules/" + made.release + "/vmlinuz",
		content: made.bzImage(zstdPayload(t, made.vmlinux())),
	}
}

// publish makes a suite of the archive that has packages.
func (s *aptSystem) publish(suite string, packages ...debPackage) {
	s.t.Helper()
	var index strings.Builder
	for _, p := range packages {
		path := filepath.Join("pool", p.name+"_"+p.version+"_amd64.deb")
		packed := p.pack(s.t)
		s.write(path, packed)
		fmt.Fprintf(&index, "Package: %s\nVersion: %s\nArchitecture: amd64\nMaintainer: m <m@m>\nDescription: d\nFilename: %s\nSize: %d\nSHA256: %x\n\n",
			p.name, p.version, path, len(packed), sha256.Sum256(packed))
	}
	s.write("dists/"+suite+"/main/binary-amd64/Packages", []byte(index.String()))
	s.write("dists/"+suite+"/Release", fmt.Appendf(nil,
		"Origin: Debian\nSuite: %[1]s\nCodename: %[1]s\nDate: Mon, 23 Nov 2026 00:00:00 UTC\nArchitectures: amd64\nComponents: main\nSHA256:\n %[2]x %[3]d main/binary-amd64/Packages\n",
		suite, sha256.Sum256([]byte(index.String())), index.Len()))
}

func (s *aptSystem) write(path string, content []byte) {
	s.t.Helper()
	full := filepath.Join(s.archive, path)
	require.NoError(s.t, os.MkdirAll(filepath.Dir(full), 0o755))
	require.NoError(s.t, os.WriteFile(full, content, 0o644))
}

// pack makes the .deb file.
func (p debPackage) pack(t *testing.T) []byte {
	t.Helper()
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	files := map[string][]byte{p.file: p.content}
	if p.more != nil {
		files = p.more
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}))
		_, err := w.Write(files[name])
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	packed := []byte("!<arch>\n")
	for _, member := range []struct {
		name    string
		content []byte
	}{{"debian-binary", []byte("2.0\n")}, {"data.tar", data.Bytes()}} {
		packed = fmt.Appendf(packed, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", member.name, 0, 0, 0, "100644", len(member.content), member.content)
	}
	return packed
}

func (s *aptSystem) fetch(opts kernel.FetchOptions) (*kernel.Kernel, string, error) {
	s.t.Helper()
	var log strings.Builder
	opts.Log = &log
	k, err := kernel.Fetch(s.t.Context(), opts)
	return k, log.String(), err
}

func TestFetchTakesTheNewestKernelOfTheFirstSuite(t *testing.T) {
	s := newAptSystem(t)
	other := kernelPackage(t, fit("9.0.0+deb13-amd64"))
	unsigned := kernelPackage(t, fit("9.0.1+deb13-cloud-amd64"))
	unsigned.name = "linux-binary-unsigned-9.0.1+deb13-cloud-amd64"
	debug := kernelPackage(t, fit("9.0.2+deb13-cloud-amd64"))
	debug.name = "linux-image-9.0.2+deb13-cloud-amd64-dbg"
	s.publish("trixie-backports", other, unsigned, debug,
		kernelPackage(t, fit("7.3.4+deb13-cloud-amd64")),
		kernelPackage(t, fit("7.10.1+deb13-cloud-amd64")))
	s.publish("sid", kernelPackage(t, fit("8.0.0+deb14-cloud-amd64")))

	k, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.Equal(t, "7.10.1+deb13-cloud-amd64", k.Release)
	require.Equal(t, filepath.Join(s.cache, "kernels", k.Release, "vmlinuz"), k.Path)
	require.Contains(t, log, "downloading linux-binary-7.10.1+deb13-cloud-amd64 1-1 of trixie-backports, 0.0 MB, to "+filepath.Dir(k.Path))

	found, err := kernel.Find(t.Context())
	require.NoError(t, err)
	require.Equal(t, k.Path, found.Path)
}

func TestFetchLeavesTheSystemAlone(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit("7.3.4+deb13-cloud-amd64")))
	_, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.NoFileExists(t, s.touched, "a hook of the system ran")
	require.NotContains(t, log, "W:")
	left, err := filepath.Glob(filepath.Join(s.cache, "apt", "download-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestFetchDownloadsOnlyWhatIsNotInTheCache(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit("7.3.4+deb13-cloud-amd64")))
	k, _, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	_, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.Contains(t, log, "is in the cache")
	require.NotContains(t, log, "downloading")

	require.NoError(t, os.WriteFile(k.Path, []byte("half a kernel"), 0o644))
	again, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err, "a damaged kernel is replaced")
	require.Contains(t, log, "downloading")
	require.NoError(t, again.Fit())
}

func TestFetchFollowsItsOptions(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports",
		kernelPackage(t, fit("7.2.1+deb13-cloud-amd64")),
		kernelPackage(t, fit("7.20.1+deb13-cloud-amd64")))
	s.publish("sid", kernelPackage(t, fit("7.1.9+deb14-cloud-amd64")))
	for want, opts := range map[string]kernel.FetchOptions{
		"7.2.1+deb13-cloud-amd64":  {Release: "7.2"},
		"7.1.9+deb14-cloud-amd64":  {Suite: "sid"},
		"7.20.1+deb13-cloud-amd64": {Release: "7.20.1+deb13-cloud-amd64"},
	} {
		k, _, err := s.fetch(opts)
		require.NoError(t, err)
		require.Equal(t, want, k.Release)
	}
	k, _, err := s.fetch(kernel.FetchOptions{Release: "7.1"})
	require.NoError(t, err, "a version that only the second suite has")
	require.Equal(t, "7.1.9+deb14-cloud-amd64", k.Release)
}

func TestFetchTakesTheImageOutOfAPackageWithModules(t *testing.T) {
	s := newAptSystem(t)
	p := kernelPackage(t, fit("7.0.1+deb13-cloud-amd64"))
	p.name = "linux-image-7.0.1+deb13-cloud-amd64"
	p.file = "./boot/vmlinuz-7.0.1+deb13-cloud-amd64"
	s.publish("trixie-backports", p)
	k, _, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.Equal(t, "7.0.1+deb13-cloud-amd64", k.Release)
}

func TestFetchReadsBothFormatsOfSources(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit("7.3.4+deb13-cloud-amd64")))
	deb822 := strings.TrimSuffix(s.sources, ".list") + ".sources"
	require.NoError(t, os.WriteFile(deb822, []byte("Types: deb\nURIs: file:"+s.archive+"\nSuites: bookworm bookworm-updates\nComponents: main\nTrusted: yes\n"), 0o644))
	config := write(t, "apt.conf", fmt.Appendf(nil, "Dir::Etc::SourceList %q;\nDir::Etc::SourceParts \"/nowhere\";\n", deb822))
	t.Setenv("APT_CONFIG", config)
	_, _, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
}

func TestFetchWithoutTheArchiveUsesTheCache(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit("7.3.4+deb13-cloud-amd64")))
	want, _, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.NoError(t, os.RemoveAll(s.archive))

	k, log, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.Equal(t, want.Path, k.Path)
	require.Contains(t, log, "apt-get -c")
	require.Contains(t, log, "using kernel 7.3.4+deb13-cloud-amd64, which is in the cache")

	_, _, err = s.fetch(kernel.FetchOptions{Suite: "trixie-backports", Release: "7.3"})
	require.NoError(t, err, "the cached one is what was asked for")
	for name, opts := range map[string]kernel.FetchOptions{
		"another version": {Release: "8"}, "another suite": {Suite: "sid"},
	} {
		_, _, err = s.fetch(opts)
		var failure *kernel.FetchError
		require.ErrorAs(t, err, &failure, name)
	}
}

func TestFetchPassesOverASuiteWhoseKernelDoesNotFit(t *testing.T) {
	s := newAptSystem(t)
	unfit := fit("7.3.4+deb13-cloud-amd64")
	unfit.btf = unfit.btf[:1]
	s.publish("trixie-backports", kernelPackage(t, unfit))
	s.publish("sid", kernelPackage(t, fit("7.2.0+deb14-cloud-amd64")))
	k, _, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	require.Equal(t, "7.2.0+deb14-cloud-amd64", k.Release)
}

func TestFetchTakesANamedMirror(t *testing.T) {
	s := newAptSystem(t)
	s.setSources("")
	s.publish("sid", kernelPackage(t, fit("7.2.0+deb14-cloud-amd64")))
	_, _, err := s.fetch(kernel.FetchOptions{Suite: "sid", Mirror: "file:" + s.archive})
	require.ErrorContains(t, err, "is not signed", "a mirror by name is reached, and must be signed")
}

func TestFetchFailsWithWhatToDo(t *testing.T) {
	tests := []struct {
		name    string
		prepare func(s *aptSystem)
		opts    kernel.FetchOptions
		want    []string
	}{
		{
			"no Debian archive", func(s *aptSystem) { s.setSources("deb http://elsewhere.invalid/linux stable main") },
			kernel.FetchOptions{}, []string{"none of this system's package sources", "-mirror"},
		},
		{
			"no archive at all", func(s *aptSystem) {},
			kernel.FetchOptions{}, []string{"apt-get -c", "update", "trixie-backports", "sid", "$KTGEN_KERNEL"},
		},
		{
			"an archive without signature", func(s *aptSystem) {
				s.publish("trixie-backports", kernelPackage(s.t, fit("7.3.4+deb13-cloud-amd64")))
				s.setSources("deb file:" + s.archive + " trixie main")
			},
			kernel.FetchOptions{Suite: "trixie-backports"}, []string{"is not signed", "unsigned packages are never used"},
		},
		{
			"a suite without kernels", func(s *aptSystem) { s.publish("sid", debPackage{name: "hello", version: "1", file: "f"}) },
			kernel.FetchOptions{Suite: "sid"}, []string{"no kernel for virtual machines", "-suite"},
		},
		{
			"no kernel of a version", func(s *aptSystem) {
				s.publish("sid", kernelPackage(s.t, fit("7.3.4+deb13-cloud-amd64")))
			},
			kernel.FetchOptions{Suite: "sid", Release: "7.9"}, []string{"release 7.9 is not among its 1 kernels: 7.3.4+deb13-cloud-amd64"},
		},
		{
			"a kernel that does not fit", func(s *aptSystem) {
				unfit := fit("7.3.4+deb13-cloud-amd64")
				unfit.btf = unfit.btf[:1]
				s.publish("sid", kernelPackage(s.t, unfit))
			},
			kernel.FetchOptions{Suite: "sid"}, []string{"lacks sched_ext", "choose a newer kernel"},
		},
		{
			"a package without an image", func(s *aptSystem) {
				p := kernelPackage(s.t, fit("7.3.4+deb13-cloud-amd64"))
				p.file = "./usr/share/doc/nothing"
				s.publish("sid", p)
			},
			kernel.FetchOptions{Suite: "sid"}, []string{"unpacking linux-binary-7.3.4", "no kernel image"},
		},
		{
			"a package that is not what the list says", func(s *aptSystem) {
				p := kernelPackage(s.t, fit("7.3.4+deb13-cloud-amd64"))
				s.publish("sid", p)
				packed := p.pack(s.t)
				packed[len(packed)/2] ^= 1
				s.write("pool/"+p.name+"_1-1_amd64.deb", packed)
			},
			kernel.FetchOptions{Suite: "sid"}, []string{"apt-get -c", "download", "mismatch"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newAptSystem(t)
			test.prepare(s)
			_, _, err := s.fetch(test.opts)
			var failure *kernel.FetchError
			require.ErrorAs(t, err, &failure)
			for _, want := range test.want {
				require.Contains(t, strings.ToLower(err.Error()), strings.ToLower(want))
			}
			left, err := filepath.Glob(filepath.Join(s.cache, "kernels", "[0-9]*"))
			require.NoError(t, err)
			require.Empty(t, left, "a kernel that is not used is in the cache")
			left, err = filepath.Glob(filepath.Join(s.cache, "images/1", "[0-9a-f]*"))
			require.NoError(t, err)
			require.Empty(t, left, "what was extracted of a kernel that is not used is in the cache")
		})
	}
}

func TestFetchWithoutAptSaysSo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv(cache.DirEnv, t.TempDir())
	_, err := kernel.Fetch(t.Context(), kernel.FetchOptions{})
	require.ErrorContains(t, err, "has no apt")
	require.ErrorContains(t, err, "$KTGEN_KERNEL")
}

func TestFetchEndsWithItsContext(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", kernelPackage(t, fit("7.3.4+deb13-cloud-amd64")))
	_, _, err := s.fetch(kernel.FetchOptions{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = kernel.Fetch(ctx, kernel.FetchOptions{})
	require.ErrorIs(t, err, context.Canceled)
}
