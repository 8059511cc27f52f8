/* What a module of the kernel has (nf_conntrack): a kfunc, variables, a function to attach to by
 * its type and by its name, a struct whose members lie where the module has them. */
#include "in.h"
struct nf_conn { unsigned long status; } CORE;
struct bpf_ct_opts { s32 netns_id; s32 error; u8 l4proto; u8 dir; u16 ct_zone_id; u8 ct_zone_dir; u8 reserved[3]; };
struct bpf_sock_tuple { struct { u32 saddr, daddr; u16 sport, dport; } ipv4; };
struct xdp_md { u32 data; };
struct nf_conntrack_net { unsigned int users4; } CORE;
struct nf_conntrack_net___absent { int of_next_year; } CORE;
extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *, struct bpf_sock_tuple *, u32, struct bpf_ct_opts *, u32) __ksym;
extern void bpf_ct_release(struct nf_conn *) __ksym;
extern const void nf_conntrack_max __ksym, nf_conntrack_hash __ksym;
extern const void nf_conntrack_of_next_year __ksym __weak;
u64 got[7];
SEC("xdp") int lookup(struct xdp_md *ctx) {
  struct bpf_sock_tuple tuple = {};
  struct bpf_ct_opts opts = {.netns_id = -1, .l4proto = 6};
  struct nf_conn *ct = bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
  if (ct) bpf_ct_release(ct);
  got[0] = (u64)&nf_conntrack_max; got[1] = (u64)&nf_conntrack_hash; got[2] = (u64)&nf_conntrack_of_next_year;
  got[3] = __builtin_preserve_field_info(((struct nf_conntrack_net *)0)->users4, 0);
  got[4] = __builtin_preserve_field_info(((struct nf_conntrack_net *)0)->users4, 2);
  got[6] = __builtin_preserve_field_info(((struct nf_conn *)0)->status, 0);
  got[5] = __builtin_preserve_field_info(((struct nf_conntrack_net___absent *)0)->of_next_year, 2);
  return 2;
}
SEC("fentry/nf_conntrack_in") int enters(void *ctx) { return 0; }
SEC("fexit/nf_conntrack:nf_conntrack_count") int leaves(void *ctx) { return 0; }
SEC("kprobe/nf_conntrack_in") int probed(void *ctx) { return 0; }
SEC("kprobe.multi/nf_conntrack_co*nt") int probes(void *ctx) { return 0; }
