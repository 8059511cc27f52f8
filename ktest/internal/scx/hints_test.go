package scx

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOutputOfLibbpfIsMappedToWhatCanBeChanged(t *testing.T) {
	for output, want := range map[string]string{
		"libbpf: Error in bpf_create_map_xattr(wide): -E2BIG. Retrying without BTF.\nlibbpf: map 'wide': failed to create: -E2BIG\nload: Argument list too long": `the kernel does not make the map "wide": E2BIG, a number of it is too large`,
		"libbpf: map 'wide': failed to create: Argument list too long(-7)\n":                                                                                     `the kernel does not make the map "wide": E2BIG, a number of it is too large`,
		"libbpf: map 'ring': failed to create: Invalid argument(-22)\n":                                                                                          `the kernel does not make the map "ring": EINVAL, it breaks a rule of its type`,
		"[WARN] map 'large': failed to create: -ENOMEM\n":                                                                                                        `the kernel does not make the map "large": ENOMEM, it takes more memory than the guest has`,
		"libbpf: map 'no': failed to create: -EPERM\n":                                                                                                           `the kernel does not make the map "no"`,
		"attach: Argument list too long\n":                                                                                                                       "such as timeout_ms of sched_ext_ops",
		"libbpf: map 'ops': failed to auto-attach: -EBUSY\n":                                                                                                     "a scheduler beside another one",
		"[21] VAR LICENSE type_id=19 linkage=1\n[22] VAR live type_id=0 linkage=1 Invalid type_id\n":                                                             "variable live has no size in it",
		"libbpf: failed to open system Kconfig\n":                                                                                                                "the kernel's configuration",
	} {
		said := hintsFor(output)
		require.Len(t, said, 1, output)
		require.Contains(t, said[0], want, output)
	}
	require.Empty(t, hintsFor("map 'x': created"))
}

// What libbpf 1.1 says of a scheduler whose operations are in a section that it does not know.
func TestALibbpfThatIsTooOldIsTold(t *testing.T) {
	output := "libbpf: elf: skipping unrecognized data section(17) .struct_ops.link\n" +
		"libbpf: prog 'enqueue': BPF program load failed: ERROR: strerror_r(524)=22\n" +
		"libbpf: prog 'enqueue': -- BEGIN PROG LOAD LOG --\nprocessed 0 insns (limit 1000000)\n-- END PROG LOAD LOG --\n"
	err := rejection(output)
	require.ErrorContains(t, err, "it does not say why; the kernel's answer was \"ERROR: strerror_r(524)=22\"")
	require.ErrorContains(t, err, "too old for section .struct_ops.link")
	require.Contains(t, hintsFor(output)[0], "too old for section .struct_ops.link")
	require.Empty(t, hintsFor("libbpf: elf: skipping unrecognized data section(8) .eh_frame\n"))
}
