package vmm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// registersText is what QEMU 7.2 prints, shortened.
const registersText = `CPU#0
RAX=ffffffff81b2a8c0 RBX=0000000000000000 RCX=0000000000000000 RDX=4000000000000000
RSI=0000000000000083 RDI=000000000001a3cc RBP=ffffffff83013e28 RSP=ffffffff83003ea8
RIP=ffffffff81b2acab RFL=00000246 [---Z-P-] CPL=0 II=0 A20=1 SMM=0 HLT=1
CR0=80050033 CR2=00007ffd7c4f4ff8 CR3=0000000003a1c000 CR4=00750ef0
EFER=0000000000000d01
`

func TestRegistersAreParsed(t *testing.T) {
	regs, err := parseRegisters(registersText)
	require.NoError(t, err)
	require.Equal(t, Registers{
		RIP: 0xffffffff81b2acab, RSP: 0xffffffff83003ea8, RFLAGS: 0x246,
		CR0: 0x80050033, CR2: 0x7ffd7c4f4ff8, CR3: 0x3a1c000, CR4: 0x750ef0, EFER: 0xd01,
	}, regs)
}

func TestMissingRegistersAreErrors(t *testing.T) {
	_, err := parseRegisters("EIP=0000fff0 EFL=00000002\r\n")
	require.EqualError(t, err, "QEMU does not print RIP (is the vCPU in 64-bit mode?)")
	_, err = parseRegisters(registersText + "CR3=11112222333344445555")
	require.ErrorContains(t, err, "CR3=11112222333344445555")
}

func FuzzParseRegisters(f *testing.F) {
	f.Add(registersText)
	f.Fuzz(func(t *testing.T, text string) { _, _ = parseRegisters(text) })
}
