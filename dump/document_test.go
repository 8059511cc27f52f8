package dump_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

func asJSON(t testing.TB, s *ktsnap.Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dump.JSON(&b, s))
	return b.String()
}

func differences(a, b *ktsnap.Snapshot) (list []string) {
	for c := range dump.Diff(a, b) {
		list = append(list, c.String())
	}
	return list
}

// Lists and trees are shown as what is in them.
func TestListsAreShownByWhatIsInThem(t *testing.T) {
	link := structure("bpf_list_node", 24, member(0, "__opaque", array(u64, 3)))
	request := structure("request", 32, member(0, "cost", u64), member(8, "node", link))
	head := structure("bpf_list_head", 16, member(0, "__opaque", array(u64, 2)))
	queue := member(8, "queue", head)
	queue.Tags = []string{"contains:request:node"}
	const base, first, second = 0xffff_8880_0000_1000, 0xffff_8880_0000_2000, 0xffff_8880_0000_3000
	m := newMap(ktsnap.Map{ID: 1, Name: "queues", Type: ktsnap.MapTypeArray, Value: structure("q", 24, member(0, "n", u64), queue), Base: base}, 1)
	bytesOf{m.Values}.u64(0, 2).u64(8, first+8).u64(16, second+8)
	one, two := make([]byte, 32), make([]byte, 32)
	bytesOf{one}.u64(0, 5).u64(8, second+8).u64(16, base+8).u64(24, base+8)
	bytesOf{two}.u64(0, 6).u64(8, base+8).u64(16, first+8).u64(24, base+8)
	program := &ktsnap.Program{Shapes: []*ctype.Shape{request, link, head}}
	m.Program = program
	s := &ktsnap.Snapshot{Programs: []*ktsnap.Program{program}, Maps: []*ktsnap.Map{m}, Kernel: []ktsnap.KernelObject{
		{Addr: first, Name: "request", Allocated: true, Type: request, Data: one},
		{Addr: second, Name: "request", Allocated: true, Type: request, Data: two},
	}}
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{}))
	require.Contains(t, text.String(), "cost: 5")
	doc := asJSON(t, s)
	require.Contains(t, doc, `"queue":[{"cost":5`)
}

// ring is a snapshot of a ring buffer with these records.
func ring(records ...string) *ktsnap.Snapshot {
	m := &ktsnap.Map{ID: 1, Name: "events", Type: ktsnap.MapTypeRingBuf, Slots: 1, Total: len(records)}
	addr := uint64(1 << 40)
	for _, text := range records {
		data := append(make([]byte, 8), text...)
		bytesOf{data}.u32(0, uint32(len(text)))
		m.Extents = append(m.Extents, ktsnap.Extent{Addr: addr, Data: data})
		addr += uint64(len(data)+7) &^ 7
	}
	return &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
}

// The records of a ring buffer are its entries.
func TestRecordsAreShown(t *testing.T) {
	s := ring("ab", "cdefgh")
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{}))
	require.Contains(t, text.String(), "events  RINGBUF  id 1  2 entries")
	require.Contains(t, text.String(), "0x636465666768")
	raw := s.Get("events[1]")
	data, err := raw.Bytes()
	require.NoError(t, err)
	require.Equal(t, "cdefgh", string(data))
}

// A tag of the map says of which type its records are. If one is too short for it, all are
// bytes.
func TestRecordsOfOneTypeAreShownAsThat(t *testing.T) {
	request := &ctype.Shape{Kind: ctype.KindStruct, Name: "request", Size: 4, Members: []ctype.Member{
		{Name: "pid", Type: &ctype.Shape{Kind: ctype.KindInt, Name: "int", Size: 4, Signed: true}},
	}}
	s := ring("\x05\x00\x00\x00", "\xfe\xff\xff\xff!")
	s.Maps[0].Value = request
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{}))
	require.Regexp(t, `(?m)^  index  pid\n  0        5\n  1       -2$`, text.String())
	require.Contains(t, asJSON(t, s), `{"pid":-2}`)
	pid, err := s.Get("events[0].pid").Int64()
	require.NoError(t, err)
	require.EqualValues(t, 5, pid)

	for _, section := range []ctype.Kind{ctype.KindStruct, ctype.KindSection} {
		s = ring("\x05\x00\x00\x00", "ab")
		of := *request
		of.Kind = section
		s.Maps[0].Value = &of
		text.Reset()
		require.NoError(t, dump.Text(&text, s, dump.Options{}))
		require.Contains(t, text.String(), "0x6162")
	}
}

// What is left out is only where pointers say that it was.
func TestDocumentsOfChosenMapsHaveNoOthers(t *testing.T) {
	s := guest(5000)
	var b bytes.Buffer
	require.NoError(t, dump.JSON(&b, s, "mysched.bss", "big", "mysched.bss"))
	var doc struct {
		Maps []struct {
			Name    string
			Entries []struct{ Value json.RawMessage }
		}
	}
	require.NoError(t, json.Unmarshal(b.Bytes(), &doc))
	require.Len(t, doc.Maps, 2)
	require.Equal(t, "mysched.bss", doc.Maps[0].Name)
	var bss struct {
		Dispatched uint64 `json:"nr_dispatched"`
		Current    map[string]any
	}
	require.NoError(t, json.Unmarshal(doc.Maps[0].Entries[0].Value, &bss))
	require.EqualValues(t, 500, bss.Dispatched)
	require.Equal(t, fmt.Sprintf("0x%x", uint64(tasksAddr+56)), bss.Current["$ptr"])
	require.Contains(t, bss.Current, "$map")
	require.NotContains(t, bss.Current, "$to")
	require.ErrorAs(t, dump.JSON(&b, s, "mysched.bs"), new(*ktsnap.MapNotFoundError))
}
