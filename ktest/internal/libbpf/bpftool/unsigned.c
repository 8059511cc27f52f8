// bpftool without OpenSSL: programs are not signed. scripts/programs links it.

struct bpf_load_and_run_opts;

int bpftool_prog_sign(struct bpf_load_and_run_opts *opts)
{
	return -1;
}
