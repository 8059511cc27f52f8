package vmm

// Remains keeps the memory of a guest that is no more in place, as the guest
// left it, until release is called, even if the VM is closed meanwhile. ok is
// false for a guest that lives, and once the VM is closed.
func (vm *VM) Remains() (release func(), ok bool) {
	select {
	case <-vm.Done():
		return vm.ram.release, vm.ram.acquire()
	default:
		return nil, false
	}
}
