package ktest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/cilium/ebpf/btf"

	"github.com/ktgen/ktgen/ktest/internal/scx"
	"github.com/ktgen/ktgen/object"
	"github.com/ktgen/ktgen/runtime/nearest"
)

// RunProgram runs a program of section "syscall" of the object that the scheduler was
// started from. User space has such a program set up what only BPF can, such as an arena.
// RunProgram returns what the program returns; negative numbers are errors.
//
// args is what the program gets: nil for nothing, bytes as a []byte, or a pointer to a
// struct. The struct has numbers, bools and arrays of these, in the order of the C
// struct's members. Afterwards bytes and structs have what the program made of them.
// Before a scheduler is attached, [Scheduler.Loaded] runs programs:
//
//	args := mysched.SetupArgs{NrTasks: 4096}
//	scheduler.Loaded(func(ctx context.Context, vm *ktest.VM) error {
//		_, err := vm.RunProgram(ctx, "arena_setup", &args)
//		return err
//	})
//
// The error is a [*ProgramError].
func (vm *VM) RunProgram(ctx context.Context, name string, args any) (int32, error) {
	result, err := vm.runProgram(ctx, name, args)
	if err != nil {
		return 0, &ProgramError{Program: name, Err: vm.because(err)}
	}
	return result, nil
}

// ProgramError is a program that could not be run.
type ProgramError struct {
	Program string
	Err     error
}

func (e *ProgramError) Error() string { return fmt.Sprintf("run program %s: %v", e.Program, e.Err) }

// Unwrap returns Err.
func (e *ProgramError) Unwrap() error { return e.Err }

func (vm *VM) runProgram(ctx context.Context, name string, args any) (int32, error) {
	vm.mu.Lock()
	s := vm.starting
	vm.mu.Unlock()
	if s.path == "" || s.binary {
		return 0, errors.New("no scheduler was started from an object (ktest.Object): a program of its own runs its programs itself")
	}
	obj, err := object.Open(s.path)
	if err != nil {
		return 0, err
	}
	declared, err := contextOf(obj, name)
	if err != nil {
		return 0, err
	}
	raw, err := memoryOf(args)
	switch {
	case err != nil:
		return 0, err
	case declared != nil && len(raw) != int(declared.Size):
		return 0, fmt.Errorf("its context has %d bytes, and the %T that it is given %d: give a struct of the members that it has in C", declared.Size, args, len(raw))
	case len(raw) > mostContext:
		return 0, fmt.Errorf("its context has %d bytes, and the kernel takes at most %d: have it in a map or in variables", len(raw), mostContext)
	case declared != nil && args != nil && reflect.TypeOf(args).Kind() == reflect.Pointer:
		if why := differentLayout(reflect.TypeOf(args).Elem(), declared); why != "" {
			return 0, fmt.Errorf("its context is struct %s in C, whose %s: give a struct of its members in their order, with what is between them", declared.Name, why)
		}
	}
	result, out, err := scx.RunProgram(ctx, vm.agent, name, slices.Clone(raw))
	copy(raw, out)
	return int32(result), err
}

// mostContext is how many bytes of context the kernel takes (bpf_prog_test_run_syscall
// in net/bpf/test_run.c).
const mostContext = 1<<16 - 1

// contextOf returns the struct that a program gets, nil if its type does not tell, as that
// of void *ctx, or of u64 *ctx for any number of words.
func contextOf(obj *object.Object, name string) (*btf.Struct, error) {
	var names []string
	for i := range obj.Functions {
		f := &obj.Functions[i]
		if !f.OnRequest() {
			continue
		}
		if names = append(names, f.Name); f.Name != name {
			continue
		}
		return f.Context(), nil
	}
	if len(names) == 0 {
		return nil, errors.New("the object has no programs of section syscall, which are those that can be run")
	}
	return nil, fmt.Errorf("the object has no such program of section syscall%s; it has %s", nearest.Hint(name, names), strings.Join(names, ", "))
}

// memoryOf returns the bytes of what a program gets, in place.
func memoryOf(args any) ([]byte, error) {
	switch args := args.(type) {
	case nil:
		return nil, nil
	case []byte:
		return args, nil
	}
	v := reflect.ValueOf(args)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, fmt.Errorf("its context is a %T: give a pointer to a struct, bytes, or nil", args)
	}
	if bad := notFlat(v.Type().Elem()); bad != "" {
		return nil, fmt.Errorf("its context is a %T with %s in it, which is not in it as in C: give a struct of numbers, bools and arrays of these, such as [16]byte for a text", args, bad)
	}
	return unsafe.Slice((*byte)(v.UnsafePointer()), v.Type().Elem().Size()), nil
}

// notFlat names what is in a type and has no bytes of its own there.
func notFlat(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if bad := notFlat(t.Field(i).Type); bad != "" {
				return bad
			}
		}
		return ""
	case reflect.Array:
		return notFlat(t.Elem())
	case reflect.Bool, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		return ""
	}
	return "a " + t.String()
}
