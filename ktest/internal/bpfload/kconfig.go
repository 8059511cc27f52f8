package bpfload

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	ktbtf "github.com/ktgen/ktgen/btf"
	"github.com/ktgen/ktgen/object"
)

// This file sets the variables of .kconfig, which have the names of options of
// the kernel's configuration, as libbpf does (bpf_object__resolve_externs and
// set_kcfg_value_* in tools/lib/bpf/libbpf.c): an array of char takes a string,
// an integer a number, a bool or enum libbpf_tristate y, n and m, and a char
// these as letters. A few names are libbpf's own.

// KconfigError is a variable of .kconfig that cannot have the kernel's value.
type KconfigError struct {
	Name   string
	Reason string
}

func (e *KconfigError) Error() string {
	return fmt.Sprintf("variable %s of .kconfig: %s", e.Name, e.Reason)
}

// resolveKconfig gives the object's .kconfig, if it has one, the values of the
// kernel that runs.
func (l *loader) resolveKconfig() error {
	section := l.spec.kconfig
	if section == nil || section.Size == 0 {
		return nil
	}
	values, err := l.kernelValues(section)
	if err != nil {
		return err
	}
	data := make([]byte, section.Size)
	for _, v := range section.Vars {
		if err := l.setKconfig(data[v.Offset:][:v.Size], v, values); err != nil {
			return err
		}
	}
	l.spec.Maps[kconfigSection] = &ebpf.MapSpec{
		Name: kconfigSection, Type: ebpf.Array, KeySize: 4, ValueSize: uint32(section.Size), MaxEntries: 1,
		Flags: unix.BPF_F_RDONLY_PROG | unix.BPF_F_MMAPABLE, Key: &btf.Void{}, Value: section.Type,
		Contents: []ebpf.MapKV{{Key: uint32(0), Value: data}},
	}
	return nil
}

// kconfigTypes are the types that variables of .kconfig can have, by what they take.
const kconfigTypes = "y and n are for bool, m too for enum libbpf_tristate, numbers for integers, strings for arrays of char"

func (l *loader) setKconfig(data []byte, v object.Var, values *kernelConfig) error {
	text, ok := values.options[v.Name]
	if !ok {
		if err := takesOption(v.Type); err != nil {
			return &KconfigError{v.Name, fmt.Sprintf("%v: declare it as a type that takes an option (%s)", err, kconfigTypes)}
		}
		if l.spec.externs[v.Name].Weak && optional(v.Name) {
			return nil // 0, which is how programs know
		}
		return &KconfigError{v.Name, values.missing(v.Name)}
	}
	if err := putKconfig(data, v.Type, text); err != nil {
		return &KconfigError{v.Name, fmt.Sprintf("the kernel has %s=%s, and %v: declare it as a type that takes it (%s)", v.Name, text, err, kconfigTypes)}
	}
	return nil
}

// optional tells whether a name may be one that a kernel or a loader does not know yet.
func optional(name string) bool {
	return strings.HasPrefix(name, "CONFIG_") || strings.HasPrefix(name, "LINUX_")
}

// takesOption says what is wrong with a type that takes no option at all.
func takesOption(t btf.Type) error {
	size, err := btf.Sizeof(t)
	if err != nil {
		return fmt.Errorf("the variable is a %s: %w", ktbtf.Spell(t), err)
	}
	for _, text := range []string{"y", "1", `""`} {
		if err = putKconfig(make([]byte, size), t, text); err == nil {
			return nil
		}
	}
	return err
}

// kconfigOffset returns where in .kconfig a variable is.
func (l *loader) kconfigOffset(name string) (offset uint32, ok bool) {
	if l.spec.kconfig == nil || l.spec.externs[name].Kind != object.ExternKconfig {
		return 0, false
	}
	for _, v := range l.spec.kconfig.Vars {
		if v.Name == name {
			return v.Offset, true
		}
	}
	return 0, false
}

// kernelConfig is what .kconfig is filled from.
type kernelConfig struct {
	options map[string]string // as they are written in the configuration
	from    string            // file, or "" if there is none
}

// missing says why an option has no value.
func (c *kernelConfig) missing(name string) string {
	release := kernelRelease()
	switch {
	case !strings.HasPrefix(name, "CONFIG_"):
		return "no loader knows it: options of the kernel begin with CONFIG_; LINUX_KERNEL_VERSION, LINUX_HAS_BPF_COOKIE and LINUX_HAS_SYSCALL_WRAPPER are there beside"
	case c.from == "":
		return fmt.Sprintf("the guest has no configuration of kernel %s (/boot/config-%[1]s, or /proc/config.gz of a kernel with CONFIG_IKCONFIG_PROC): `ktgen kernel fetch` gets it with the kernel; "+
			"for a kernel of your own have the file config, config-%[1]s or .config beside it; or declare the variable __weak, and it is 0", release)
	}
	return fmt.Sprintf("kernel %s does not set that option (%s): declare the variable __weak, and it is 0%s", release, c.from, c.nearest(name))
}

// nearest names options of which one may have been meant.
func (c *kernelConfig) nearest(name string) string {
	var alike []string
	for _, option := range sortedKeys(c.options) {
		if len(alike) < 3 && (strings.HasPrefix(option, name) || strings.HasPrefix(name, option)) && option != name {
			alike = append(alike, option)
		}
	}
	if alike == nil {
		return ""
	}
	return "; it sets " + strings.Join(alike, ", ")
}

// kernelValues returns what the kernel that runs has, as far as a section wants it.
func (l *loader) kernelValues(section *object.Section) (*kernelConfig, error) {
	c := &kernelConfig{options: make(map[string]string)}
	var reads bool
	for _, v := range section.Vars {
		reads = reads || strings.HasPrefix(v.Name, "CONFIG_")
	}
	if reads {
		if err := c.read(); err != nil {
			return nil, err
		}
	}
	version, err := runningVersion()
	if err != nil {
		return nil, err
	}
	c.options["LINUX_KERNEL_VERSION"] = strconv.FormatUint(uint64(version), 10)
	c.options["LINUX_HAS_BPF_COOKIE"] = bit(l.hasType("bpf_trace_run_ctx"))
	c.options["LINUX_HAS_SYSCALL_WRAPPER"] = bit(l.hasFunc("__x64_sys_bpf"))
	return c, nil
}

func bit(b bool) string {
	if b {
		return "1"
	}
	return "0"
}

// hasType reports whether the kernel has a type: perf events and kprobes carry
// cookies since struct bpf_trace_run_ctx is there (v5.15).
func (l *loader) hasType(name string) bool {
	_, err := l.kernel.AnyTypeByName(name)
	return err == nil
}

// hasFunc reports whether the kernel has a function: CONFIG_ARCH_HAS_SYSCALL_WRAPPER
// puts one before each system call (arch/x86/include/asm/syscall_wrapper.h).
func (l *loader) hasFunc(name string) bool {
	if _, _, err := find[*btf.Func](l, vmlinux, name); err == nil {
		return true
	}
	_, found, err := symbolAddress(name)
	return err == nil && found
}

// runningVersion returns the version of the kernel that runs. Debian's release
// can be that of an ABI, 6.1.0-18-amd64, where what uname -v prints has the version.
func runningVersion() (uint32, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return 0, fmt.Errorf("ask for the kernel's version: %w", err)
	}
	if _, debian, ok := strings.Cut(unix.ByteSliceToString(name.Version[:]), "Debian "); ok {
		if version, err := kernelVersion(debian); err == nil {
			return version, nil
		}
	}
	return kernelVersion(unix.ByteSliceToString(name.Release[:]))
}

// kernelVersion is what KERNEL_VERSION makes of a release, as the kernel's own
// LINUX_VERSION_CODE: a number beyond 255 is that.
func kernelVersion(release string) (uint32, error) {
	var v [3]uint32
	n, err := fmt.Sscanf(release, "%d.%d.%d", &v[0], &v[1], &v[2])
	if n < 2 {
		return 0, fmt.Errorf("the kernel's release %q is no version: %w", release, err)
	}
	return v[0]<<16 + v[1]<<8 + min(v[2], 255), nil
}

func kernelRelease() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

// read reads the kernel's configuration from where libbpf looks for it.
func (c *kernelConfig) read() error {
	for _, path := range []string{"/boot/config-" + kernelRelease(), "/proc/config.gz"} {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the kernel's configuration: %w", err)
		}
		defer f.Close()
		if c.options, err = parseConfig(f); err != nil {
			return fmt.Errorf("read the kernel's configuration %s: %w", path, err)
		}
		c.from = path
		return nil
	}
	return nil
}

// maxConfig bounds a configuration in bytes; Debian's have 300 kB.
const maxConfig = 16 << 20

// parseConfig reads the options that a configuration sets, which may be
// compressed.
func parseConfig(r io.Reader) (map[string]string, error) {
	buffered := bufio.NewReader(r)
	r = buffered
	if magic, err := buffered.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
		unpacked, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, err
		}
		r = unpacked
	}
	options := make(map[string]string)
	lines := bufio.NewScanner(io.LimitReader(r, maxConfig))
	lines.Buffer(nil, 1<<16)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok && strings.HasPrefix(name, "CONFIG_") {
			options[name] = value
		}
	}
	return options, lines.Err()
}

// putKconfig writes a value of the configuration into a variable of type t.
func putKconfig(data []byte, t btf.Type, text string) error {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Array:
		return putString(data, t, text)
	case *btf.Enum:
		return putTristate(data, t, text)
	case *btf.Int:
		return putScalar(data, t, text)
	}
	return errors.New("the variable is no integer, bool, char, enum libbpf_tristate or array of char")
}

func putString(data []byte, t *btf.Array, text string) error {
	char, ok := btf.As[*btf.Int](t.Type)
	if !ok || char.Size != 1 || char.Encoding == btf.Bool {
		return errors.New("the variable is an array of something else than char")
	}
	if len(text) < 2 || text[0] != '"' || text[len(text)-1] != '"' {
		return errors.New("the variable is an array of char, for a string")
	}
	if len(data) == 0 {
		return nil
	}
	clear(data)
	copy(data[:len(data)-1], text[1:len(text)-1]) // cut where the array ends, and then a NUL
	return nil
}

// tristates are the values of enum libbpf_tristate.
var tristates = map[string]uint64{"n": 0, "y": 1, "m": 2}

func putTristate(data []byte, t *btf.Enum, text string) error {
	value, ok := tristates[text]
	if !ok || t.Name != "libbpf_tristate" {
		return fmt.Errorf("the variable is enum %s, where only enum libbpf_tristate takes y, n or m", t.Name)
	}
	return putInt(data, value)
}

func putScalar(data []byte, t *btf.Int, text string) error {
	value, isState := tristates[text]
	switch {
	case isState && t.Encoding == btf.Bool && text != "m":
		return putInt(data, value)
	case isState && t.Encoding != btf.Bool && t.Size == 1:
		return putInt(data, uint64(text[0])) // a char
	case isState:
		return errors.New("the variable has another type than bool, char or enum libbpf_tristate, which is for m, too")
	case t.Encoding == btf.Bool && text != "0" && text != "1":
		return errors.New("the variable is a bool, for y and n")
	case strings.HasPrefix(text, `"`):
		return errors.New("the variable is no array of char, for a string")
	}
	return putNumber(data, t, text)
}

func putNumber(data []byte, t *btf.Int, text string) error {
	bits := int(min(t.Size, 8)) * 8
	if t.Encoding == btf.Signed {
		value, err := strconv.ParseInt(text, 0, bits)
		if err != nil {
			return fmt.Errorf("the variable is a signed integer of %d bits: %w", bits, errors.Unwrap(err))
		}
		return putInt(data, uint64(value))
	}
	value, err := strconv.ParseUint(text, 0, bits)
	if err != nil {
		return fmt.Errorf("the variable is an unsigned integer of %d bits: %w", bits, errors.Unwrap(err))
	}
	return putInt(data, value)
}

func putInt(data []byte, value uint64) error {
	switch len(data) {
	case 1:
		data[0] = byte(value)
	case 2:
		native.PutUint16(data, uint16(value))
	case 4:
		native.PutUint32(data, uint32(value))
	case 8:
		native.PutUint64(data, value)
	default:
		return fmt.Errorf("the variable has %d bytes", len(data))
	}
	return nil
}
