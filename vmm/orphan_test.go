package vmm

import "os"

const orphanEnv = "VMM_TEST_ORPHAN"

func orphanMain() { os.Exit(0) }
