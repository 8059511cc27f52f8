package ktsnap

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/internal/convert"
	"github.com/ktgen/ktgen/runtime/internal/shapetest"
)

// sampleSnapshot has one of everything that a file stores.
func sampleSnapshot() *Snapshot {
	program := &Program{BTFID: 7, Name: "tally"}
	value := shapetest.Struct("ctx", 8, ctype.Member{Name: "weight", Type: shapetest.U32}, ctype.Member{Name: "next", Offset: 4, Type: shapetest.U32})
	program.Shapes = []*ctype.Shape{value}
	return &Snapshot{
		Name:     "after_spawn",
		Taken:    time.Date(2026, 11, 23, 14, 55, 0, 123456789, time.UTC),
		Timing:   Timing{Stop: time.Millisecond, Paused: 2 * time.Millisecond, Bytes: 4096},
		Guest:    Guest{Release: "7.3.4", Arch: "amd64", PageSize: 4096, CPUs: 2, Online: []int{0, 1}},
		Programs: []*Program{program},
		Symbols:  []Symbol{{Addr: 0xffffffff81000000, Size: 16, Name: "schedule"}, {Addr: 0xffffffffc0000000, Size: 4096, Name: "bpf_prog_\xff"}},
		Maps: []*Map{
			{
				ID: 1, Name: "hash", Type: MapTypeHash, KeySize: 4, ValueSize: 8, Program: program, Key: shapetest.U32, Value: value,
				Total: 2, N: 2, Slots: 1, Stride: 8, Keys: []byte{1, 0, 0, 0, 2, 0, 0, 0}, Values: make([]byte, 16), Addrs: []uint64{0xffff888000000000, 0},
			},
			{
				ID: 2, Name: "storage", Type: MapTypeTaskStorage, ValueSize: 4, Program: program, Value: shapetest.U32,
				Status: Truncated, Reason: "a limit of 1 entry", Total: 5, N: 1, Slots: 1, Stride: 4, Values: []byte{1, 2, 3, 4},
				Owners: []Owner{{Addr: 0xffff888000001000, PID: 12, TGID: 11, Comm: "odd\xff"}},
			},
			{
				ID: 3, Name: "arena", Type: MapTypeArena, Extra: 1 << 44, Base: 0xffffc90000000000, MaxEntries: 100,
				Extents: []Extent{{Addr: 1 << 44, Data: bytes.Repeat([]byte{7}, 4096)}, {Addr: 1<<44 + 8192, Data: []byte{1}}},
			},
			{ID: 4, Name: "untyped", Type: MapTypeArray, ValueSize: 1, N: 1, Slots: 1, Stride: 8, Values: []byte{1, 0, 0, 0, 0, 0, 0, 0}, Base: 16, Value: shapetest.U64},
			{ID: 5, Name: "broken", Type: MapTypeQueue, Status: Unsupported, Reason: "queues are not read"},
		},
		Tables: []*Table{
			{
				Name: "tasks", Type: kernelTask(shapetest.U32), N: 2, Data: []byte{12, 0, 0, 0, 1, 2, 3, 4, 13, 0, 0, 0, 5, 6, 7, 8},
				Addrs: []uint64{0xffff888000001000, 0}, Status: Truncated, Reason: "2 of 3", Faults: []TableFault{{Record: 1, Reason: "odd"}},
			},
			{Name: "queues", Type: kernelTask(shapetest.U32)},
		},
		KernelStatus: Truncated, KernelReason: "3 objects reach the limit",
		Kernel: []KernelObject{
			{Addr: 0xffff888000001000, Name: "task_struct", Type: kernelTask(shapetest.U32), Data: []byte{12, 0, 0, 0, 1, 2, 3, 4}},
			{Addr: 0xffff888000002000, Name: "task_struct", Fault: FaultContradiction, Reason: "it was freed"},
			{Addr: 0xffff888000003000, Name: "task_struct", Type: kernelTask(shapetest.U32), Data: []byte{13, 0, 0, 0, 5, 6, 7, 8}},
		},
	}
}

// kernelTask is a struct task_struct with a member of the program's u32, and one
// more.
func kernelTask(u32 *ctype.Shape) *ctype.Shape {
	return &ctype.Shape{Kind: ctype.KindStruct, Name: "task_struct", Size: 8, Members: []ctype.Member{{Name: "pid", Type: u32}, {Name: "flags", Offset: 4, Type: u32}}}
}

func fileOf(t testing.TB, s *Snapshot) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	return b.Bytes()
}

func TestSnapshotsSurviveFiles(t *testing.T) {
	want := sampleSnapshot()
	path := filepath.Join(t.TempDir(), "a.snapshot")
	require.NoError(t, want.WriteFile(path))
	got, err := ReadFile(path)
	require.NoError(t, err)

	for i, m := range want.Maps {
		g := got.Maps[i]
		for _, p := range []struct{ want, got *ctype.Shape }{{m.Key, g.Key}, {m.Value, g.Value}} {
			require.Equal(t, p.want == nil, p.got == nil, m.Name)
			require.Empty(t, shapetest.Difference(p.want, p.got))
		}
		// Maps share the shapes and the program of the snapshot.
		require.Equal(t, m.Program == want.Programs[0], g.Program == got.Programs[0])
		m.Key, m.Value, m.Program, g.Key, g.Value, g.Program = nil, nil, nil, nil, nil, nil
		require.Equal(t, m, g)
	}
	require.Empty(t, shapetest.Difference(want.Programs[0].Shapes[0], got.Programs[0].Shapes[0]))
	for i := range want.Kernel {
		w, g := &want.Kernel[i], &got.Kernel[i]
		require.Equal(t, w.Type == nil, g.Type == nil, w.Reason)
		require.Empty(t, shapetest.Difference(w.Type, g.Type))
		w.Type, g.Type = nil, nil
	}
	for i := range want.Tables {
		require.Empty(t, shapetest.Difference(want.Tables[i].Type, got.Tables[i].Type))
		want.Tables[i].Type, got.Tables[i].Type = nil, nil
	}
	want.Programs, got.Programs, want.Maps, got.Maps = nil, nil, nil, nil
	require.Equal(t, want, got)
}

// Names of addresses are looked up in the order of the addresses, in which a file
// need not have them.
func TestSymbolsOfAFileAreFoundInWhateverOrderItHasThem(t *testing.T) {
	want := sampleSnapshot()
	slices.Reverse(want.Symbols)
	got, err := Read(bytes.NewReader(fileOf(t, want)))
	require.NoError(t, err)
	require.Equal(t, "schedule+0x4", got.Frame(0xffffffff81000004).String())
	require.Equal(t, "bpf_prog_\xff+0x8", got.Frame(0xffffffffc0000008).String())
}

func TestFilesAreDeterministic(t *testing.T) {
	require.Equal(t, fileOf(t, sampleSnapshot()), fileOf(t, sampleSnapshot()))
}

func TestShapesOfAMapAndItsProgramAreOne(t *testing.T) {
	got, err := Read(bytes.NewReader(fileOf(t, sampleSnapshot())))
	require.NoError(t, err)
	require.Same(t, got.Programs[0].Shapes[0], got.Maps[0].Value)
}

func TestEveryTruncationIsNoticed(t *testing.T) {
	file := fileOf(t, sampleSnapshot())
	for n := range len(file) {
		_, err := Read(bytes.NewReader(file[:n]))
		var damaged *FormatError
		require.ErrorAs(t, err, &damaged, "%d of %d bytes", n, len(file))
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	file := fileOf(t, sampleSnapshot())
	want, err := Read(bytes.NewReader(file))
	require.NoError(t, err)
	for i := range len(file) {
		file[i] ^= 1 << (i % 8)
		got, err := Read(bytes.NewReader(file))
		if err == nil {
			require.Equal(t, want, got, "byte %d", i) // only padding and reserved bytes may change
		}
		file[i] ^= 1 << (i % 8)
	}
}

func TestNewerFilesAreRefusedByVersion(t *testing.T) {
	file := fileOf(t, sampleSnapshot())
	binary.LittleEndian.PutUint32(file[8:], 3)
	_, err := Read(bytes.NewReader(file))
	require.Equal(t, &NewerVersionError{Version: 3, Known: 2}, err)
	require.ErrorContains(t, err, "update ktgen")
}

func TestFailedWritesLeaveNoFile(t *testing.T) {
	dir := t.TempDir()
	require.Error(t, sampleSnapshot().WriteFile(filepath.Join(dir, "missing", "a.snapshot")))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// withDocument is a file with another document in block 0 and a good checksum.
func withDocument(document string) []byte {
	b := append([]byte(fileMagic), make([]byte, 8)...)
	binary.LittleEndian.PutUint32(b[8:], fileVersion)
	binary.LittleEndian.PutUint32(b[12:], 1)
	b = append(b, convert.Words(40, uint64(len(document)))...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum([]byte(document), castagnoli))
	b = append(b, 0, 0, 0, 0)
	return append(b, document...)
}

func TestDocumentsThatLieAreRefused(t *testing.T) {
	for name, document := range map[string]string{
		"no JSON":                   `{`,
		"a block that is not there": `{"maps":[{"values":9}]}`,
		"a negative block":          `{"maps":[{"values":-1}]}`,
		"a program not there":       `{"maps":[{"program":1}]}`,
		"entries without bytes":     `{"maps":[{"n":1000000000,"slots":1000000000,"stride":1000000000,"value_size":8}]}`,
		"negative entries":          `{"maps":[{"n":-1,"slots":1,"stride":8,"value_size":8}]}`,
		"a shape not there":         `{"maps":[{"key":"struct s"}]}`,
		"no time":                   `{"taken":"yesterday"}`,
		"a table without a type":    `{"tables":[{"name":"tasks"}]}`,
		"a big-endian guest":        `{"guest":{"BigEndian":true}}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read(bytes.NewReader(withDocument(document)))
			var damaged *FormatError
			require.ErrorAs(t, err, &damaged)
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(fileOf(f, sampleSnapshot()))
	f.Add(fileOf(f, &Snapshot{}))
	f.Add(withDocument(`{"maps":[{"n":1,"slots":1,"stride":8,"value_size":8}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		fixChecksums(file)
		s, err := Read(bytes.NewReader(file))
		if err != nil {
			return
		}
		_, err = Read(bytes.NewReader(fileOf(t, s)))
		require.NoError(t, err)
	})
}

// fixChecksums lets the fuzzer reach what is behind them.
func fixChecksums(file []byte) {
	if len(file) < fileHeaderSize {
		return
	}
	n := int64(binary.LittleEndian.Uint32(file[12:]))
	for i := range min(n, int64(len(file)-fileHeaderSize)/blockEntrySize) {
		entry := file[fileHeaderSize+i*blockEntrySize:]
		offset, length := binary.LittleEndian.Uint64(entry), binary.LittleEndian.Uint64(entry[8:])
		if offset <= uint64(len(file)) && length <= uint64(len(file))-offset {
			binary.LittleEndian.PutUint32(entry[16:], crc32.Checksum(file[offset:offset+length], castagnoli))
		}
	}
}

func BenchmarkRead64MiB(b *testing.B) {
	s := &Snapshot{Maps: []*Map{{Name: "big", Type: MapTypeArray, ValueSize: 4096, N: 16384, Slots: 1, Stride: 4096, Values: make([]byte, 64<<20)}}}
	path := filepath.Join(b.TempDir(), "big.snapshot")
	require.NoError(b, s.WriteFile(path))
	for b.Loop() {
		_, err := ReadFile(path)
		require.NoError(b, err)
	}
}

// A file is as good as its snapshot: what is damaged in memory costs itself only,
// and says so.
func TestOneDamagedMapDoesNotCostTheFile(t *testing.T) {
	for name, damage := range map[string]func(m *Map){
		"value_size 0":       func(m *Map) { m.ValueSize = 0 },
		"stride 0":           func(m *Map) { m.Stride = 0 },
		"no slots":           func(m *Map) { m.Slots = 0 },
		"a negative key":     func(m *Map) { m.KeySize = -1 },
		"a negative number":  func(m *Map) { m.N = -1 },
		"too many entries":   func(m *Map) { m.N = 1 << 40 },
		"too few values":     func(m *Map) { m.Values = m.Values[:3] },
		"no values":          func(m *Map) { m.Values = nil },
		"too few keys":       func(m *Map) { m.Keys = m.Keys[:5] },
		"too few addresses":  func(m *Map) { m.Addrs = m.Addrs[:1] },
		"values far between": func(m *Map) { m.Stride = 1 << 40 },
	} {
		t.Run(name, func(t *testing.T) {
			s := sampleSnapshot()
			damage(s.Maps[0])
			got, err := Read(bytes.NewReader(fileOf(t, s)))
			require.NoError(t, err)
			require.Equal(t, Failed, got.Maps[0].Status)
			require.Contains(t, got.Maps[0].Reason, "the snapshot is damaged: map hash has ")
			_, err = got.Map("hash").At(0).Get("weight").Uint64()
			require.Error(t, err)

			whole, err := Read(bytes.NewReader(fileOf(t, sampleSnapshot())))
			require.NoError(t, err)
			for i, m := range whole.Maps[1:] {
				require.Equal(t, m.Values, got.Maps[i+1].Values, m.Name)
				require.Equal(t, m.Status, got.Maps[i+1].Status, m.Name)
			}
		})
	}
}

func TestOneDamagedObjectDoesNotCostTheFile(t *testing.T) {
	s := sampleSnapshot()
	s.Kernel[0].Data = s.Kernel[0].Data[:5]
	got, err := Read(bytes.NewReader(fileOf(t, s)))
	require.NoError(t, err)
	require.Equal(t, FaultUnreadable, got.Kernel[0].Fault)
	require.Equal(t, "the snapshot is damaged: the object has 5 bytes, and its type does not", got.Kernel[0].Reason)
	require.Equal(t, s.Kernel[2].Data, got.Kernel[2].Data, "the next one is where it is")
}
