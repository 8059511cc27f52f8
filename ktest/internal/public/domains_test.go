package public_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/public/domains"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

const domainsObject = "domains/testdata/domains.bpf.o"

// compileDomains compiles the scheduler's own program, with its object in a skeleton.
func compileDomains(t *testing.T, flags ...string) string {
	t.Helper()
	tools, out := programs(t, "libbpf.a"), t.TempDir()
	skeleton, err := exec.Command(filepath.Join(tools, "bpftool"), "gen", "skeleton", domainsObject, "name", "domains").Output()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(out, "domains.skel.h"), skeleton, 0o644))
	program := filepath.Join(out, "domains")
	source := filepath.Join(filepath.Dir(tools), "source", "tools")
	args := append([]string{
		"-O1", "-w", "-I" + out, "-I../libbpf/include", "-I" + source + "/lib", "-I" + source + "/include/uapi", "-o", program,
		"domains/testdata/domains.c", filepath.Join(tools, "libbpf.a"), "-lelf", "-lz",
	}, flags...)
	text, err := exec.Command("clang-19", args...).CombinedOutput()
	require.NoError(t, err, "%s", text)
	return program
}

// machine is a topology, and what the scheduler is to find there.
type machine struct {
	ktest.Topology
	llcs, nodes []uint32 // the cache of each CPU, and the node of each cache
	flags       []string // that the program is linked with there
}

var machines = map[string]machine{
	"one cache": {ktest.Topology{Cores: 3}, []uint32{0, 0, 0}, []uint32{0}, []string{"-s"}},
	"two nodes": {
		ktest.Topology{Sockets: 2, Cores: 2, Nodes: make([]ktest.Node, 2)},
		[]uint32{0, 0, 1, 1}, []uint32{0, 1}, []string{"-static", "-s"},
	},
	"dies": {
		ktest.Topology{Sockets: 2, Dies: 2, Threads: 2, Nodes: make([]ktest.Node, 2)},
		[]uint32{0, 0, 1, 1, 2, 2, 3, 3}, []uint32{0, 0, 1, 1}, nil,
	},
}

const (
	domainsTasks = 1024
)

// fromObject is the scheduler as its program configures it for a machine.
func fromObject(m machine, args *domains.SetupArgs) ktest.Scheduler {
	return ktest.Object(domainsObject).Configure(domains.Initial(func(c *domains.Fixture) {
		c.Rodata.NrCpuIds, c.Rodata.NrLlcs = uint32(len(m.llcs)), uint32(len(m.nodes))
		c.Rodata.NrNodes, c.Rodata.SliceNs = slices.Max(m.nodes)+1, 5_000_000
		c.RodataCpuLlc.CpuLlc, c.RodataLlcNode.LlcNode = m.llcs, m.nodes
		c.DataLlcCtxs.LlcCtxs = make([]domains.LlcCtx, len(m.nodes))
	})).Loaded(func(ctx context.Context, vm *ktest.VM) error {
		_, err := vm.RunProgram(ctx, "setup", args)
		return err
	})
}

// A scheduler of linked units, with an arena, resized arrays, caches and nodes, is
// started from its object and by its own program, and read by its types.
func TestSchedulerOfDomainsKnowsItsMachine(t *testing.T) {
	if !*every {
		t.Skip("it takes minutes on a busy machine: -every")
	}
	for name, m := range machines {
		t.Run(name, func(t *testing.T) {
			runDomains(t, ktest.Config{Topology: m.Topology}, m, compileDomains(t, m.flags...))
		})
	}
}

func runDomains(t *testing.T, cfg ktest.Config, m machine, program string) {
	embedded, err := object.Open(program)
	require.NoError(t, err)
	require.Equal(t, "main", embedded.Name, "also of a program without symbols")
	out := &output{news: make(chan struct{}, 1)}
	cfg.Output = out
	vm := ktest.Boot(t, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()

	args := domains.SetupArgs{NrTasks: domainsTasks}
	require.NoError(t, vm.Attach(ctx, fromObject(m, &args)))
	require.EqualValues(t, slices.Max(m.nodes)+1, args.NrNodesMade)
	snap := captureAtWork(t, ctx, vm)
	checkDomains(t, vm, m, snap)
	pointers := newHeld()
	pointers.hold(t, program, snap)
	t.Log(pointers)
	require.EqualValues(t, args.Pool, domains.Bind(t, snap).Bss().Pool.Begin)
	_, err = vm.Detach(ctx)
	require.NoError(t, err)

	require.NoError(t, vm.Attach(ctx, ktest.Binary(program, "-n")))
	before := out.awaitLines(t, ctx, 2)
	snap = captureAtWork(t, ctx, vm)
	checkDomains(t, vm, m, snap)
	s := domains.Bind(t, snap)
	require.False(t, s.Rodata().Direct)
	require.Zero(t, s.Bss().NrDirect)
	after := out.awaitLines(t, ctx, len(out.lines())+2)
	require.Equal(t, strconv.Itoa(len(m.llcs)), after["cpus"])
	require.Equal(t, strconv.Itoa(len(m.nodes)), after["llcs"])
	between := func(name string, value uint64) {
		least, err := strconv.ParseUint(before[name], 10, 64)
		require.NoError(t, err)
		most, err := strconv.ParseUint(after[name], 10, 64)
		require.NoError(t, err)
		require.LessOrEqual(t, least, value, name)
		require.LessOrEqual(t, value, most, name)
	}
	var enqueued uint64
	for _, c := range s.DataLlcCtxs().LlcCtxs {
		enqueued += c.NrEnqueued
	}
	between("enqueued", enqueued)
	between("direct", s.Bss().NrDirect)
	exit, err := vm.Detach(ctx)
	require.NoError(t, err)
	require.Equal(t, ktest.ExitUnreg, exit.Kind)
}

// captureAtWork has tasks wait for CPUs, and captures once all have run.
func captureAtWork(t *testing.T, ctx context.Context, vm *ktest.VM) *ktsnap.Snapshot {
	t.Helper()
	workers, err := vm.Work(ctx, ktest.Sleep, 4)
	require.NoError(t, err)
	defer func() { _, _ = workers.Stop(context.WithoutCancel(ctx)) }() // others use the guest
	for {
		require.NoError(t, ctx.Err(), "the tasks do not run")
		snap := vm.Freeze("at work")
		s := domains.Bind(t, snap)
		ran := 0
		for _, pid := range workers.PIDs {
			if slot, ok := s.TaskSlots().Lookup(int32(pid)); ok && slot.Ctx != nil && slot.Ctx.Runs > 0 {
				ran++
			}
		}
		if ran == len(workers.PIDs) {
			return snap
		}
	}
}

// checkDomains holds what is read to the machine.
func checkDomains(t *testing.T, vm *ktest.VM, m machine, snap *ktsnap.Snapshot) {
	t.Helper()
	s := domains.Bind(t, snap)
	require.EqualValues(t, len(m.llcs), s.Rodata().NrCpuIds)
	require.Equal(t, m.llcs, s.RodataCpuLlc().CpuLlc)
	require.Equal(t, m.nodes, s.RodataLlcNode().LlcNode)

	cpus, caches := make([]uint32, len(m.nodes)), make(map[uint32]uint32)
	for _, llc := range m.llcs {
		cpus[llc]++
	}
	require.Len(t, s.DataLlcCtxs().LlcCtxs, len(m.nodes))
	var worked uint64
	for llc, c := range s.DataLlcCtxs().LlcCtxs {
		require.Equal(t, m.nodes[llc], c.Node)
		require.Equal(t, cpus[llc], c.NrCpus)
		caches[c.Node]++
		worked += c.NrEnqueued
	}
	require.NotZero(t, worked+s.Bss().NrDirect)

	var nodes []*domains.NodeCtx
	for n := s.Bss().Nodes; n != nil; n = n.Next {
		require.EqualValues(t, len(nodes), n.Id)
		require.Equal(t, caches[n.Id], n.NrLlcs)
		nodes = append(nodes, n)
	}
	require.Len(t, nodes, len(caches))
	for owner, slot := range s.TaskSlots().All() {
		if slot.Ctx == nil {
			continue
		}
		require.EqualValues(t, owner.PID, slot.Ctx.Pid)
		if slot.Ctx.Node != nil {
			require.Contains(t, nodes, slot.Ctx.Node, "the same object is the same pointer")
			require.Less(t, slot.Ctx.Llc, uint32(len(m.nodes)))
		}
	}
	require.NotNil(t, s.Bss().Newest)

	if s.Rodata().Direct {
		require.LessOrEqual(t, s.Bss().NrDirect, s.Bss().Hits_Main, "statics of one name are told apart")
		require.LessOrEqual(t, s.Bss().Hits_Main, s.Bss().NrDirect+uint64(len(m.llcs)), "each CPU may be between the two")
	}
	blocks := (s.Bss().Pool.Next - s.Bss().Pool.Begin) / 64
	require.LessOrEqual(t, s.Bss().Pool.NrUsed, blocks)
	config, err := vm.ReadFile(t.Context(), "/boot/config-"+vm.Kernel().Release)
	require.NoError(t, err)
	hz := regexp.MustCompile(`(?m)^CONFIG_HZ=(\d+)$`).FindSubmatch(config)
	require.NotNil(t, hz)
	require.Equal(t, string(hz[1]), strconv.Itoa(int(s.Bss().Hz)))
	require.Equal(t, strings.Contains(string(config), "\nCONFIG_NUMA=y\n"), s.Bss().Numa)
	require.Zero(t, s.Bss().OptionOfNoKernel)
	require.False(t, s.Bss().HasRunqueuesOfNoKernel)
	require.Positive(t, s.Bss().NrOwnRq, "a variable of the kernel is read by its type")
	require.Zero(t, s.Bss().NrOtherRq)
}

var printedLine = regexp.MustCompile(`(?m)^cpus=(\d+) llcs=(\d+) nodes=\d+ enqueued=(\d+) direct=(\d+) used=\d+$`)

func (o *output) lines() [][]string { return printedLine.FindAllStringSubmatch(o.since(0), -1) }

// awaitLines returns what the nth line of the scheduler's program says.
func (o *output) awaitLines(t *testing.T, ctx context.Context, n int) map[string]string {
	t.Helper()
	for len(o.lines()) < n {
		select {
		case <-o.news:
		case <-ctx.Done():
			t.Fatalf("it has not printed %d lines: %s", n, o.since(0))
		}
	}
	line := o.lines()[n-1]
	return map[string]string{"cpus": line[1], "llcs": line[2], "enqueued": line[3], "direct": line[4]}
}
