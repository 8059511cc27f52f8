package kernel

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzBootImage(f *testing.F) {
	header := make([]byte, 0xa00)
	header[offSetupSects] = 3
	copy(header[offBootFlag:], "\x55\xaa")
	copy(header[offMagic:], setupMagic)
	copy(header[offProtocol:], "\x0f\x02")
	copy(header[offVersion:], "\x00\x03")
	copy(header[0x500:], "7.3.4 (x)")
	header[offLoadFlags], header[offXLoadFlags] = 1, 1
	header[offSysSize] = 0x20
	header[offPayloadSize] = 0x80
	f.Add(header)
	f.Fuzz(func(t *testing.T, image []byte) {
		boot, err := readBootImage(bytes.NewReader(image), int64(len(image)))
		var format *FormatError
		if err != nil && !errors.As(err, &format) {
			t.Fatalf("error of type %T", err)
		}
		if err == nil && (boot.payload.Offset < 0 || boot.payload.end() > int64(len(image))) {
			t.Fatalf("payload %+v outside of %d bytes", boot.payload, len(image))
		}
	})
}

func FuzzVmlinux(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Fuzz(func(t *testing.T, image []byte) {
		v, err := readVmlinux(bytes.NewReader(image), int64(len(image)))
		if err == nil && v.BTF.end() > int64(len(image)) {
			t.Fatalf(".BTF %+v outside of %d bytes", v.BTF, len(image))
		}
	})
}

func TestHasNoteIsBounded(t *testing.T) {
	require.False(t, hasNote(bytes.Repeat([]byte{0xff}, 40), "Xen", 18))
	require.False(t, hasNote(nil, "Xen", 18))
}

func TestReleasesAreOrderedLikeVersions(t *testing.T) {
	want := []string{
		"6.12.48+deb13-cloud-amd64",
		"7.0~rc1",
		"7.2.13+deb14-cloud-amd64",
		"7.3.0-rc2",
		"7.3.0-rc10",
		"7.3.0",
		"7.3.4+deb13-cloud-amd64",
		"7.3.10+deb13-cloud-amd64",
		"7.10.1+deb14-cloud-amd64",
		"10.0.0",
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareReleases)
	require.Equal(t, want, got)
}

func TestVersionsAreOrderedAsDpkgDoes(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"1.0", "1.0", 0},
		{"1.0~rc1", "1.0", -1},
		{"1.0", "1.0a", -1},
		{"1.0a", "1.0+", -1},
		{"1.09", "1.9", 0},
		{"7.3.4-1~bpo13+1", "7.3.4-1", -1},
		{"99999999999999999999999", "100000000000000000000000", -1},
	} {
		got := compareVersions(test.a, test.b)
		require.Equal(t, test.want < 0, got < 0, "%s against %s: %d", test.a, test.b, got)
		require.Equal(t, test.want == 0, got == 0, "%s against %s: %d", test.a, test.b, got)
		require.Equal(t, -got < 0, compareVersions(test.b, test.a) < 0)
	}
}
