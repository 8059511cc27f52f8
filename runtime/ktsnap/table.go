package ktsnap

import (
	"encoding/binary"
	"fmt"

	"github.com/ktgen/ktgen/runtime/ctype"
)

// Table is what a snapshot holds of the kernel's objects of one kind, such as all
// tasks: of each the members that its Type has. Package sched reads the tables
// that captures make, and says which there are.
type Table struct {
	Name string       // "tasks"
	Type *ctype.Shape // a struct of those members that are copied, as the guest's kernel has them

	N     int      // records
	Data  []byte   // N of Type.Size bytes
	Addrs []uint64 // of the kernel's objects; 0 for a record that no object stands behind

	Status Status
	Reason string       // why Status is not Complete, for a person; with counts
	Faults []TableFault // of single records, ascending
}

// TableFault says what is wrong with a record of a table, as far as it can be told.
type TableFault struct {
	Record int
	Reason string
}

// Record returns the bytes of record i.
func (t *Table) Record(i int) []byte {
	size := t.Type.Size
	return t.Data[i*size : (i+1)*size : (i+1)*size]
}

// Check says what is wrong with the columns of a table: they are not as long as N says.
func (t *Table) Check() error {
	switch {
	case t.Type == nil || t.Type.Kind != ctype.KindStruct:
		return fmt.Errorf("the snapshot is damaged: table %q has no type", t.Name)
	case t.N < 0 || !fits(int64(len(t.Data)), int64(t.N), int64(t.Type.Size)) || len(t.Data) != t.N*t.Type.Size:
		return fmt.Errorf("the snapshot is damaged: table %q has %d bytes for %d records of %d", t.Name, len(t.Data), t.N, t.Type.Size)
	case len(t.Addrs) != t.N:
		return fmt.Errorf("the snapshot is damaged: table %q has %d addresses for %d records", t.Name, len(t.Addrs), t.N)
	}
	for _, f := range t.Faults {
		if f.Record < 0 || f.Record >= t.N {
			return fmt.Errorf("the snapshot is damaged: table %q says what is wrong with record %d of %d", t.Name, f.Record, t.N)
		}
	}
	return nil
}

// fileTable is a table in the document of a file.
type fileTable struct {
	Name   string       `json:"name"`
	Type   string       `json:"type"` // in Orphans
	N      int          `json:"n"`
	Data   int          `json:"data,omitempty"`  // block
	Addrs  int          `json:"addrs,omitempty"` // block: 8 bytes each
	Status Status       `json:"status,omitempty"`
	Reason string       `json:"reason,omitempty"`
	Faults []TableFault `json:"faults,omitempty"`
}

func (e *fileEncoder) tables(tables []*Table) (documents []fileTable) {
	for _, t := range tables {
		if t.Check() != nil {
			continue // Read would refuse the file
		}
		f := fileTable{Name: t.Name, Type: ref(&e.orphans, t.Type), N: t.N, Status: t.Status, Reason: t.Reason, Faults: t.Faults}
		if t.N > 0 {
			var addrs []byte
			for _, a := range t.Addrs {
				addrs = binary.LittleEndian.AppendUint64(addrs, a)
			}
			f.Data, f.Addrs = e.add(t.Data), e.add(addrs)
		}
		documents = append(documents, f)
	}
	return documents
}

func (d *fileDecoder) kernelTables(documents []fileTable) (tables []*Table, err error) {
	for _, f := range documents {
		t := &Table{Name: f.Name, N: f.N, Status: f.Status, Reason: f.Reason, Faults: f.Faults}
		if t.Type, err = d.orphans.Optional(f.Type); err != nil {
			return nil, fmt.Errorf("table %q: %w", f.Name, err)
		}
		if t.Data, err = d.block(f.Data); err != nil {
			return nil, err
		}
		addrs, err := d.block(f.Addrs)
		if err != nil {
			return nil, err
		}
		for ; len(addrs) >= 8; addrs = addrs[8:] {
			t.Addrs = append(t.Addrs, binary.LittleEndian.Uint64(addrs))
		}
		if err := t.Check(); err != nil {
			return nil, err
		}
		tables = append(tables, t)
	}
	return tables, nil
}
