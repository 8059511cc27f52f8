package dump_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	ktrt "github.com/ktgen/ktgen/runtime"
)

func asJSON(t testing.TB, s *ktrt.Snapshot) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dump.JSON(&b, s))
	return b.String()
}

// pages are the members of a document that say which pages of arenas it has:
// those that pointers were seen to lead to, once it was read.
var pages = regexp.MustCompile(`"extents":\[[^]]*\]`)

func TestDocumentsAreReadBack(t *testing.T) {
	s := guest(5000)
	s.Maps[2].Base = 0xffff_8880_0020_0000
	s.KernelStatus, s.KernelReason = ktrt.Truncated, "3 objects reach the limit"
	first := asJSON(t, s)
	read, err := dump.ReadJSON(strings.NewReader(first))
	require.NoError(t, err)
	require.Equal(t, pages.ReplaceAllString(first, ""), pages.ReplaceAllString(asJSON(t, read), ""))
	require.Equal(t, s.Guest, read.Guest)
	require.Equal(t, s.Timing, read.Timing)
	require.Equal(t, s.KernelStatus, read.KernelStatus)
	require.Equal(t, s.KernelReason, read.KernelReason)
	require.True(t, s.Taken.Equal(read.Taken))
	load, err := read.Var("head").Get("next.next.load").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 11, load)
	require.Empty(t, differences(s, read))
}

func differences(a, b *ktrt.Snapshot) (list []string) {
	for c := range dump.Diff(a, b) {
		list = append(list, c.String())
	}
	return list
}

func TestWhatIsNoDocumentIsRefused(t *testing.T) {
	whole := asJSON(t, guest(5000))
	for name, row := range map[string]struct{ text, want string }{
		"nothing":               {"", "read a JSON dump: EOF"},
		"another document":      {`{"format":"x"}`, `its format is "x"`},
		"a newer one":           {`{"format":"ktgen dump","version":2}`, "it has version 2, and this ktgen reads up to 1: update it"},
		"one without layouts":   {`{"format":"ktgen dump","version":1,"maps":[]}`, "it has no layouts"},
		"one that is cut short": {whole[:len(whole)/2], "unexpected EOF"},
		"two":                   {whole + whole, "more follows the document"},
		"a string for a number": {strings.Replace(whole, `"tid":101`, `"tid":"x"`, 1), `task_ctxs[#1].tid: it is "x", not an integer`},
		"a number too large":    {strings.Replace(whole, `"tid":101`, `"tid":4294967296`, 1), "task_ctxs[#1].tid: 4294967296 does not fit its 32 bits"},
		"a member less":         {strings.Replace(whole, `"tid":101,`, ``, 1), "task_ctxs[#1]: it has no tid, which its type has"},
		"a list for a struct":   {strings.Replace(whole, `"ctx":{"weight":100,"level":1,"idle":true}`, `"ctx":[1]`, 1), "task_ctxs[#1].ctx: it is [1], which has no members"},
		"a value left out":      {strings.Replace(whole, `"tid":101`, `"tid":{"$omitted":true}`, 1), "task_ctxs[#1].tid: the document leaves it out"},
		"a map of no type":      {strings.Replace(whole, `"type":"HASH"`, `"type":"HACH"`, 1), `there is no map type "HACH" (did you mean "HASH"?)`},
		"values without end":    {strings.Replace(whole, `"stride":56`, `"stride":1000000000`, 1), "more memory than a document of this size may have"},
	} {
		_, err := dump.ReadJSON(strings.NewReader(row.text))
		require.ErrorContains(t, err, row.want, name)
		require.ErrorAs(t, err, new(*dump.DocumentError), name)
	}
}

// Lists and trees are shown as what is in them, and read back by their links.
func TestListsAreReadBack(t *testing.T) {
	link := structure("bpf_list_node", 24, member(0, "__opaque", array(u64, 3)))
	request := structure("request", 32, member(0, "cost", u64), member(8, "node", link))
	head := structure("bpf_list_head", 16, member(0, "__opaque", array(u64, 2)))
	queue := member(8, "queue", head)
	queue.Tags = []string{"contains:request:node"}
	const base, first, second = 0xffff_8880_0000_1000, 0xffff_8880_0000_2000, 0xffff_8880_0000_3000
	m := newMap(ktrt.Map{ID: 1, Name: "queues", Type: ktrt.MapTypeArray, Value: structure("q", 24, member(0, "n", u64), queue), Base: base}, 1)
	bytesOf{m.Values}.u64(0, 2).u64(8, first+8).u64(16, second+8)
	one, two := make([]byte, 32), make([]byte, 32)
	bytesOf{one}.u64(0, 5).u64(8, second+8).u64(16, base+8).u64(24, base+8)
	bytesOf{two}.u64(0, 6).u64(8, base+8).u64(16, first+8).u64(24, base+8)
	program := &ktrt.Program{Shapes: []*ktrt.Shape{request, link, head}}
	m.Program = program
	s := &ktrt.Snapshot{Programs: []*ktrt.Program{program}, Maps: []*ktrt.Map{m}, Kernel: []ktrt.KernelObject{
		{Addr: first, Name: "request", Allocated: true, Type: request, Data: one},
		{Addr: second, Name: "request", Allocated: true, Type: request, Data: two},
	}}
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{}))
	require.Contains(t, text.String(), "cost: 5")
	doc := asJSON(t, s)
	require.Contains(t, doc, `"queue":[{"cost":5`)
	read, err := dump.ReadJSON(strings.NewReader(doc))
	require.NoError(t, err)
	cost, err := read.Map("queues").At(0).Get("queue[1].cost").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 6, cost)
	require.Equal(t, doc, asJSON(t, read))
}

// ring is a snapshot of a ring buffer with these records.
func ring(records ...string) *ktrt.Snapshot {
	m := &ktrt.Map{ID: 1, Name: "events", Type: ktrt.MapTypeRingBuf, Slots: 1, Total: len(records)}
	addr := uint64(1 << 40)
	for _, text := range records {
		data := append(make([]byte, 8), text...)
		bytesOf{data}.u32(0, uint32(len(text)))
		m.Extents = append(m.Extents, ktrt.Extent{Addr: addr, Data: data})
		addr += uint64(len(data)+7) &^ 7
	}
	return &ktrt.Snapshot{Maps: []*ktrt.Map{m}}
}

// The records of a ring buffer are its entries.
func TestRecordsAreShownAndReadBack(t *testing.T) {
	s := ring("ab", "cdefgh")
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{}))
	require.Contains(t, text.String(), "events  RINGBUF  id 1  2 entries")
	require.Contains(t, text.String(), "0x636465666768")
	read, err := dump.ReadJSON(strings.NewReader(asJSON(t, s)))
	require.NoError(t, err)
	require.Equal(t, s.Maps[0].Extents, read.Maps[0].Extents)
	raw, err := dump.Find(read, "events[1]")
	require.NoError(t, err)
	data, err := raw.Bytes()
	require.NoError(t, err)
	require.Equal(t, "cdefgh", string(data))
}

// What is left out is only where pointers say that it was.
func TestDocumentsOfChosenMapsAreReadBack(t *testing.T) {
	s := guest(5000)
	var b bytes.Buffer
	require.NoError(t, dump.JSON(&b, s, "mysched.bss", "big", "mysched.bss"))
	read, err := dump.ReadJSON(&b)
	require.NoError(t, err)
	require.Len(t, read.Maps, 2)
	require.Equal(t, "mysched.bss", read.Maps[0].Name)
	n, err := read.Var("nr_dispatched").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 500, n)
	addr, err := read.Var("current").Uint64()
	require.NoError(t, err)
	require.Equal(t, uint64(tasksAddr+56), addr)
	var absent *ktrt.NotCaptured
	require.ErrorAs(t, read.Var("current").Get("tid").Err(), &absent)
	require.ErrorAs(t, dump.JSON(&b, s, "mysched.bs"), new(*ktrt.MapNotFound))
}

func FuzzReadJSON(f *testing.F) {
	f.Add([]byte(asJSON(f, guest(5000))))
	f.Add([]byte(`{"format":"ktgen dump","version":1,"layouts":"","maps":[{"type":"ARENA","status":"complete","extents":[{"addr":"0x10"}]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := dump.ReadJSON(bytes.NewReader(text))
		if err != nil {
			require.ErrorAs(t, err, new(*dump.DocumentError))
			return
		}
		show(t, s)
	})
}
