package bpfload

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ktgen/ktgen/ktest/internal/libbpf"
)

// TestSectionsAreThoseOfLibbpf compares what sections stand for, and which of them say what to
// attach to, with section_defs of the libbpf in the cache.
func TestSectionsAreThoseOfLibbpf(t *testing.T) {
	tree := libbpf.Sources(t)
	loader, err := os.ReadFile(filepath.Join(tree, "tools/lib/bpf/libbpf.c"))
	require.NoError(t, err)
	uapi, err := os.ReadFile(filepath.Join(tree, "include/uapi/linux/bpf.h"))
	require.NoError(t, err)
	programs, attach := enumerators(string(uapi), "bpf_prog_type"), enumerators(string(uapi), "bpf_attach_type")

	defs := regexp.MustCompile(`SEC_DEF\("([^"]+)",\s*(\w+),\s*(\w+),\s*([^,)]+?)\s*(?:,\s*(\w+))?\)`).FindAllStringSubmatch(string(loader), -1)
	require.Greater(t, len(defs), 100)
	known := make(map[string]bool)
	for _, def := range defs {
		section, names := strings.CutSuffix(def[1], "+")
		kind, _, _ := strings.Cut(section, "/")
		known[strings.TrimSuffix(section, ".s")] = true
		full := section
		if names {
			full += "/something"
		}
		got, to := kindOf(full)
		require.Equal(t, programs["BPF_PROG_TYPE_"+def[2]], int(got.program), section)
		require.Equal(t, names && kind != "struct_ops" && kind != "struct_ops.s", to != "", section)
		switch def[3] {
		case "0":
			if !strings.HasPrefix(section, "usdt") { // libbpf sets it when it has asked the kernel
				require.Zero(t, got.attach, section)
			}
		default:
			require.Equal(t, attach[def[3]], int(got.attach), section)
		}
		require.Equal(t, strings.Contains(def[4], "SEC_SLEEPABLE"), got.flags&unix.BPF_F_SLEEPABLE != 0, section)
		require.Equal(t, strings.Contains(def[4], "SEC_XDP_FRAGS"), got.flags&unix.BPF_F_XDP_HAS_FRAGS != 0, section)
		if section != "freplace" { // which is not loaded: see attachTarget
			require.Equal(t, def[5] != "", attachers[strings.TrimSuffix(kind, ".s")] != nil, section)
		}
	}
	for _, section := range slices.Concat(sortedKeys(named), sortedKeys(whole), sortedKeys(attachers), sortedKeys(atomic)) {
		require.True(t, known[section], section)
	}
	for section := range atomic {
		got, _ := kindOf(section + ".s/something")
		require.Zero(t, got, section)
	}
}

// enumerators returns the values of an enum that has no gaps.
func enumerators(c, name string) map[string]int {
	_, body, _ := strings.Cut(c, "enum "+name+" {")
	body, _, _ = strings.Cut(body, "}")
	body = regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(body, "")
	all := make(map[string]int)
	for field := range strings.SplitSeq(body, ",") {
		field, value, alias := strings.Cut(strings.TrimSpace(field), "=")
		all[strings.TrimSpace(field)] = len(all)
		if v, known := all[strings.TrimSpace(value)]; alias && known {
			all[strings.TrimSpace(field)] = v
		}
	}
	return all
}
