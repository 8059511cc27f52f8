package scx

import "github.com/ktgen/ktgen/ktest/internal/bpfload"

// This file is what the two sides say to one another.

const (
	methodWarm = "scx.warm" // does what can be done before a scheduler is known
	methodRun  = "scx.run"  // runs a scheduler; the call lasts as long as it does
	methodStop = "scx.stop" // ends it, and returns when it is gone
	methodGo   = "scx.go"   // lets one that has been loaded be attached

	methodState = "scx.state" // returns the state of sched_ext, as sysfs has it
)

// Source is what a scheduler is started from: an object, or arguments.
type Source struct {
	// Object is the name of a BPF object whose bytes come with the call. Ops
	// names the struct_ops map to attach; empty if it is the only one.
	Object string
	Ops    string
	// Config is how the object is loaded otherwise than its file says. It is long, and
	// so goes before the object's bytes: as ConfigSize bytes of JSON.
	Config     *bpfload.Config `json:"-"`
	ConfigSize int             `json:",omitempty"`
	// Hold has the object wait, once it is loaded, for methodGo.
	Hold bool

	// Root is the address of the kernel's scx_root; 0 if it is not known.
	Root uint64 `json:",omitempty"`

	// Args are the scheduler's own program in the guest and its arguments.
	Args []string
	Env  []string
}

// event is what the guest reports while a scheduler runs.
type event struct {
	Loaded   bool           `json:",omitempty"` // and waits to be attached
	Enabled  *enabled       `json:",omitempty"`
	Ended    *Exit          `json:",omitempty"` // while its program lives on
	Again    *restart       `json:",omitempty"`
	Dump     string         `json:",omitempty"` // of the exit that is the call's result, which it can be too long for
	Rejected *RejectedError `json:",omitempty"` // an event because logs are long

	Left     []bpfload.Unattached   `json:",omitempty"` // programs that are loaded, and nobody attaches
	Verified []bpfload.Verification `json:",omitempty"` // of the programs that are loaded

	Loading *bpfload.Loading `json:",omitempty"` // the program that is loaded next
}

type enabled struct {
	Scheduler string
	Partial   bool   // SCX_OPS_SWITCH_PARTIAL: only SCHED_EXT tasks are its own
	Before    uint64 // how many the kernel had enabled before this was started
}

// restart is the next instance of a scheduler that its program has started again, and
// how the one before has ended.
type restart struct {
	Exit    Exit
	Enabled enabled
}

// Codes of the errors that travel; their data is the error itself.
const (
	codeRejected    = "scx-rejected"
	codeLoader      = "scx-loader"
	codeUnsupported = "scx-unsupported"
	codeBusy        = "scx-busy"
	codeAttach      = "scx-attach"
)

// Code implements what package guest calls a coded error.
func (e *RejectedError) Code() string { return codeRejected }

// Code implements what package guest calls a coded error.
func (e *LoaderError) Code() string { return codeLoader }

// Code implements what package guest calls a coded error.
func (e *UnsupportedError) Code() string { return codeUnsupported }

// Code implements what package guest calls a coded error.
func (e *BusyError) Code() string { return codeBusy }

// Code implements what package guest calls a coded error.
func (e *AttachError) Code() string { return codeAttach }
