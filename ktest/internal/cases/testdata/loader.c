/* Loads and attaches a scheduler on libbpf: loader OBJECT [CPUS]. With CPUS it
 * makes .data.recs that long and sets nr_cpus, before the load. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int fail(const char *what) {
  perror(what);
  return 1;
}

static int resize(struct bpf_object *object, int cpus) {
  struct bpf_map *recs = bpf_object__find_map_by_name(object, ".data.recs");
  struct bpf_map *constants = bpf_object__find_map_by_name(object, ".rodata");
  size_t size;
  if (!recs || !constants || bpf_map__set_value_size(recs, cpus * 16)) return -1;
  *(unsigned *)bpf_map__initial_value(constants, &size) = cpus;
  return 0;
}

int main(int argc, char **argv) {
  struct bpf_object *object = argc > 1 ? bpf_object__open_file(argv[1], NULL) : NULL;
  struct bpf_map *map;
  if (!object) return fail("open");
  if (argc > 2 && resize(object, atoi(argv[2]))) return fail("resize");
  if (bpf_object__load(object)) return fail("load");
  bpf_object__for_each_map(map, object) {
    if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS && !bpf_map__attach_struct_ops(map)) return fail("attach");
  }
  for (;;) pause();
}
