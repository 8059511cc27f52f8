package dump_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// records returns a table of members that are 8 bytes each. The first of a row is its
// object's address.
func records(name string, members []ctype.Member, rows ...[]uint64) *ktsnap.Table {
	for i := range members {
		members[i].Offset = 8 * i
	}
	t := &ktsnap.Table{Name: name, N: len(rows), Type: structure(name, 8*len(members), members...)}
	t.Data = make([]byte, 8*len(members)*len(rows))
	for i, row := range rows {
		t.Addrs = append(t.Addrs, row[0])
		for k, v := range row[1:] {
			bytesOf{t.Data}.u64(8*(i*len(members)+k), v)
		}
	}
	return t
}

func numbers(names ...string) (members []ctype.Member) {
	for _, name := range names {
		members = append(members, member(0, name, u64))
	}
	return members
}

// waiting is a snapshot whose pid 7, which has markup in its name, waits in queue 3 behind
// pid 8 while CPU 1 idles.
func waiting() *ktsnap.Snapshot {
	class := &ctype.Shape{Kind: ctype.KindEnum, Name: "sched_class", Size: 8, Values: []ctype.EnumValue{{Name: "ext_sched_class", Value: 1}, {Name: "idle_sched_class", Value: 2}}}
	entity := structure("sched_ext_entity", 24, member(0, "runnable_at", u64), member(8, "slice", u64), member(16, "dsq_vtime", u64))
	tasks := []ctype.Member{
		member(0, "pid", u64), member(0, "on_rq", u64), member(0, "class", class), member(0, "cpus_allowed", u64),
		member(0, "comm", array(char, 8)), member(0, "scx", entity), member(0, "", u64), member(0, "", u64), // the two are the entity's
	}
	const comm = 'b'<<8 | '<' | '>'<<16
	t := records("tasks", tasks,
		[]uint64{0x1000, 7, 1, 1, 3, comm, 0, 5, 1<<63 + 1}, []uint64{0x2000, 8, 1, 1, 3, 'h', 0, 5, 0},
		[]uint64{0x3000, 9, 1, 1, 3, 'r', 0, 5, 0}, []uint64{0x4000, 0, 1, 2, 2, 's', 0, 0, 0}, []uint64{0x5000, 10, 0, 1, 3, 'z', 0, 0, 0})
	return &ktsnap.Snapshot{
		Name: "waiting", Guest: ktsnap.Guest{CPUs: 2, Online: []int{0, 1}},
		Tables: []*ktsnap.Table{
			records("kernel", numbers("jiffies", "hz"), []uint64{0, 5000, 250}), t,
			records("cpus", numbers("curr", "idle", "is_online"), []uint64{0x10, 0x3000, 0, 1}, []uint64{0x20, 0x4000, 0x4000, 1}),
			records("queues", numbers("id", "nr", "is_user", "cpu", "node", "scheduler"), []uint64{0x300, 3, 2, 1, ^uint64(0), ^uint64(0), ^uint64(0)}),
			records("queued", numbers("queue", "task"), []uint64{0, 0, 0x2000}, []uint64{0, 0, 0x1000}),
		},
	}
}

func TestDocumentsHaveTheKernelsScheduling(t *testing.T) {
	var doc struct {
		Sched struct {
			Starving []struct {
				PID  int
				Text string
			}
			CPUs []struct {
				Idle bool
				PID  *int
				Does string
			}
			Queues []struct {
				Name string
				CPU  *int
				PIDs []int
			}
			Tasks []map[string]any
		}
	}
	require.NoError(t, json.Unmarshal([]byte(asJSON(t, waiting())), &doc))
	s := doc.Sched
	require.Len(t, s.Starving, 2)
	require.Regexp(t, `^h\[8\] has been runnable for 20s without running: queue 3 has it as its first task; nobody seems to take from this queue: all of its 2 tasks have waited for 20s or longer; CPU 1 is idle`, s.Starving[0].Text)
	require.Regexp(t, `^<b>\[7\] has been runnable for 20s without running: queue 3 has it behind 1: h\[8\]; nobody seems to take from this queue: all of its 2 tasks have waited for 20s or longer; CPU 1 is idle`, s.Starving[1].Text)
	require.Equal(t, 9, *s.CPUs[0].PID)
	require.True(t, s.CPUs[1].Idle)
	require.Equal(t, "queue 3", s.Queues[0].Name)
	require.Nil(t, s.Queues[0].CPU)
	require.Equal(t, []int{8, 7}, s.Queues[0].PIDs)
	require.Len(t, s.Tasks, 5)
	require.Equal(t, map[string]any{"$int": "9223372036854775809"}, s.Tasks[1]["vtime"])

	var page, one bytes.Buffer
	require.NoError(t, dump.HTML(&page, waiting()))
	require.NotContains(t, page.String(), `"comm":"z"`, "it sleeps")
	require.NotContains(t, page.String(), "<b>")
	with := guest(1)
	with.Tables = waiting().Tables
	require.NoError(t, dump.JSON(&one, with, "task_ctxs"))
	require.NotContains(t, one.String(), `"sched":`)
	require.NotContains(t, asJSON(t, guest(1)), `"sched":`)
}

func TestPagesShowCPUsAndQueuesAsLanes(t *testing.T) {
	var page bytes.Buffer
	require.NoError(t, dump.HTML(&page, waiting()))
	var got struct {
		Error           string
		Lanes, Starving []string
		First           string
		Open            bool
	}
	browse(t, page.String(), `return {
		Lanes: [...document.querySelectorAll(".lane")].map(l => [...l.children].map(c => c.textContent).join(" | ")),
		Starving: [...document.querySelectorAll(".task.starves")].map(t => t.textContent),
		First: document.querySelector("#lanes p").textContent, Open: document.getElementById("lanes").open};`, &got)
	require.Empty(t, got.Error)
	require.Equal(t, []string{"CPU 0 | r[9]", "CPU 1 (idle)", "queue 3 | h[8] | <b>[7]"}, got.Lanes)
	require.Equal(t, []string{"h[8]", "<b>[7]"}, got.Starving)
	require.Contains(t, got.First, "has been runnable for 20s")
	require.True(t, got.Open)
}
