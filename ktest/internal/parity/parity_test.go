package parity_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/ktest"
	"github.com/ktgen/ktgen/ktest/internal/libbpf"
	"github.com/ktgen/ktgen/ktest/internal/parity"
	"github.com/ktgen/ktgen/vmm/cache"
	"github.com/ktgen/ktgen/vmm/kernel"
)

//go:generate testdata/inputs/build

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Getpid() != 1 {
		var err error
		switch os.Args[1] {
		case "worker":
			err = parity.Serve(os.Stdin, os.Stdout)
		case "driver":
			err = drive(os.Args[2:])
		case "remove":
			err = os.RemoveAll(os.Args[2])
		default:
			ktest.Main(m)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	ktest.Main(m)
}

// drive runs in the guest: driver LIST OUT LIMIT ATTACH WORKER..., where LIST is a file of
// paths, OUT gets the results, and ATTACH says whether programs are attached.
func drive(args []string) error {
	list, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	out, err := os.Create(args[1])
	if err != nil {
		return err
	}
	defer out.Close()
	limit, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	d := parity.Driver{Worker: args[4:], Limit: limit, Attach: args[3] == "true"}
	return d.Run(strings.Fields(string(list)), out)
}

var (
	part  = flag.String("part", "0/1", "`which` objects of the corpus, such as 0/8 for an eighth")
	only  = flag.String("only", "", "the objects whose names match this `expression`")
	limit = flag.Duration("limit", 30*time.Second, "for one object and loader")
	tried = flag.Bool("attach", false, "attach the programs of the corpus, too, one after the other")
	table = flag.String("table", "", "`file` that gets what the loaders have made of each object, in JSON")
)

// batch is how many objects are in the guest at a time.
const batch = 64

// TestCorpusLoadsAsWithLibbpf compares what package bpfload and libbpf make of each object
// of the corpus, and of its own inputs, and which programs of these they attach. Differences
// that have a reason are in testdata/differences.txt.
func TestCorpusLoadsAsWithLibbpf(t *testing.T) {
	worker := libbpf.Compile(t, "testdata/libbpf.c")
	fromCorpus, own := corpus(t), inputs(t)
	modules, own := loadable(t, own)
	vm := ktest.Boot(t, ktest.Config{CPUs: 2, Memory: 2 << 30, Modules: modules, Files: map[string]string{"/libbpf": worker}})
	c := comparison{T: t, vm: vm, reasons: reasons(t), counts: make(map[string]int)}
	for some := range slices.Chunk(fromCorpus, batch) {
		c.compare(some, *tried)
	}
	c.compare(own, true)
	if slices.ContainsFunc(own, func(path string) bool { return corpusName(path) == "inputs/attach" }) {
		requireReasons(t, string(c.said))
	}
	t.Logf("%d objects: %v", len(fromCorpus)+len(own), c.counts)
	t.Logf("seconds, of those that both load: %.1f, libbpf %.1f", c.seconds[0], c.seconds[1])
}

// refusals are what is said of programs of testdata/inputs/attach.c that cannot be attached.
var refusals = map[string]string{
	"tp_half":          `a tracepoint has a category and a name, as in SEC("tp/sched/sched_switch")`,
	"tp_absent":        `the kernel has no tracepoint sched_swicth (did you mean "sched_switch"?)`,
	"tp_nowhere":       `the kernel has no tracepoints of category schedd (did you mean "sched"?)`,
	"raw_absent":       `the kernel has no tracepoint sched_swicth (did you mean "sched_switch"?)`,
	"kprobe_absent":    `the kernel has no function hrtimer_nanoslep that can be probed (did you mean "hrtimer_nanosleep"?)`,
	"kprobe_offset":    `byte 0x7fff of hrtimer_nanosleep is not one that can be probed`,
	"kretprobe_offset": `it runs when hrtimer_nanosleep returns, which has no offset`,
	"ksyscall_absent":  `the kernel has no function __x64_sys_nanoslep that can be probed (did you mean "nanosleep"?)`,
	"multi_absent":     `the kernel has no function hrtimer_nanoslep that can be probed (did you mean "hrtimer_nanosleep"?)`,
	"multi_none":       `the kernel has no traceable function like function_of_next_*`,
	"uprobe_half":      `it names a file and no function: name one, as in SEC("uprobe/libc.so.6:malloc")`,
	"uprobe_absent":    `/libc.so.6 has no function mallok (did you mean "malloc"?)`,
	"uprobe_nofile":    `the guest has no libc.so.of_next_year in /`,
	"uprobe_far":       `offset 8388607 is out of range of symbol malloc`,
	"uretprobe_offset": `it runs when libc.so.6:malloc returns, which has no offset`,
	"umulti_half":      `it names a file and no function`,
	"umulti_none":      `/libc.so.6 has no function like of_next_*`,
	"iter_map":         `an iterator of bpf_map_elem takes a map or a cgroup`,
	"iter_cgroup":      `an iterator of cgroup takes a map or a cgroup`,
	"usession_half":    `it names a file and no function`,
	"usession_none":    `/libc.so.6 has no function like of_next_*`,
	"usdt_half":        `it names no file, provider and point`,
	"usdt_absent":      `/libbpf has no probe point libbpf:clsoed (did you mean "libbpf:closed"?)`,
	"usdt_nofile":      `the guest has no libc.so.of_next_year in /`,
	"usdt_none":        `/libz.so.1 has no probe points`,
	"many_absent":      `the kernel has no function hrtimer_nanoslep that can be probed (did you mean "hrtimer_nanosleep"?)`,
	"many_none":        `the kernel has no traceable function like function_of_next_*`,
}

// unloadable are what is said of inputs that neither loads.
var unloadable = map[string]string{
	"inputs/refused_filled_far":   `filling map outer (ArrayOfMaps): entry 3, one: the map has room for 2: raise its max_entries`,
	"inputs/refused_filled_other": `entry 1, other: it is Hash with key_size 8, value_size 8, max_entries 9 and map_flags 0x0, and the map holds those that are Array with key_size 4`,
	"inputs/refused_kconfig_name": `variable OF_ANOTHER of .kconfig: no loader knows it: options of the kernel begin with CONFIG_`,
	"inputs/refused_kconfig_type": `variable CONFIG_OF_NEXT_YEAR of .kconfig: the variable is no integer, bool, char, enum libbpf_tristate or array of char`,
	"inputs/refused_ops_kind":     `member ssthresh: it is an integer in the object, and a pointer or an operation in the kernel`,
	"inputs/refused_ops_member":   `this kernel's struct tcp_congestion_ops has no member of_next_year, and the object sets it`,
}

func requireReasons(t *testing.T, said string) {
	for program, want := range refusals {
		_, after, _ := strings.Cut(said, "attaching program "+program+" ")
		line, _, _ := strings.Cut(after, "\n")
		require.Contains(t, line, want, program)
	}
}

type comparison struct {
	*testing.T
	vm      *ktest.VM
	reasons map[string]string // of differences that are known, by object
	counts  map[string]int
	seconds [2]float64 // that both loaders took
	said    []byte     // errors of the last worker
}

func (c *comparison) compare(paths []string, attach bool) {
	var list bytes.Buffer
	for _, path := range paths {
		contents, err := os.ReadFile(path)
		require.NoError(c, err)
		to := "/objects/" + corpusName(path) + ".bpf.o"
		require.NoError(c, c.vm.WriteFile(c.Context(), to, contents, 0o644))
		fmt.Fprintln(&list, to)
	}
	require.NoError(c, c.vm.WriteFile(c.Context(), "/objects.list", list.Bytes(), 0o644))
	libbpf := c.run(attach, "/libbpf")
	own := c.run(attach, "/init", "worker")
	require.Len(c, libbpf, len(paths))
	require.Len(c, own, len(paths))
	for i := range own {
		c.judge(corpusName(paths[i]), own[i], libbpf[i])
	}
	_, err := c.vm.Exec(c.Context(), "/init", "remove", "/objects")
	require.NoError(c, err)
}

func (c *comparison) judge(name string, own, libbpf *parity.Loaded) {
	d := parity.Compare(own, libbpf)
	c.counts["libbpf "+libbpf.Verdict+", own "+own.Verdict]++
	reason, known := c.reasons[name]
	require.Contains(c, own.Reason, unloadable[name], name)
	switch {
	case d.What != "" && known:
		c.Logf("%s: %s: %s", name, d.What, reason)
	case d.What != "":
		c.Errorf("%s: %s", name, d.What)
	case c.strict(name) && libbpf.Verdict == "failed" && own.Verdict != "failed":
		c.Errorf("%s: libbpf refuses it: %s", name, libbpf.Reason)
	case known:
		c.Errorf("%s is the same, and testdata/differences.txt has it: %s", name, reason)
	case libbpf.Verdict != "ok":
		c.Logf("%s: neither, or none of libbpf: %s; own: %s %s", name, libbpf.Reason, own.Verdict, own.Reason)
	default:
		c.seconds[0] += own.Seconds
		c.seconds[1] += libbpf.Seconds
	}
	c.note(own, libbpf)
}

// strict tells whether what libbpf refuses has to be refused: of objects that are written for it.
func (c *comparison) strict(name string) bool {
	return strings.HasPrefix(name, "inputs/") || strings.HasPrefix(name, "small/")
}

func (c *comparison) note(own, libbpf *parity.Loaded) {
	if *table == "" {
		return
	}
	f, err := os.OpenFile(*table, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	require.NoError(c, err)
	defer f.Close()
	require.NoError(c, json.NewEncoder(f).Encode(map[string]*parity.Loaded{"own": own, "libbpf": libbpf}))
}

func (c *comparison) run(attach bool, worker ...string) []*parity.Loaded {
	said, err := c.vm.Exec(c.Context(), append([]string{"/init", "driver", "/objects.list", "/results", limit.String(), strconv.FormatBool(attach)}, worker...)...)
	require.NoError(c, err)
	c.said = said.Stderr
	results, err := c.vm.ReadFile(c.Context(), "/results")
	require.NoError(c, err)
	var all []*parity.Loaded
	for line := range bytes.Lines(results) {
		l := new(parity.Loaded)
		require.NoError(c, json.Unmarshal(line, l))
		all = append(all, l)
	}
	return all
}

// reasons reads testdata/differences.txt: an object in each line, and why it differs.
func reasons(t *testing.T) map[string]string {
	text, err := os.ReadFile("testdata/differences.txt")
	require.NoError(t, err)
	all := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if name, reason, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(line, "#") {
			all[name] = reason
		}
	}
	return all
}

// corpus returns the objects to load: all below $KTGEN_CORPUS or the sample, see
// scripts/corpus.
func corpus(t *testing.T) []string {
	dir := os.Getenv("KTGEN_CORPUS")
	var sample []string
	if dir == "" {
		home, err := cache.Dir()
		require.NoError(t, err)
		dir = filepath.Join(home, cache.Corpus, "*", "objects")
		list, err := os.ReadFile("../../../gen/testdata/corpus_sample.txt")
		require.NoError(t, err)
		sample = strings.Fields(string(list))
	}
	var n, of int
	_, err := fmt.Sscanf(*part, "%d/%d", &n, &of)
	require.NoError(t, err)
	all, err := filepath.Glob(filepath.Join(dir, "*", "*.bpf.o"))
	require.NoError(t, err)
	var paths []string
	for i, path := range all {
		if sample == nil && i%of == n || slices.Contains(sample, corpusName(path)) {
			paths = append(paths, path)
		}
	}
	match := regexp.MustCompile(*only)
	paths = slices.DeleteFunc(paths, func(path string) bool { return !match.MatchString(corpusName(path)) })
	if *only != "" {
		return paths
	}
	if len(paths) == 0 && os.Getenv("CI") == "" {
		t.Skip("there are no objects in the cache to test with; make test fetches and compiles them")
	}
	require.NotEmpty(t, paths, "scripts/corpus compiles the corpus")
	return paths
}

// inputs returns the objects that this package has of its own.
func inputs(t *testing.T) []string {
	all, err := filepath.Glob("testdata/inputs/*.bpf.o")
	require.NoError(t, err)
	require.NotEmpty(t, all)
	match := regexp.MustCompile(*only)
	return slices.DeleteFunc(all, func(path string) bool { return !match.MatchString(corpusName(path)) })
}

// loadable returns the module that an input refers to, and the inputs, without that one if
// the kernel has come without modules.
func loadable(t *testing.T, inputs []string) (modules, rest []string) {
	needed := []string{"nf_conntrack"}
	k, err := kernel.Find(t.Context())
	if err != nil || os.Getenv("CI") != "" || k.HasModules(t.Context(), needed) {
		return needed, inputs
	}
	t.Log("the input with a module is left out: `make test` downloads it")
	return nil, slices.DeleteFunc(inputs, func(path string) bool { return corpusName(path) == "inputs/modules" })
}

// corpusName is what the list of the sample calls an object.
func corpusName(path string) string {
	return filepath.Base(filepath.Dir(path)) + "/" + strings.TrimSuffix(filepath.Base(path), ".bpf.o")
}
