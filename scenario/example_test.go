package scenario_test

import (
	"fmt"
	"time"

	"github.com/ktgen/ktgen/scenario"
)

// A scenario is data, so that what is wrong with it is found without a guest.
func ExampleScenario_Check() {
	s := scenario.Scenario{Steps: []scenario.Step{
		{
			Name:    "load",
			Cgroups: []scenario.Cgroup{{Name: "workers", CPUs: []int{0, 1}, Workers: 2}},
			Hold:    time.Second,
		},
		{
			Ops: []scenario.Op{
				scenario.SetOnline{CPU: 1},
				scenario.SetAffinity{Workers: "workers", CPUs: []int{1}},
				scenario.FreezeCgroup{Cgroup: "worker"},
			},
		},
	}}
	fmt.Println(s.Check(scenario.Machine{CPUs: 2}))
	// Output:
	// step 2, op 2, set the affinity of workers "workers" to [1]: the affinity has CPU 1, which is offline at this point: bring it online before, or choose from [0]
	// step 2, op 3, freeze cgroup "worker": there is no cgroup called "worker" at this point: did you mean "workers"?
}
