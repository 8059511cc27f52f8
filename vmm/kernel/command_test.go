package kernel_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/vmm/kernel"
)

func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, log strings.Builder
	err = kernel.Command(t.Context(), args, &out, &log)
	return out.String(), log.String(), err
}

func TestListMarksTheKernelThatBoots(t *testing.T) {
	unfit := fit("8.0.0-a")
	unfit.btf = unfit.btf[:1]
	withCache(t, unfit, fit("7.3.4-a"), fit("7.2.0-a"))
	out, _, err := command(t, "list")
	require.NoError(t, err)
	lines := strings.Split(out, "\n")
	require.Regexp(t, `^  8\.0\.0-a +in the cache +kernel 8\.0\.0-a .* lacks sched_ext`, lines[0])
	require.Regexp(t, `^\* 7\.3\.4-a +in the cache +/.*/vmlinuz \(vmlinux by PVH\)`, lines[1])
	require.Regexp(t, `^  7\.2\.0-a `, lines[2])
}

func TestListWithoutAKernelFails(t *testing.T) {
	withCache(t)
	out, _, err := command(t, "list")
	require.ErrorIs(t, err, kernel.ErrNoKernel)
	require.Contains(t, out, "has no kernel")
}

func TestInfoShowsWhatAnImageIs(t *testing.T) {
	withCache(t)
	made := fit("7.3.4-a")
	out, _, err := command(t, "info", write(t, "bzImage", made.bzImage(zstdPayload(t, made.vmlinux()))))
	require.NoError(t, err)
	require.Regexp(t, `release +7\.3\.4-a\n`, out)
	require.Regexp(t, `fit for ktgen +yes\n`, out)

	made.btf = nil
	out, _, err = command(t, "info", write(t, "vmlinux", made.vmlinux()))
	require.NoError(t, err)
	require.Regexp(t, `fit for ktgen +no, it lacks BTF`, out)

	_, _, err = command(t, "info", write(t, "text", []byte("text")))
	require.ErrorContains(t, err, "neither a bzImage nor an ELF file")
}

func TestFetchCommandPrintsThePath(t *testing.T) {
	s := newAptSystem(t)
	s.publish("sid", kernelPackage(t, fit("7.3.4+deb14-cloud-amd64")))
	out, log, err := command(t, "fetch", "-suite", "sid", "-version", "7.3")
	require.NoError(t, err)
	require.Equal(t, s.cache+"/kernels/7.3.4+deb14-cloud-amd64/vmlinuz\n", out)
	require.Contains(t, log, "downloading")
}

func TestCommandExplainsItself(t *testing.T) {
	out, _, err := command(t, "help")
	require.NoError(t, err)
	require.Contains(t, out, "ktgen kernel fetch [-suite SUITE]")
	for _, args := range [][]string{{}, {"lst"}, {"list", "x"}, {"info"}, {"fetch", "x"}, {"fetch", "-sweet", "sid"}} {
		_, _, err := command(t, args...)
		require.ErrorIs(t, err, kernel.ErrUsage)
		require.ErrorContains(t, err, "ktgen kernel info FILE")
	}
}
