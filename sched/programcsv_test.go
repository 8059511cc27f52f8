package sched_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/sched"
)

func TestFiguresOfProgramsSurviveFiles(t *testing.T) {
	want := []sched.ProgramFigures{{"task_running", 412, 97, 380, 24, "struct_ops", sched.Verification{Time: 1203 * time.Microsecond, States: 31, PeakStates: 30, MaxStates: 3, MarkedRead: 7}}, {"task_running#2", 5, 4, 30, 0, "tracing", sched.Verification{}}}
	var file bytes.Buffer
	require.NoError(t, sched.WriteProgramsCSV(&file, `a,"b".bpf.o`, want))
	require.Equal(t, `file_name,prog_name,verdict,total_insns,prog_size,prog_size_jited,stack_depth,prog_type,duration,total_states,peak_states,max_states_per_insn,max_mark_read_len
a__b_.bpf.o,task_running,success,412,97,380,24,struct_ops,1203,31,30,3,7
a__b_.bpf.o,task_running#2,success,5,4,30,0,tracing,0,0,0,0,0
`, file.String())
	got, err := sched.ReadProgramsCSV(&file)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestFilesOfVeristatAreRead(t *testing.T) {
	got, err := sched.ReadProgramsCSV(strings.NewReader("file_name,prog_name,verdict,duration,total_insns,total_states\nx.bpf.o,enqueue,success,114,57,4\n"))
	require.NoError(t, err)
	require.Equal(t, []sched.ProgramFigures{{Program: "enqueue", Verified: 57, Verification: sched.Verification{Time: 114 * time.Microsecond, States: 4}}}, got)
}

func TestWhatIsNoFileOfFiguresIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"":                                "the file is empty",
		"a,b\n1,2\n":                      `no column prog_name, and so is not as veristat -o csv writes it: its first line is "a,b"`,
		"prog_name,total_insns\nrun,x\n":  `line 2, total_insns of run: strconv.Atoi: parsing "x": invalid syntax`,
		"prog_name,total_insns\nrun\n":    "wrong number of fields",
		"prog_name,total_insns\n\"run,\n": "quote",
	} {
		_, err := sched.ReadProgramsCSV(strings.NewReader(text))
		require.ErrorContains(t, err, want, "%q", text)
	}
}

func TestProgramsThatGrowAreTold(t *testing.T) {
	was := []sched.ProgramFigures{{"gone", 1, 1, 1, 1, "", sched.Verification{}}, {"task_running", 412, 97, 380, 24, "", sched.Verification{}}, {"same", 3, 3, 3, 3, "", sched.Verification{States: 4}}, {"smaller", 1234567, 9, 9, 8, "", sched.Verification{}}}
	is := []sched.ProgramFigures{{"task_running", 2905, 97, 999, 32, "", sched.Verification{}}, {"same", 3, 3, 4, 3, "", sched.Verification{States: 9}}, {"new", 1, 1, 1, 1, "", sched.Verification{}}, {"smaller", 5, 9, 9, 8, "", sched.Verification{}}}
	var said []string
	grown := make(map[float64]int)
	for _, c := range sched.ComparePrograms(was, is) {
		said = append(said, c.String())
		for _, part := range []float64{0, 0.34, 10} {
			if c.Grown(part) {
				grown[part]++
			}
		}
	}
	require.Equal(t, []string{
		"task_running grew from 412 to 2,905 verified instructions", "task_running grew from 24 to 32 bytes of stack",
		"same grew from 4 to 9 states of the verifier", "new is new", "smaller shrank from 1,234,567 to 5 verified instructions", "gone is gone",
	}, said)
	require.Equal(t, map[float64]int{0: 5, 0.34: 4, 10: 2}, grown)
}
