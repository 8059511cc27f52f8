package siblings_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/gen/internal/siblings"
	"github.com/ktgen/ktgen/object"
	ktrt "github.com/ktgen/ktgen/runtime"
	"github.com/ktgen/ktgen/runtime/ctype"
	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// Where the arrays and variables of the guest are.
const (
	leasesAt = 0xffff_8880_0000_1000
	loansAt  = 0xffff_8880_0000_2000
	bssAt    = 0xffff_8880_0000_3000
	leaseLen = 24
)

// guest is a snapshot of both objects: loan i points to lease i+1, and the latest
// lease is the third.
func guest(t *testing.T) *ktsnap.Snapshot {
	t.Helper()
	s := new(ktsnap.Snapshot)
	leases := array(t, s, "testdata/lender.bpf.o", "leases", leasesAt)
	loans := array(t, s, "testdata/borrower.bpf.o", "loans", loansAt)
	for i := range leases.N {
		word(leases.Values[i*leaseLen:], uint64(10+i))
		word(leases.Values[i*leaseLen+8:], leasesAt+uint64((i+1)%leases.N*leaseLen))
	}
	for i := range loans.N {
		word(loans.Values[i*leaseLen:], leasesAt+uint64((i+1)*leaseLen))
		word(loans.Values[i*leaseLen+8:], bssAt)
	}
	obj, err := object.Open("testdata/borrower.bpf.o")
	require.NoError(t, err)
	shape, err := btf.NewShapes(obj.Types).Of(obj.Sections[0].Type)
	require.NoError(t, err)
	bss := &ktsnap.Map{ID: 9, Name: "borrower.bss", Type: ktsnap.MapTypeArray, Program: loans.Program, Value: shape, KeySize: 4, ValueSize: 8, N: 1, Total: 1, Slots: 1, Stride: 8, Base: bssAt, Values: make([]byte, 8)}
	word(bss.Values, leasesAt+2*leaseLen)
	s.Maps = append(s.Maps, bss)
	return s
}

func word(b []byte, v uint64) { binary.LittleEndian.PutUint64(b, v) }

// array adds a program to a snapshot, with one of its maps, full of zeroes.
func array(t *testing.T, s *ktsnap.Snapshot, path, name string, at uint64) *ktsnap.Map {
	t.Helper()
	obj, err := object.Open(path)
	require.NoError(t, err)
	shapes := btf.NewShapes(obj.Types)
	program := &ktsnap.Program{BTFID: uint32(len(s.Programs) + 1)}
	program.Shapes, err = shapes.Named(obj.Types)
	require.NoError(t, err)
	s.Programs = append(s.Programs, program)
	for i, m := range obj.Maps {
		if m.Name != name {
			continue
		}
		value, err := shapes.Of(m.Value)
		require.NoError(t, err)
		n, size := int(m.MaxEntries), int(m.ValueSize)
		s.Maps = append(s.Maps, &ktsnap.Map{
			ID: uint32(10*len(s.Programs) + i), Name: name, Type: ktsnap.MapTypeArray, Program: program, Value: value,
			KeySize: 4, ValueSize: size, MaxEntries: n, N: n, Total: n, Slots: 1, Stride: size, Base: at, Values: make([]byte, n*size),
		})
	}
	return s.Maps[len(s.Maps)-1]
}

func TestPointersToWhatASiblingDefinesAreFollowed(t *testing.T) {
	s := guest(t)
	snap := siblings.BindBorrower(t, s)
	loan := snap.Loans().At(1)
	require.EqualValues(t, 12, loan.Lease.Id)
	require.EqualValues(t, 13, loan.Lease.Next.Id)
	require.Same(t, loan.Lease, snap.Bss().Latest, "the same object is the same pointer")
	require.Same(t, loan.Lease, *loan.All)

	byPath, err := s.Map("loans").At(1).Get("lease.next.id").Uint64()
	require.NoError(t, err)
	require.EqualValues(t, 13, byPath)
	require.EqualValues(t, 12, siblings.BindLender(t, s).Leases().At(2).Id)
}

// A guest whose programs define the struct differently has no type for it, and
// what differs from the generated code is said when it is bound.
func TestSiblingsThatDifferInTheGuestAreNotFollowed(t *testing.T) {
	s := guest(t)
	u64 := &ctype.Shape{Kind: ctype.KindInt, Name: "u64", Size: 8}
	other := &ctype.Shape{Kind: ctype.KindStruct, Name: "lease", Size: 24, Members: []ctype.Member{{Name: "next", Type: u64}, {Name: "id", Offset: 8, Type: u64}}}
	s.Programs = append(s.Programs, &ktsnap.Program{BTFID: 7, Shapes: []*ctype.Shape{other}})
	snap := siblings.BindBorrower(t, s)
	require.Nil(t, snap.Loans().At(1).Lease)

	var notBound *ktsnap.NotBoundError
	require.ErrorAs(t, ktrt.PointerAt(snap, &snap.Loans().At(1).Lease).Err, &notBound)
	require.Contains(t, notBound.Reason, "differently")
	require.ErrorAs(t, s.Map("loans").At(1).Get("lease.id").Err(), &notBound)
}
