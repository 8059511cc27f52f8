package dump_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func text(t testing.TB, s *ktsnap.Snapshot, o dump.Options) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, dump.Text(&b, s, o))
	return b.String()
}

func TestTextShowsEverythingInItsOwnWay(t *testing.T) {
	golden(t, "guest.txt", text(t, guest(5000), dump.Options{}))
}

func TestTextKeepsToTheWidth(t *testing.T) {
	s := text(t, guest(5000), dump.Options{Width: 60, Maps: []string{"task_ctxs", "scx_per_task", ".bss"}})
	golden(t, "narrow.txt", s)
	for _, line := range strings.Split(s, "\n") {
		if strings.Contains(line, "  ") && !strings.Contains(line, "id ") {
			require.LessOrEqual(t, len([]rune(line)), 60, line)
		}
	}
}

func TestColoursAreAllThatColourAdds(t *testing.T) {
	plain := text(t, guest(5000), dump.Options{})
	colored := text(t, guest(5000), dump.Options{Color: true})
	require.Contains(t, colored, "\x1b[1m")
	for _, code := range []string{"0", "1", "2", "31", "32", "33", "34", "36"} {
		colored = strings.ReplaceAll(colored, "\x1b["+code+"m", "")
	}
	require.Equal(t, plain, colored)
}

func TestTextHasNoControlCharactersOfTheGuest(t *testing.T) {
	require.NotContains(t, text(t, guest(5000), dump.Options{}), "\x1b")
}

func TestAMapThatIsNotThereIsAnErrorWithTheNearest(t *testing.T) {
	err := dump.Text(&bytes.Buffer{}, guest(1), dump.Options{Maps: []string{"task_ctx"}})
	require.ErrorContains(t, err, "task_ctxs")
}

func TestJSONIsWhatTheSchemaSays(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, dump.JSON(&b, guest(5000)))
	require.True(t, json.Valid(b.Bytes()))
	golden(t, "guest.json", b.String())
}

// A flexible array has as many elements as the value has room for.
func TestFlexibleArraysAreShown(t *testing.T) {
	message := structure("message", 8, member(0, "length", u64), member(8, "words", array(u32, 0)))
	m := newMap(ktsnap.Map{ID: 1, Name: "messages", Type: ktsnap.MapTypeArray, Value: message}, 1)
	m.ValueSize, m.Stride, m.Values = 16, 16, make([]byte, 16)
	bytesOf{m.Values}.u64(0, 2).u32(8, 7).u32(12, 9)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
	var text, doc bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{}))
	require.Contains(t, text.String(), "words: [7, 9]")
	require.NoError(t, dump.JSON(&doc, s))
	require.Contains(t, doc.String(), `"words":[7,9]`)
}

func TestBytesBehindTheVariablesOfASectionAreTold(t *testing.T) {
	section := &ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: 8, Members: []ctype.Member{member(0, "nr", u64)}}
	m := newMap(ktsnap.Map{Name: "demo.bss", Type: ktsnap.MapTypeArray, Value: section}, 1)
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}
	for size, want := range map[int]string{8: "", 40: "  32 of 40 bytes without a type, behind the variables\n"} {
		m.ValueSize, m.Stride, m.Values = size, size, append([]byte{1}, make([]byte, size-1)...)
		text, doc := asText(t, s, dump.Options{}), new(bytes.Buffer)
		require.Contains(t, text, "complete\n"+want+"  nr: 1\n")
		require.NoError(t, dump.JSON(doc, s))
		require.Equal(t, want != "", strings.Contains(doc.String(), `"untyped":32`))
	}
}

func TestSectionThatWasNotSelectedIsSaidOnce(t *testing.T) {
	section := &ctype.Shape{Kind: ctype.KindSection, Name: ".bss", Size: 8, Members: []ctype.Member{member(0, "nr", u64)}}
	s := &ktsnap.Snapshot{Maps: []*ktsnap.Map{{
		ID: 3, Name: "demo.bss", Type: ktsnap.MapTypeArray, KeySize: 4, ValueSize: 8, MaxEntries: 1, Value: section,
		Slots: 1, Stride: 8, Total: 1, Status: ktsnap.Truncated, Reason: "not selected",
	}}}
	text := asText(t, s, dump.Options{})
	require.Contains(t, text, "demo.bss  ARRAY  id 3  truncated: not selected\n")
	require.NotContains(t, text, "!!", "its absence is no fault")
	s.Maps[0].Status = ktsnap.Complete
	require.Contains(t, asText(t, s, dump.Options{}), "!!")
}

// What is left out of long keys is shown where others have the same beginning.
func TestDifferentKeysDoNotLookTheSame(t *testing.T) {
	long := structure("pk", 32, member(0, "first", u64), member(8, "second", u64), member(16, "third", u64), member(24, "last", u64))
	for name, key := range map[string]*ctype.Shape{"struct": long, "array": array(u32, 40), "bytes": array(u32, 10)} {
		for kind, slots := range map[ktsnap.MapType]int{ktsnap.MapTypeHash: 1, ktsnap.MapTypePerCPUHash: 2} {
			m := newMap(ktsnap.Map{ID: 1, Name: "lru", Type: kind, Key: key, Value: u64, Slots: slots}, 3)
			if name == "bytes" {
				m.Key = nil
			}
			for i, last := range []uint64{2, 3, 4} {
				w := bytesOf{m.Keys}.at(i * key.Size)
				for at := 0; at < key.Size; at += 8 {
					w.u64(at, 1<<60+uint64(at))
				}
				w.u64(key.Size-8, last)
			}
			bytesOf{m.Keys}.at(2*key.Size).u64(0, 7)
			for _, o := range []dump.Options{{}, {Width: 40}, {Width: 60, Color: true}, {Zeros: true}} {
				seen := make(map[string]bool)
				for line := range strings.Lines(text(t, &ktsnap.Snapshot{Maps: []*ktsnap.Map{m}}, o)) {
					if strings.Contains(line, "{first") || strings.Contains(line, "[1") || strings.Contains(line, "0x0") {
						require.NotContains(t, seen, line, "%s %v", name, o)
						seen[line] = true
					}
				}
			}
		}
	}
}
