// SPDX-License-Identifier: GPL-2.0
/*
 * The user space of the scheduler: finds out which caches and nodes the machine has,
 * configures, loads, sets up and attaches, and prints what is done. Started with "-n" it
 * gives tasks to idle CPUs by way of their queues.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include "domains.h"
#include "domains.skel.h"

#define MAX_CPUS 512

static volatile sig_atomic_t stopped;

static void stop(int sig)
{
	stopped = 1;
}

/* The number in a file of a CPU's directory in /sys, -1 if there is none. */
static int number(int cpu, const char *file)
{
	char path[256];
	int n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/%s", cpu, file);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%d", &n) != 1)
		n = -1;
	fclose(f);
	return n;
}

/* The id of a CPU's last-level cache. */
static int cache_of(int cpu)
{
	int index, id = 0;
	char file[64];

	for (index = 0; index < 16; index++) {
		int level;

		snprintf(file, sizeof(file), "cache/index%d/level", index);
		level = number(cpu, file);
		if (level < 0)
			break;
		snprintf(file, sizeof(file), "cache/index%d/id", index);
		id = number(cpu, file);
	}
	return id;
}

static int node_of(int cpu)
{
	char path[128];
	int node;

	for (node = 0; node < 64; node++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/node%d", cpu, node);
		if (!access(path, F_OK))
			return node;
	}
	return 0;
}

static int die(const char *what)
{
	fprintf(stderr, "domains: %s: %s\n", what, strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	int cpus = libbpf_num_possible_cpus(), llcs = 0, nodes = 0, cpu, i;
	int ids[MAX_CPUS], llc_of[MAX_CPUS], llc_node[MAX_CPUS];
	struct setup_args args = { .nr_tasks = 2048 };
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &args, .ctx_size_in = sizeof(args));
	struct domains *skel;
	struct bpf_link *link;
	size_t size;

	if (cpus < 1 || cpus > MAX_CPUS)
		return die("number of CPUs");
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	for (cpu = 0; cpu < cpus; cpu++) {
		int id = cache_of(cpu), node = node_of(cpu);

		for (i = 0; i < llcs && ids[i] != id; i++)
			;
		if (i == llcs) {
			llc_node[llcs] = node;
			ids[llcs++] = id;
		}
		llc_of[cpu] = i;
		if (node >= nodes)
			nodes = node + 1;
	}

	skel = domains__open();
	if (!skel)
		return die("open");
	skel->rodata->nr_cpu_ids = cpus;
	skel->rodata->nr_llcs = llcs;
	skel->rodata->nr_nodes = nodes;
	skel->rodata->slice_ns = 5000000;
	skel->rodata->direct = argc < 2 || strcmp(argv[1], "-n");
	bpf_map__set_value_size(skel->maps.rodata_cpu_llc, cpus * sizeof(u32));
	bpf_map__set_value_size(skel->maps.rodata_llc_node, llcs * sizeof(u32));
	bpf_map__set_value_size(skel->maps.data_llc_ctxs, llcs * sizeof(struct llc_ctx));
	skel->rodata_cpu_llc = bpf_map__initial_value(skel->maps.rodata_cpu_llc, &size);
	skel->rodata_llc_node = bpf_map__initial_value(skel->maps.rodata_llc_node, &size);
	skel->data_llc_ctxs = bpf_map__initial_value(skel->maps.data_llc_ctxs, &size);
	for (cpu = 0; cpu < cpus; cpu++)
		skel->rodata_cpu_llc->cpu_llc[cpu] = llc_of[cpu];
	for (i = 0; i < llcs; i++)
		skel->rodata_llc_node->llc_node[i] = llc_node[i];

	if (domains__load(skel))
		return die("load");
	if (bpf_prog_test_run_opts(bpf_program__fd(skel->progs.setup), &run) || run.retval)
		return die("setup");
	link = bpf_map__attach_struct_ops(skel->maps.domains_ops);
	if (!link)
		return die("attach");
	while (!stopped) {
		u64 enqueued = 0;

		for (i = 0; i < llcs; i++)
			enqueued += skel->data_llc_ctxs->llc_ctxs[i].nr_enqueued;
		printf("cpus=%d llcs=%d nodes=%d enqueued=%llu direct=%llu used=%llu\n", cpus, llcs, nodes, enqueued,
		       skel->bss->nr_direct, skel->bss->pool.nr_used);
		fflush(stdout);
		usleep(200000);
	}
	bpf_link__destroy(link);
	domains__destroy(skel);
	return 0;
}
