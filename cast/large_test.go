package cast_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/cast"
	"github.com/ktgen/ktgen/object"
)

// many are objects of the corpus that can be linked with one another.
var many = []string{
	"profiler1", "strobemeta", "core_kern", "verifier_call_large_imm", "netif_receive_skb", "verifier_gotol", "linked_list_fail",
	"dynptr_fail", "bpf_cubic", "bpf_dctcp", "xdp_synproxy_kern", "test_tc_dtime", "test_xdp_noinline", "test_xdp_loop",
	"btf_dump_test_case_syntax", "verifier_bounds", "verifier_spill_fill",
}

// BenchmarkLinkedObject is the analysis of one object of 2 MB that bpftool
// links of many of the corpus. The processor's time is told apart from that of
// whatever else runs on the machine.
func BenchmarkLinkedObject(b *testing.B) {
	linked := filepath.Join(b.TempDir(), "linked.bpf.o")
	args := []string{"gen", "object", linked}
	dir := filepath.Join(os.Getenv("KTGEN_CORPUS"), "bpf_selftests")
	for _, name := range many {
		args = append(args, filepath.Join(dir, name+".bpf.o"))
	}
	if _, err := os.Stat(args[3]); err != nil {
		b.Skip("KTGEN_CORPUS names no corpus: see scripts/corpus")
	}
	out, err := exec.Command("bpftool", args...).CombinedOutput()
	require.NoError(b, err, "%s", out)
	obj, err := object.Open(linked)
	require.NoError(b, err)
	info, err := os.Stat(linked)
	require.NoError(b, err)
	insns := 0
	for _, c := range obj.Code {
		insns += len(c.Insns)
	}
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		cast.Analyze(obj)
	}
	b.ReportMetric(1e3*(processorTime(b)-before)/float64(b.N), "cpu-ms/op")
	b.ReportMetric(float64(info.Size()), "bytes")
	b.ReportMetric(float64(insns), "insns")
}

// processorTime is how much of it this process has had, in seconds.
func processorTime(b *testing.B) float64 {
	var used syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return float64(used.Utime.Nano()+used.Stime.Nano()) / 1e9
}
