package dump

import (
	"flag"
	"fmt"
	"iter"
	"os"
	"strings"

	"github.com/ktgen/ktgen/runtime/ktsnap"
)

// TB is what [Golden] needs of a test; [testing.T] has it.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// EnvUpdate names the environment variable that makes [Golden] write files.
const EnvUpdate = "KTGEN_UPDATE"

// maxListed bounds the differences that a test prints.
const maxListed = 20

// Golden compares a snapshot with the one in a snapshot file, and fails the test
// with the differences if there are any but at paths that a mask matches; see
// [Diff]. What that leaves open ([Unseen]) goes to the test's log. The file is written if $KTGEN_UPDATE is 1, or if the test was given a
// flag -update that it defines.
func Golden(t TB, s *ktsnap.Snapshot, file string, masks ...string) {
	t.Helper()
	if Updating() {
		if err := s.WriteFile(file); err != nil {
			t.Fatalf("write the golden snapshot: %v", err)
		}
		return
	}
	want, err := ktsnap.ReadFile(file)
	if err != nil {
		t.Fatalf("read the golden snapshot: %v (%s=1 go test writes it)", err, EnvUpdate)
		return
	}
	changes := listedChanges(Diff(want, s, masks...))
	unseen := ""
	for _, text := range Unseen(want, s, masks...) {
		unseen += "\n\t" + text
	}
	if changes == "" {
		if l, ok := t.(interface{ Logf(string, ...any) }); ok && unseen != "" {
			l.Logf("the snapshot does not differ from %s, as far as can be told:%s", file, unseen)
		}
		return
	}
	if unseen != "" {
		unseen = "\nBesides:" + unseen
	}
	t.Errorf("the snapshot differs from %s (mask what always does, or write it anew with %s=1):%s%s", file, EnvUpdate, changes, unseen)
}

// listedChanges lists changes, each on a line, and how many more there are.
func listedChanges(all iter.Seq[Change]) string {
	var list strings.Builder
	n := 0
	for c := range all {
		if n++; n <= maxListed {
			list.WriteString("\n\t" + c.String())
		}
	}
	if n > maxListed {
		fmt.Fprintf(&list, "\n\t... and %d more", n-maxListed)
	}
	return list.String()
}

// Updating tells whether tests write the files that they compare with: $KTGEN_UPDATE is 1,
// or the test was given a flag -update that it defines.
func Updating() bool {
	if os.Getenv(EnvUpdate) == "1" {
		return true
	}
	f := flag.Lookup("update")
	return f != nil && f.Value.String() == "true"
}
