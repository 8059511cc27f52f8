package bpfload

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// This file finds things of the kernel by name, in vmlinux and in the modules that are
// loaded, in which the kernel's types are divided.

// module is a module of the kernel that has types.
type module struct {
	name  string
	types *btf.Spec // those of vmlinux are its base
	btf   *btf.Handle
}

// modules are those that are loaded now. They are read when something is not in
// vmlinux, once for each object.
type modules struct {
	all  []*module
	read bool
	fds  []int32 // fd_array of BPF_PROG_LOAD: those that calls refer to, by index; the first is unused
}

func (m *modules) Close() {
	for _, one := range m.all {
		one.btf.Close()
	}
	m.all = nil
}

func (m *modules) list(kernel *btf.Spec) ([]*module, error) {
	if m.read {
		return m.all, nil
	}
	m.read = true
	handles := new(btf.HandleIterator)
	defer func() { handles.Handle.Close() }()
	for handles.Next() {
		info, err := handles.Handle.Info()
		if errors.Is(err, btf.ErrNotFound) || err == nil && !info.IsModule() {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the types of the kernel's modules: %w", err)
		}
		types, err := typesOf(info.Name, kernel)
		if err != nil {
			return nil, fmt.Errorf("read the types of the kernel's module %s: %w", info.Name, err)
		}
		m.all = append(m.all, &module{name: info.Name, types: types, btf: handles.Take()})
	}
	return m.all, handles.Err()
}

// called returns the module of a name.
func (m *modules) called(name string, kernel *btf.Spec) (*module, error) {
	all, err := m.list(kernel)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(m *module) bool { return m.name == name })
	if i < 0 {
		return nil, fmt.Errorf("the kernel has no module %s with types: have the guest load it (ktest.Config.Modules)", name)
	}
	return all[i], nil
}

// typesWith returns the types among which the kernel's own version of an object's type is: those of
// vmlinux, or if these have none of its kind and name, of the modules that do
// (bpf_core_find_cands in tools/lib/bpf/libbpf.c).
func (l *loader) typesWith(t btf.Type) ([]*btf.Spec, error) {
	if in, ok := l.homes[t]; ok {
		return in, nil
	}
	if l.homes == nil {
		l.homes = make(map[btf.Type][]*btf.Spec)
	}
	in := []*btf.Spec{l.kernel}
	if !hasKind(l.kernel, t) {
		modules, err := l.modules.list(l.kernel)
		if err != nil {
			return nil, err
		}
		var some []*btf.Spec
		for _, m := range modules {
			if hasKind(m.types, t) {
				some = append(some, m.types)
			}
		}
		if some != nil {
			in = some
		}
	}
	l.homes[t] = in
	return in, nil
}

// hasKind reports whether types have one of t's kind, and its name without a flavour.
func hasKind(types *btf.Spec, t btf.Type) bool {
	named, err := types.AnyTypesByName(essentialName(t.TypeName()))
	return err == nil && slices.ContainsFunc(named, func(one btf.Type) bool { return reflect.TypeOf(one) == reflect.TypeOf(t) })
}

// typesOf reads the types of a module. Those of vmlinux are not read for each of them again,
// which takes a second in an emulated guest.
func typesOf(module string, kernel *btf.Spec) (*btf.Spec, error) {
	f, err := os.Open(filepath.Join("/sys/kernel/btf", module))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return btf.LoadSplitSpecFromReader(f, kernel)
}

// index returns the number by which calls refer to a module.
func (m *modules) index(of *module) int16 {
	fd := int32(of.btf.FD())
	if i := slices.Index(m.fds, fd); i > 0 {
		return int16(i)
	}
	if m.fds == nil {
		m.fds = []int32{0}
	}
	m.fds = append(m.fds, fd)
	return int16(len(m.fds) - 1)
}

// place is where the kernel has something.
type place struct {
	id     btf.TypeID
	module *module // nil if it is vmlinux
}

// idOf finds the id of the first type of a kind that has exactly that name: a kernel
// may have several functions of one name, and libbpf takes the first.
func idOf[T btf.Type](types *btf.Spec, name string) (id btf.TypeID, found T, err error) {
	all, err := types.AnyTypesByName(name)
	if err != nil {
		return 0, found, err
	}
	for _, t := range all {
		if found, ok := t.(T); ok && found.TypeName() == name {
			id, err = types.TypeID(found)
			return id, found, err
		}
	}
	return 0, found, btf.ErrNotFound
}

// find finds a type of the kernel; in says in which module, or "vmlinux", if it is
// not empty. Of what nobody has the error is [btf.ErrNotFound].
func find[T btf.Type](l *loader, in, name string) (at place, found T, err error) {
	if in == "" || in == vmlinux {
		at.id, found, err = idOf[T](l.kernel, name)
		if err == nil || !errors.Is(err, btf.ErrNotFound) || in != "" {
			return at, found, err
		}
	}
	modules, err := l.modules.list(l.kernel)
	if err != nil {
		return place{}, found, err
	}
	for _, m := range modules {
		if in != "" && m.name != in {
			continue
		}
		at.id, found, err = idOf[T](m.types, name)
		if err == nil || !errors.Is(err, btf.ErrNotFound) {
			at.module = m
			return at, found, err
		}
	}
	return place{}, found, btf.ErrNotFound
}

const vmlinux = "vmlinux"
