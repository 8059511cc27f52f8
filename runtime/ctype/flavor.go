package ctype

// EssentialName is the name of a type of the kernel without the flavor that a
// program has put behind it: task_struct for task_struct___old. Flavors let a program
// declare one type in several ways, for several kernels; all of them are that type
// (bpf_core_essential_name_len in tools/lib/bpf/relo_core.c).
func EssentialName(name string) string {
	const separator = 3 // underscores, between characters that are none
	for i := len(name) - separator - 1; i > 0; i-- {
		if name[i-1] != '_' && name[i:i+separator] == "___" && name[i+separator] != '_' {
			return name[:i]
		}
	}
	return name
}
