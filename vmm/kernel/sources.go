package kernel

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
)

// This file reads where a system gets its packages from (sources.list(5), both
// formats) to find the Debian archive it uses, and writes sources of its own
// for that archive.

// source is one entry of a system's sources.
type source struct {
	types      []string
	uris       []string
	suites     []string
	components []string
	disabled   bool
	options    map[string]string // by name as in the deb822 format; values may have lines
}

// keptOptions are the options that belong to an archive and not to what of it
// is used.
var keptOptions = []string{"Signed-By", "Trusted", "Check-Valid-Until", "Check-Date", "By-Hash"}

// maxSourceLine bounds, in bytes, a line of sources. A key inside of an entry
// has lines of 64 bytes.
const maxSourceLine = 1 << 16

// parseOneLine reads the format of sources.list:
//
//	deb [ option=value ... ] uri suite component ...
func parseOneLine(r io.Reader) ([]source, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSourceLine)
	var all []source
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if kind == "" {
			continue
		}
		options, rest := cutOptions(strings.TrimSpace(rest))
		fields := strings.Fields(rest)
		if len(fields) < 2 {
			continue
		}
		all = append(all, source{
			types: []string{kind}, uris: fields[:1], suites: fields[1:2], components: fields[2:], options: options,
		})
	}
	return all, lines.Err()
}

// cutOptions splits the bracketed options from the rest of a line.
func cutOptions(line string) (options map[string]string, rest string) {
	options = map[string]string{}
	inner, rest, found := strings.Cut(line, "]")
	if !found || !strings.HasPrefix(inner, "[") {
		return options, line
	}
	for _, field := range strings.Fields(inner[1:]) {
		name, value, _ := strings.Cut(field, "=")
		for _, kept := range keptOptions {
			if strings.EqualFold(strings.TrimSuffix(name, "+"), kept) {
				options[kept] = strings.ReplaceAll(value, ",", " ")
			}
		}
	}
	return options, rest
}

// parseDeb822 reads the format of *.sources: stanzas of "Field: value", a value
// going on in lines that begin with white space.
func parseDeb822(r io.Reader) ([]source, error) {
	var all []source
	fields := map[string]string{}
	last := ""
	finish := func() {
		if len(fields) > 0 {
			all = append(all, sourceOf(fields))
		}
		fields, last = map[string]string{}, ""
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxSourceLine)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			finish()
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				fields[last] += "\n" + line
			}
		default:
			name, value, _ := strings.Cut(line, ":")
			last = strings.ToLower(name)
			fields[last] = strings.TrimSpace(value)
		}
	}
	finish()
	return all, lines.Err()
}

func sourceOf(fields map[string]string) source {
	s := source{
		types:      strings.Fields(fields["types"]),
		uris:       strings.Fields(fields["uris"]),
		suites:     strings.Fields(fields["suites"]),
		components: strings.Fields(fields["components"]),
		options:    map[string]string{},
	}
	switch strings.ToLower(fields["enabled"]) {
	case "no", "false", "0", "off", "without", "disable":
		s.disabled = true
	}
	for _, name := range keptOptions {
		if value, ok := fields[strings.ToLower(name)]; ok {
			s.options[name] = value
		}
	}
	return s
}

// debianReleases are the names a suite of the Debian archive begins with.
var debianReleases = []string{
	"buster", "bullseye", "bookworm", "trixie", "forky", "duke", "sid",
	"oldoldstable", "oldstable", "stable", "testing", "unstable",
}

// debianPockets are what may follow the name. Security updates are another
// archive.
var debianPockets = []string{"", "-updates", "-proposed-updates", "-backports", "-backports-sloppy"}

// isDebian says whether an entry is the Debian archive. Others use Debian's
// suites, too, so its path or key must be Debian's as well.
func (s source) isDebian() bool {
	if s.disabled || !slices.Contains(s.types, "deb") || !slices.Contains(s.components, "main") {
		return false
	}
	if !slices.ContainsFunc(s.suites, isDebianSuite) {
		return false
	}
	return strings.Contains(s.options["Signed-By"], "debian-archive") || slices.ContainsFunc(s.uris, hasDebianPath)
}

func isDebianSuite(suite string) bool {
	name, pocket, dashed := strings.Cut(suite, "-")
	if dashed {
		pocket = "-" + pocket
	}
	return slices.Contains(debianReleases, name) && slices.Contains(debianPockets, pocket)
}

func hasDebianPath(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && path.Base(u.Path) == "debian" && u.Scheme != "cdrom"
}

// sameArchive says whether two entries differ in suites only.
func (s source) sameArchive(t source) bool {
	return slices.Equal(s.uris, t.uris) && maps.Equal(s.options, t.options)
}

// stanza writes an entry for a suite of the same archive, of which only the
// index of packages is wanted.
func (s source) stanza(suite string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nArchitectures: %s\nTargets: Packages\nLanguages: none\n",
		strings.Join(s.uris, " "), suite, debianArch)
	for _, name := range keptOptions {
		if value, ok := s.options[name]; ok {
			fmt.Fprintf(&b, "%s: %s\n", name, value)
		}
	}
	return b.String()
}
