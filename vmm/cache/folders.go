package cache

// The folders of the cache. Nothing else in its directory is ours.
const (
	Templates = "templates"
	Kernels   = "kernels"
	Corpus    = "corpus"
	Images    = "images"
	Kallsyms  = "kallsyms"
	Apt       = "apt"
	Digests   = "digest"
	Accels    = "accel"
	Agents    = "agents"
)

// Folder is a folder of the cache, and what it takes.
type Folder struct {
	Name  string // such as "templates"
	About string // what is in it, for people
	Bytes int64  // on the disk
	Files int
}

// folders are the folders, the largest first as a rule.
var folders = []Folder{
	{Name: Templates, About: "guests that have booted once"},
	{Name: Corpus, About: "a kernel's sources and BPF objects, for ktgen's own tests"},
	{Name: Images, About: "kernels, unpacked"},
	{Name: Kernels, About: "kernels, downloaded"},
	{Name: Kallsyms, About: "symbols of kernels"},
	{Name: Agents, About: "agents of guests in lockstep: the newest 8, and those of the last hour"},
	{Name: Apt, About: "package lists"},
	{Name: Digests, About: "checksums of kernels and initramfs"},
	{Name: Accels, About: "what was found out about KVM"},
}
