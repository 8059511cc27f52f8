package kernel

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSourcesOfDebianAreFound(t *testing.T) {
	tests := []struct {
		name, file, text string
		want             []source // uris and options
	}{
		{
			"one line", "sources.list", "# comment\ndeb http://mirror.invalid/debian bookworm main contrib # end\n",
			[]source{{uris: []string{"http://mirror.invalid/debian"}, options: map[string]string{}}},
		},
		{
			"one line with options", "sources.list",
			"deb [ arch=amd64,arm64 signed-by=/k1.gpg,/k2.gpg trusted=yes ] https://mirror.invalid/debian/ trixie-updates main\n",
			[]source{{uris: []string{"https://mirror.invalid/debian/"}, options: map[string]string{"Signed-By": "/k1.gpg /k2.gpg", "Trusted": "yes"}}},
		},
		{
			"a stanza", "debian.sources",
			"# comment\nTypes: deb deb-src\nURIs: http://mirror.invalid/debian\n# inner\nSuites: bookworm\n bookworm-updates\ncomponents: main\nSigned-By: /k.gpg\n",
			[]source{{uris: []string{"http://mirror.invalid/debian"}, options: map[string]string{"Signed-By": "/k.gpg"}}},
		},
		{
			"a key inside", "debian.sources",
			"Types: deb\nURIs: http://mirror.invalid/debian\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME\n",
			[]source{{uris: []string{"http://mirror.invalid/debian"}, options: map[string]string{"Signed-By": "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME"}}},
		},
		{
			"a mirror of another path with Debian's key", "x.list",
			"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://cache.invalid/remote/deb bookworm main\n",
			[]source{{uris: []string{"http://cache.invalid/remote/deb"}, options: map[string]string{"Signed-By": "/usr/share/keyrings/debian-archive-keyring.gpg"}}},
		},
		{
			"one archive in two entries", "sources.list",
			"deb http://mirror.invalid/debian trixie main\ndeb http://mirror.invalid/debian trixie-updates main\n",
			[]source{{uris: []string{"http://mirror.invalid/debian"}, options: map[string]string{}}},
		},
		{"sources only", "sources.list", "deb-src http://mirror.invalid/debian bookworm main\n", nil},
		{"switched off", "x.sources", "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: sid\nComponents: main\nEnabled: no\n", nil},
		{"security updates", "sources.list", "deb http://mirror.invalid/debian-security bookworm-security main\n", nil},
		{"another distribution", "sources.list", "deb http://mirror.invalid/ubuntu noble main\n", nil},
		{"somebody's packages for Debian", "sources.list", "deb https://packages.invalid/linux/debian bookworm stable\ndeb https://packages.invalid/apt stable main\n", nil},
		{"a disc", "sources.list", "deb cdrom:[Debian GNU/Linux 13]/debian trixie main\n", nil},
		{"nothing", "sources.list", "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), test.file)
			require.NoError(t, os.WriteFile(path, []byte(test.text), 0o644))
			found, err := debianSources([]string{path, path + ".missing"})
			require.NoError(t, err)
			require.Len(t, found, len(test.want))
			for i, want := range test.want {
				require.True(t, found[i].sameArchive(want), "got %+v, want %+v", found[i], want)
			}
		})
	}
}

func TestStanzaIsReadAsItWasWritten(t *testing.T) {
	s := source{
		uris:    []string{"http://a.invalid/debian", "http://b.invalid/debian"},
		options: map[string]string{"Signed-By": "\n -----BEGIN\n .\n mDME", "Trusted": "no"},
	}
	read, err := parseDeb822(strings.NewReader(s.stanza("sid")))
	require.NoError(t, err)
	require.Len(t, read, 1)
	require.True(t, read[0].sameArchive(s), "%+v", read[0])
	require.Equal(t, []string{"sid"}, read[0].suites)
	require.Equal(t, []string{"main"}, read[0].components)
}

func FuzzSources(f *testing.F) {
	f.Add("deb [signed-by=/k] http://mirror.invalid/debian bookworm main")
	f.Add("Types: deb\nURIs: x\n y\n\nSuites: sid\n")
	f.Add("[]]][ \x00:")
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) ([]source, error){
			func(s string) ([]source, error) { return parseOneLine(strings.NewReader(s)) },
			func(s string) ([]source, error) { return parseDeb822(strings.NewReader(s)) },
		} {
			entries, err := parse(text)
			if err != nil {
				continue
			}
			for _, s := range entries {
				s.isDebian()
			}
		}
	})
}
