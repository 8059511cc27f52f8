package object_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/object"
)

// executable writes a file with objects between other bytes, one of them
// across the boundary of the chunks that a search reads.
func executable(t *testing.T, objects ...[]byte) string {
	t.Helper()
	b := bytes.Repeat([]byte("\x7fELF\x02\x01 "), 1000)
	b = append(b, make([]byte, 1<<20-len(b)-20)...)
	for _, o := range objects {
		b = append(append(b, o...), "padding"...)
	}
	path := filepath.Join(t.TempDir(), "scheduler")
	require.NoError(t, os.WriteFile(path, b, 0o600))
	return path
}

func TestObjectsAreFoundInsideOtherFiles(t *testing.T) {
	little := zooBytes(t)
	big, err := os.ReadFile("testdata/zoo.eb.bpf.o")
	require.NoError(t, err)
	cut := little[:len(little)-100]

	path := executable(t, little, []byte("\x7fELF"), big, cut[:200])
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	found, err := object.Find(f, info.Size())
	require.NoError(t, err)
	start := int64(1<<20 - 20)
	require.Equal(t, []object.Embedded{
		{Name: "zoo", Offset: start, Size: int64(len(little))},
		{Name: "zoo#2", Offset: start + int64(len(little)+len("padding\x7fELFpadding")), Size: int64(len(big))},
	}, found)
}

func TestOneObjectIsOpenedAndSeveralAreChosenFrom(t *testing.T) {
	b := zooBytes(t)
	obj, err := object.Open(executable(t, b))
	require.NoError(t, err)
	require.Equal(t, "zoo", obj.Name)
	require.NotNil(t, obj.Map("by_key"))

	two := executable(t, b, b)
	_, err = object.Open(two)
	require.ErrorIs(t, err, object.ErrSeveral)
	require.ErrorContains(t, err, "several objects inside: zoo, zoo#2; choose one by its name")
	obj, err = object.OpenNamed(two, "zoo#2")
	require.NoError(t, err)
	require.Equal(t, "zoo#2", obj.Name)
	_, err = object.OpenNamed(two, "zoo#3")
	require.ErrorIs(t, err, object.ErrNoSuch)
	require.ErrorContains(t, err, "did you mean zoo")
}

func TestAnExecutableWithoutAnObjectSaysSo(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	_, err = object.Open(self)
	require.ErrorIs(t, err, object.ErrNone)
}

// FuzzFind: a search ends, and what it finds lies inside the file.
func FuzzFind(f *testing.F) {
	b, err := os.ReadFile(zoo)
	require.NoError(f, err)
	f.Add(append([]byte("prefix"), b...))
	f.Add([]byte("\x7fELF\x02\x01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		found, err := object.Find(bytes.NewReader(b), int64(len(b)))
		require.NoError(t, err)
		end := int64(0)
		for _, e := range found {
			require.GreaterOrEqual(t, e.Offset, end)
			end = e.Offset + e.Size
		}
		require.LessOrEqual(t, end, int64(len(b)))
	})
}
