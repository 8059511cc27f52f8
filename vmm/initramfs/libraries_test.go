package initramfs_test

import (
	"debug/elf"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/initramfs"
)

func TestLibrariesAgreeWithTheLoader(t *testing.T) {
	for _, program := range []string{"/bin/ls", "/usr/bin/apt-get", "/usr/bin/qemu-system-x86_64", "/usr/bin/python3"} {
		t.Run(filepath.Base(program), func(t *testing.T) {
			want := loaderTrace(t, program)
			needed, err := initramfs.Libraries("/init", program)
			require.NoError(t, err)
			var got []string
			for _, file := range needed {
				if file.Host != "/etc/ld.so.cache" {
					got = append(got, realpath(t, file.Host))
				}
			}
			slices.Sort(got)
			require.Equal(t, want, got)
		})
	}
}

// loaderTrace asks the dynamic loader itself which files it maps.
func loaderTrace(t *testing.T, program string) []string {
	t.Helper()
	if _, err := os.Stat(program); err != nil {
		t.Skipf("no %s to look at", program)
	}
	out, err := exec.Command("ldd", program).Output()
	if err != nil {
		t.Skipf("ldd %s: %v", program, err)
	}
	var files []string
	for line := range strings.Lines(string(out)) {
		if i := strings.IndexByte(line, '/'); i >= 0 {
			path, _, _ := strings.Cut(line[i:], " (")
			files = append(files, realpath(t, path))
		}
	}
	slices.Sort(files)
	return slices.Compact(files)
}

func TestLibrariesOfAStaticProgramAreNone(t *testing.T) {
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(source, []byte("package main\nfunc main() {}\n"), 0o644))
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "static"), source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GO111MODULE=off")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))

	needed, err := initramfs.Libraries("/init", filepath.Join(dir, "static"))
	require.NoError(t, err)
	require.Empty(t, needed)
}

func TestLibrariesFollowTheObjectsOwnPaths(t *testing.T) {
	tests := []struct {
		name  string
		flags string // how the program finds lib/libouter.so, which needs libinner.so
		inner string // how libouter.so finds libinner.so
		guest map[string]string
	}{
		{
			name: "RUNPATH by $ORIGIN moves with the program", flags: "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib", inner: "-Wl,--enable-new-dtags,-rpath,$ORIGIN",
			guest: map[string]string{"libouter.so": "/opt/app/lib/libouter.so", "libinner.so": "/opt/app/lib/libinner.so"},
		},
		{
			name: "RPATH serves what libraries need, too", flags: "-Wl,--disable-new-dtags,-rpath,${ORIGIN}/lib",
			guest: map[string]string{"libouter.so": "/opt/app/lib/libouter.so", "libinner.so": "/opt/app/lib/libinner.so"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			program := compileProgram(t, test.flags, test.inner)
			needed, err := initramfs.Libraries("/opt/app/run", program)
			require.NoError(t, err)
			got := map[string]string{}
			for _, file := range needed {
				if base := filepath.Base(file.Host); test.guest[base] != "" {
					got[base] = file.Guest
				}
			}
			require.Equal(t, test.guest, got)
		})
	}
}

func TestLibrariesFollowASymbolicLinkToTheProgram(t *testing.T) {
	program := compileProgram(t, "-Wl,-rpath,$ORIGIN/lib", "-Wl,-rpath,$ORIGIN")
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(program, link))
	_, err := initramfs.Libraries("/init", link)
	require.NoError(t, err)
}

func TestLibrariesNameWhatIsMissing(t *testing.T) {
	t.Run("RUNPATH of the program does not serve its libraries", func(t *testing.T) {
		program := compileProgram(t, "-Wl,--enable-new-dtags,-rpath,$ORIGIN/lib", "")
		_, err := initramfs.Libraries("/init", program)
		var missing *initramfs.MissingError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, "libinner.so", missing.Library)
		require.Equal(t, filepath.Join(filepath.Dir(program), "lib", "libouter.so"), missing.NeededBy)
	})
	t.Run("a library that was deleted", func(t *testing.T) {
		program := compileProgram(t, "-Wl,-rpath,$ORIGIN/lib", "-Wl,-rpath,$ORIGIN")
		lib := filepath.Join(filepath.Dir(program), "lib")
		require.NoError(t, os.Remove(filepath.Join(lib, "libouter.so")))
		_, err := initramfs.Libraries("/init", program)
		var missing *initramfs.MissingError
		require.ErrorAs(t, err, &missing)
		require.Equal(t, "libouter.so", missing.Library)
		require.Contains(t, missing.Looked, lib)
		require.ErrorContains(t, err, "RUNPATH")
	})
}

func TestLibrariesRefuseWhatIsNoProgram(t *testing.T) {
	tests := []struct {
		name, content, want string
	}{
		{"a script", "#!/bin/sh\n", "is a script"},
		{"text", "hello", "is no ELF file"},
		{"nothing", "", "is no ELF file"},
		{"a truncated ELF file", "\x7fELF\x02\x01\x01", "is no ELF file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := initramfs.Libraries("/init", write(t, "f", test.content, 0o755))
			var format *initramfs.FormatError
			require.ErrorAs(t, err, &format)
			require.ErrorContains(t, err, test.want)
		})
	}
	t.Run("a relocatable object", func(t *testing.T) {
		program := compileProgram(t, "-Wl,-rpath,$ORIGIN/lib", "-Wl,-rpath,$ORIGIN")
		content, err := os.ReadFile(program)
		require.NoError(t, err)
		content[0x10] = byte(elf.ET_REL) // e_type
		_, err = initramfs.Libraries("/init", write(t, "object", string(content), 0o755))
		require.ErrorContains(t, err, "ET_REL")
	})
	t.Run("a shared library", func(t *testing.T) {
		program := compileProgram(t, "-Wl,-rpath,$ORIGIN/lib", "-Wl,-rpath,$ORIGIN")
		_, err := initramfs.Libraries("/init", filepath.Join(filepath.Dir(program), "lib/libouter.so"))
		require.ErrorContains(t, err, "is a shared library")
	})
	t.Run("a file that is not there", func(t *testing.T) {
		_, err := initramfs.Libraries("/init", "/nowhere")
		require.True(t, errors.Is(err, os.ErrNotExist))
	})
}

// programSource says what its library says. As the first process of a guest it
// then mounts /proc and starts /opt/app/run.
const programSource = `
#include <stdio.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

int outer(void);

int main(void)
{
	printf("process %d: outer says %d\n", getpid() == 1 ? 1 : 2, outer());
	fflush(stdout);
	if (getpid() != 1)
		return 0;
	mount("proc", "/proc", "proc", 0, NULL);
	if (fork() == 0)
		execl("/opt/app/run", "run", NULL);
	wait(NULL);
	return 0;
}
`

// compileProgram builds run, which needs lib/libouter.so, which needs
// lib/libinner.so, and returns the path of run.
func compileProgram(t *testing.T, flags, innerFlags string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		cc, err = exec.LookPath("clang-19")
	}
	if err != nil {
		t.Skip("no C compiler to make libraries with")
	}
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lib"), 0o755))
	compile := func(name, source string, args ...string) {
		t.Helper()
		c := filepath.Join(dir, filepath.Base(name)+".c")
		require.NoError(t, os.WriteFile(c, []byte(source), 0o644))
		args = slices.DeleteFunc(append([]string{"-o", name, c, "-Llib"}, args...), func(a string) bool { return a == "" })
		cmd := exec.Command(cc, args...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	compile("lib/libinner.so", "int inner(void) { return 3; }", "-shared", "-fPIC")
	compile("lib/libouter.so", "int inner(void); int outer(void) { return inner(); }", "-shared", "-fPIC", "-linner", innerFlags)
	compile("run", programSource, "-louter", "-Wl,--allow-shlib-undefined", flags)
	return filepath.Join(dir, "run")
}

func realpath(t *testing.T, path string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(path)
	require.NoError(t, err)
	return real
}
