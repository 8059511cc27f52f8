package vmm

// Accel is a way for QEMU to run a guest's code.
type Accel string

const (
	AccelAuto Accel = "auto" // KVM where guests boot on it, else TCG
	TCG       Accel = "tcg"  // translation: slow, works everywhere
	KVM       Accel = "kvm"  // the host's /dev/kvm
)

// args returns QEMU's arguments for the accelerator.
//
// TCG runs all vCPUs in one thread. With a thread each, QEMU now and then
// executes the int3 instruction of a finished kernel text patching from a stale
// translation, which kills the guest ("Oops: int3"); sched_ext patches text a lot.
// One thread is no slower on the few CPUs of a CI machine.
func (a Accel) args() []string {
	if a == KVM {
		return []string{"-accel", "kvm", "-cpu", "host"}
	}
	return []string{"-accel", "tcg,thread=single", "-cpu", "max"}
}

// Accelerator is the accelerator that a VM runs on.
type Accelerator struct {
	Accel  Accel
	Reason string // why this one, for a person
}

func (a Accelerator) String() string { return string(a.Accel) + " (" + a.Reason + ")" }
