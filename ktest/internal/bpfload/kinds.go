package bpfload

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// This file knows which type of program a section stands for (section_defs in
// tools/lib/bpf/libbpf.c).

type programKind struct {
	program ebpf.ProgramType
	attach  ebpf.AttachType
	flags   uint32
}

// Members of enum bpf_attach_type (include/uapi/linux/bpf.h) that cilium/ebpf does not
// name.
const (
	traceUprobeSession = ebpf.AttachTraceKprobeSession + 1 + iota
	traceFSession
	traceFEntryMulti
	traceFExitMulti
	traceFSessionMulti
)

// named are the sections that say what a program is attached to, kprobe/NAME, by what is
// in front of the slash.
var named = map[string]programKind{
	"kprobe":          {program: ebpf.Kprobe},
	"kretprobe":       {program: ebpf.Kprobe},
	"uprobe":          {program: ebpf.Kprobe},
	"uretprobe":       {program: ebpf.Kprobe},
	"ksyscall":        {program: ebpf.Kprobe},
	"kretsyscall":     {program: ebpf.Kprobe},
	"kprobe.multi":    {ebpf.Kprobe, ebpf.AttachTraceKprobeMulti, 0},
	"kretprobe.multi": {ebpf.Kprobe, ebpf.AttachTraceKprobeMulti, 0},
	"kprobe.session":  {ebpf.Kprobe, ebpf.AttachTraceKprobeSession, 0},
	"uprobe.multi":    {ebpf.Kprobe, ebpf.AttachTraceUprobeMulti, 0},
	"uretprobe.multi": {ebpf.Kprobe, ebpf.AttachTraceUprobeMulti, 0},
	"uprobe.session":  {ebpf.Kprobe, traceUprobeSession, 0},
	"usdt":            {ebpf.Kprobe, ebpf.AttachTraceUprobeMulti, 0}, // as libbpf has it where the kernel has these

	"tracepoint":       {program: ebpf.TracePoint},
	"tp":               {program: ebpf.TracePoint},
	"raw_tracepoint":   {program: ebpf.RawTracepoint},
	"raw_tp":           {program: ebpf.RawTracepoint},
	"raw_tracepoint.w": {program: ebpf.RawTracepointWritable},
	"raw_tp.w":         {program: ebpf.RawTracepointWritable},

	"tp_btf":         {ebpf.Tracing, ebpf.AttachTraceRawTp, 0},
	"fentry":         {ebpf.Tracing, ebpf.AttachTraceFEntry, 0},
	"fexit":          {ebpf.Tracing, ebpf.AttachTraceFExit, 0},
	"fmod_ret":       {ebpf.Tracing, ebpf.AttachModifyReturn, 0},
	"fsession":       {ebpf.Tracing, traceFSession, 0},
	"fentry.multi":   {ebpf.Tracing, traceFEntryMulti, 0},
	"fexit.multi":    {ebpf.Tracing, traceFExitMulti, 0},
	"fsession.multi": {ebpf.Tracing, traceFSessionMulti, 0},
	"iter":           {ebpf.Tracing, ebpf.AttachTraceIter, 0},
	"freplace":       {program: ebpf.Extension},
	"lsm":            {ebpf.LSM, ebpf.AttachLSMMac, 0},
	"lsm_cgroup":     {ebpf.LSM, ebpf.AttachLSMCgroup, 0},

	structOpsKind: {program: ebpf.StructOps},
}

// structOpsKind is the section of struct_ops programs; what it names does not matter.
const structOpsKind = "struct_ops"

// atomic are the sections of those whose programs cannot sleep: there is none with .s.
var atomic = map[string]bool{
	"kprobe": true, "kretprobe": true, "ksyscall": true, "kretsyscall": true, "kprobe.multi": true, "kretprobe.multi": true,
	"kprobe.session": true, "raw_tracepoint.w": true, "raw_tp.w": true, "freplace": true, "lsm_cgroup": true,
}

// whole are the sections that are all that there is to say.
var whole = map[string]programKind{
	"syscall":              {ebpf.Syscall, 0, unix.BPF_F_SLEEPABLE},
	"socket":               {program: ebpf.SocketFilter},
	"sk_reuseport":         {ebpf.SkReuseport, ebpf.AttachSkReuseportSelect, 0},
	"sk_reuseport/migrate": {ebpf.SkReuseport, ebpf.AttachSkReuseportSelectOrMigrate, 0},
	"tc":                   {program: ebpf.SchedCLS},
	"classifier":           {program: ebpf.SchedCLS},
	"action":               {program: ebpf.SchedACT},
	"tc/ingress":           {ebpf.SchedCLS, ebpf.AttachTCXIngress, 0},
	"tc/egress":            {ebpf.SchedCLS, ebpf.AttachTCXEgress, 0},
	"tcx/ingress":          {ebpf.SchedCLS, ebpf.AttachTCXIngress, 0},
	"tcx/egress":           {ebpf.SchedCLS, ebpf.AttachTCXEgress, 0},
	"netkit/primary":       {ebpf.SchedCLS, ebpf.AttachNetkitPrimary, 0},
	"netkit/peer":          {ebpf.SchedCLS, ebpf.AttachNetkitPeer, 0},
	"xdp":                  {ebpf.XDP, ebpf.AttachXDP, 0},
	"xdp/devmap":           {ebpf.XDP, ebpf.AttachXDPDevMap, 0},
	"xdp/cpumap":           {ebpf.XDP, ebpf.AttachXDPCPUMap, 0},
	"xdp.frags":            {ebpf.XDP, ebpf.AttachXDP, unix.BPF_F_XDP_HAS_FRAGS},
	"xdp.frags/devmap":     {ebpf.XDP, ebpf.AttachXDPDevMap, unix.BPF_F_XDP_HAS_FRAGS},
	"xdp.frags/cpumap":     {ebpf.XDP, ebpf.AttachXDPCPUMap, unix.BPF_F_XDP_HAS_FRAGS},
	"perf_event":           {program: ebpf.PerfEvent},
	"lwt_in":               {program: ebpf.LWTIn},
	"lwt_out":              {program: ebpf.LWTOut},
	"lwt_xmit":             {program: ebpf.LWTXmit},
	"lwt_seg6local":        {program: ebpf.LWTSeg6Local},
	"sockops":              {ebpf.SockOps, ebpf.AttachCGroupSockOps, 0},
	"sk_skb":               {program: ebpf.SkSKB},
	"sk_skb/stream_parser": {ebpf.SkSKB, ebpf.AttachSkSKBStreamParser, 0},
	"sk_skb/stream_verdict": {
		ebpf.SkSKB, ebpf.AttachSkSKBStreamVerdict, 0,
	},
	"sk_skb/verdict": {ebpf.SkSKB, ebpf.AttachSkSKBVerdict, 0},
	"sk_msg":         {ebpf.SkMsg, ebpf.AttachSkMsgVerdict, 0},
	"lirc_mode2":     {ebpf.LircMode2, ebpf.AttachLircMode2, 0},
	"flow_dissector": {ebpf.FlowDissector, ebpf.AttachFlowDissector, 0},
	"sk_lookup":      {ebpf.SkLookup, ebpf.AttachSkLookup, 0},
	"netfilter":      {ebpf.Netfilter, ebpf.AttachNetfilter, 0},

	"cgroup_skb/ingress": {ebpf.CGroupSKB, ebpf.AttachCGroupInetIngress, 0},
	"cgroup_skb/egress":  {ebpf.CGroupSKB, ebpf.AttachCGroupInetEgress, 0},
	"cgroup/skb":         {program: ebpf.CGroupSKB},

	"cgroup/sock":         {ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate, 0},
	"cgroup/sock_create":  {ebpf.CGroupSock, ebpf.AttachCGroupInetSockCreate, 0},
	"cgroup/sock_release": {ebpf.CGroupSock, ebpf.AttachCgroupInetSockRelease, 0},
	"cgroup/post_bind4":   {ebpf.CGroupSock, ebpf.AttachCGroupInet4PostBind, 0},
	"cgroup/post_bind6":   {ebpf.CGroupSock, ebpf.AttachCGroupInet6PostBind, 0},

	"cgroup/bind4":            {ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Bind, 0},
	"cgroup/bind6":            {ebpf.CGroupSockAddr, ebpf.AttachCGroupInet6Bind, 0},
	"cgroup/connect4":         {ebpf.CGroupSockAddr, ebpf.AttachCGroupInet4Connect, 0},
	"cgroup/connect6":         {ebpf.CGroupSockAddr, ebpf.AttachCGroupInet6Connect, 0},
	"cgroup/connect_unix":     {ebpf.CGroupSockAddr, ebpf.AttachCgroupUnixConnect, 0},
	"cgroup/sendmsg4":         {ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP4Sendmsg, 0},
	"cgroup/sendmsg6":         {ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP6Sendmsg, 0},
	"cgroup/sendmsg_unix":     {ebpf.CGroupSockAddr, ebpf.AttachCgroupUnixSendmsg, 0},
	"cgroup/recvmsg4":         {ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP4Recvmsg, 0},
	"cgroup/recvmsg6":         {ebpf.CGroupSockAddr, ebpf.AttachCGroupUDP6Recvmsg, 0},
	"cgroup/recvmsg_unix":     {ebpf.CGroupSockAddr, ebpf.AttachCgroupUnixRecvmsg, 0},
	"cgroup/getpeername4":     {ebpf.CGroupSockAddr, ebpf.AttachCgroupInet4GetPeername, 0},
	"cgroup/getpeername6":     {ebpf.CGroupSockAddr, ebpf.AttachCgroupInet6GetPeername, 0},
	"cgroup/getpeername_unix": {ebpf.CGroupSockAddr, ebpf.AttachCgroupUnixGetpeername, 0},
	"cgroup/getsockname4":     {ebpf.CGroupSockAddr, ebpf.AttachCgroupInet4GetSockname, 0},
	"cgroup/getsockname6":     {ebpf.CGroupSockAddr, ebpf.AttachCgroupInet6GetSockname, 0},
	"cgroup/getsockname_unix": {ebpf.CGroupSockAddr, ebpf.AttachCgroupUnixGetsockname, 0},

	"cgroup/sysctl":     {ebpf.CGroupSysctl, ebpf.AttachCGroupSysctl, 0},
	"cgroup/getsockopt": {ebpf.CGroupSockopt, ebpf.AttachCGroupGetsockopt, 0},
	"cgroup/setsockopt": {ebpf.CGroupSockopt, ebpf.AttachCGroupSetsockopt, 0},
	"cgroup/dev":        {ebpf.CGroupDevice, ebpf.AttachCGroupDevice, 0},
}

// kindOf returns what a section stands for, and what it names behind the slash. Programs
// of a section that is none of a program are of no type.
func kindOf(section string) (kind programKind, to string) {
	section = strings.TrimPrefix(section, "?")
	if k, ok := whole[section]; ok {
		return k, ""
	}
	before, to, _ := strings.Cut(section, "/")
	sleepable, isSleepable := strings.CutSuffix(before, ".s")
	kind, ok := named[sleepable]
	switch {
	case !ok, isSleepable && atomic[sleepable]:
		return programKind{}, ""
	case isSleepable:
		kind.flags |= unix.BPF_F_SLEEPABLE
	}
	if sleepable == structOpsKind {
		to = "" // its map says what it is
	}
	return kind, to
}

// IsOperation tells whether programs of a section are operations of struct_ops maps.
func IsOperation(section string) bool {
	kind, _ := kindOf(section)
	return kind.program == ebpf.StructOps
}

// multi tells whether a program is attached to many functions, which it names only then.
func multi(p *ebpf.ProgramSpec) bool {
	return p.Type == ebpf.Tracing && p.AttachType >= traceFEntryMulti
}

// unknownKind says that a section is none of a program.
func unknownKind(p *ebpf.ProgramSpec) error {
	return fmt.Errorf("its section %q stands for no type of program: name one that libbpf knows, such as struct_ops, or tp_btf/NAME", p.SectionName)
}
