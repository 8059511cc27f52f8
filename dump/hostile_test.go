package dump_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/dump"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// limited fails a test that writes more than a damaged snapshot may.
type limited struct {
	t    testing.TB
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		l.t.Fatal("a dump has no end")
	}
	return len(p), nil
}

// show does everything with a snapshot that is done with one.
func show(t testing.TB, s *ktsnap.Snapshot) {
	most := 64<<20 + 400*captured(s)
	_ = dump.Text(&limited{t, most}, s, dump.Options{})
	_ = dump.Text(&limited{t, most}, s, dump.Options{Width: 1, Zeros: true, Color: true})
	var b bytes.Buffer
	if err := dump.JSON(&b, s); err == nil {
		require.True(t, json.Valid(b.Bytes()))
		require.Less(t, b.Len(), most)
	}
	for range dump.Diff(s, s) {
		t.Fatal("a snapshot differs from itself")
	}
}

func captured(s *ktsnap.Snapshot) (n int) {
	for _, m := range s.Maps {
		n += len(m.Keys) + len(m.Values)
	}
	return n
}

// A union of unions shows its bytes once for each of their members.
func TestTypesThatShowTheSameBytesTooOftenHaveAnEnd(t *testing.T) {
	inner := u64
	for range 6 {
		union := &ctype.Shape{Kind: ctype.KindUnion, Name: "u", Size: 8}
		for i := range 40 {
			union.Members = append(union.Members, member(0, string(rune('a'+i%26))+string(rune('0'+i/26)), inner))
		}
		inner = union
	}
	m := newMap(ktsnap.Map{Name: "m", Type: ktsnap.MapTypeArray, Value: inner}, 100)
	for i := range m.Values {
		m.Values[i] = 0xff
	}
	s := &ktsnap.Snapshot{Guest: ktsnap.Guest{CPUs: 1}, Maps: []*ktsnap.Map{m}}
	var text bytes.Buffer
	require.NoError(t, dump.Text(&text, s, dump.Options{}))
	require.Less(t, text.Len(), 64<<20)
	require.Contains(t, text.String(), "the rest is left out")
	var b bytes.Buffer
	require.NoError(t, dump.JSON(&b, s))
	require.True(t, json.Valid(b.Bytes()))
	require.Less(t, b.Len(), 64<<20)
}

// Bytes of a file are changed behind its checksums: in the snapshot itself.
func TestSnapshotsWithRandomBytesAreShown(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		s := guest(random.Uint64())
		for _, m := range s.Maps {
			for range random.IntN(20) {
				for _, column := range [][]byte{m.Keys, m.Values} {
					if len(column) > 0 {
						column[random.IntN(len(column))] = byte(random.Uint32())
					}
				}
			}
			switch random.IntN(12) {
			case 0:
				m.N = random.IntN(1 << 20)
			case 1:
				m.Stride, m.ValueSize = random.IntN(64), random.IntN(64)
			case 2:
				m.Slots = random.IntN(5) - 1
			case 3:
				m.Value, m.Key = nil, nil
			case 4:
				m.Type = ktsnap.MapType(random.IntN(40))
			}
		}
		show(t, s)
	}
}

func FuzzDump(f *testing.F) {
	var b bytes.Buffer
	_, err := guest(5000).WriteTo(&b)
	require.NoError(f, err)
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := ktsnap.Read(bytes.NewReader(file))
		if err == nil && captured(s) < 1<<16 {
			show(t, s)
		}
	})
}

func TestOneSnapshotIsShownByManyAtOnce(t *testing.T) {
	s := guest(5000)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_ = dump.Text(io.Discard, s, dump.Options{})
			_ = dump.JSON(io.Discard, s)
			for range dump.Diff(s, s) {
				t.Error("a snapshot differs from itself")
			}
		})
	}
	all.Wait()
}
