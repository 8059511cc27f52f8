package kernel_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel"
)

// sourcePackage makes the package of a kernel's sources.
func sourcePackage(t *testing.T, release, version string, entries ...tar.Header) debPackage {
	t.Helper()
	var tree bytes.Buffer
	w := tar.NewWriter(&tree)
	for _, header := range entries {
		content := []byte(header.Name + "\n")
		header.Name = "linux-source-" + release + "/" + header.Name
		if header.Typeflag == tar.TypeReg {
			header.Size, header.Mode = int64(len(content)), 0o644
		}
		require.NoError(t, w.WriteHeader(&header))
		if header.Typeflag == tar.TypeReg {
			_, err := w.Write(content)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	xz := exec.Command("xz", "--stdout")
	xz.Stdin = &tree
	packed, err := xz.Output()
	if errors.Is(err, exec.ErrNotFound) {
		t.Skip("no xz to pack a tree with: apt-get install xz-utils")
	}
	require.NoError(t, err)
	return debPackage{
		name: "linux-source-" + release, version: version,
		file: "./usr/src/linux-source-" + release + ".tar.xz", content: packed,
	}
}

func headerOf(version string) debPackage {
	return debPackage{
		name: "linux-bpf-dev", version: version,
		file: "./usr/include/x86_64-linux-gnu/linux/bpf/vmlinux.h", content: []byte("struct task_struct;\n"),
	}
}

func file(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }

func fetchTree(s *aptSystem, opts kernel.FetchOptions) (*kernel.Tree, error) {
	opts.Log = s.t.Output()
	return kernel.FetchTree(s.t.Context(), opts)
}

func TestFetchTreeKeepsWhatProgramsAreCompiledFrom(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", headerOf("7.10.1-1"),
		sourcePackage(t, "7.3", "7.3.4-1", file("COPYING")),
		sourcePackage(t, "7.10", "7.10.1-1",
			file("COPYING"), file("Makefile"), file("kernel/sched/ext.c"), file("tools/sched_ext/scx_simple.bpf.c"),
			file("kernel/bpf/disasm.c"), file("kernel/bpf/verifier.c"), file("tools/bpf/bpftool/gen.c"), file("tools/testing/selftests/kselftest.h"),
			file("scripts/bpf_doc.py"), file("scripts/bpf_doc.py.orig"), file("include/uapi/linux/bpf.h"),
			tar.Header{Name: "tools/include/link.h", Linkname: "../sched_ext/scx_simple.bpf.c", Typeflag: tar.TypeSymlink}))

	tree, err := fetchTree(s, kernel.FetchOptions{})
	require.NoError(t, err)
	require.Equal(t, "7.10.1-1", tree.Version)
	require.Equal(t, filepath.Join(s.cache, "corpus", "7.10.1-1"), tree.Dir)
	var got []string
	require.NoError(t, filepath.WalkDir(tree.Dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(tree.Dir, path)
			got = append(got, rel)
		}
		return err
	}))
	require.Equal(t, []string{
		"source/COPYING", "source/include/uapi/linux/bpf.h", "source/kernel/bpf/disasm.c", "source/scripts/bpf_doc.py",
		"source/tools/bpf/bpftool/gen.c", "source/tools/include/link.h", "source/tools/sched_ext/scx_simple.bpf.c",
		"source/tools/testing/selftests/kselftest.h", "vmlinux.h",
	}, got)
	linked, err := os.ReadFile(filepath.Join(tree.Source, "tools/include/link.h"))
	require.NoError(t, err)
	require.Equal(t, "tools/sched_ext/scx_simple.bpf.c\n", string(linked))
}

func TestATreeInTheCacheNeedsNoArchive(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", headerOf("7.3.4-1"), sourcePackage(t, "7.3", "7.3.4-1", file("COPYING")))
	first, err := fetchTree(s, kernel.FetchOptions{})
	require.NoError(t, err)
	require.Positive(t, first.Downloads)

	s.setSources("")
	again, err := fetchTree(s, kernel.FetchOptions{})
	require.NoError(t, err)
	require.Equal(t, first.Dir, again.Dir)
	require.Zero(t, again.Downloads)

	_, err = fetchTree(s, kernel.FetchOptions{Release: "6.12"})
	require.ErrorContains(t, err, "fetching the sources of a kernel: none of this system's package sources is the Debian archive")
}

func TestTreesThatLeaveTheirDirectoryAreRefused(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", headerOf("7.3.4-1"), sourcePackage(t, "7.3", "7.3.4-1",
		tar.Header{Name: "tools/lib/out", Linkname: s.archive, Typeflag: tar.TypeSymlink}, file("tools/lib/out/planted")))
	_, err := fetchTree(s, kernel.FetchOptions{})
	require.ErrorContains(t, err, "escapes")
	require.NoFileExists(t, filepath.Join(s.archive, "planted"))
	require.NoDirExists(t, filepath.Join(s.cache, "corpus", "7.3.4-1"))
}

func TestASuiteWithoutWantedSourcesSaysWhichItHas(t *testing.T) {
	s := newAptSystem(t)
	s.publish("trixie-backports", headerOf("7.3.4-1"), sourcePackage(t, "7.3", "7.3.4-1", file("COPYING")))
	_, err := fetchTree(s, kernel.FetchOptions{Suite: "trixie-backports", Release: "8"})
	var failure *kernel.FetchError
	require.ErrorAs(t, err, &failure)
	require.ErrorContains(t, err, "it has the sources of these: 7.3")
	require.Contains(t, failure.Hint, "give them to scripts/corpus")
}
