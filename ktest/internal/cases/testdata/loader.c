/* Loads and attaches a scheduler on libbpf: loader OBJECT [maps | attach | CPUS | MAP=ENTRIES | MAP:BYTES]...
 * Before the load CPUS makes .data.recs that long and sets nr_cpus, and the next two give a map
 * that many entries, or values of that many bytes. With maps it makes another map for each of
 * the hashes of maps_in_hashes, without BTF. With attach it attaches programs to what their
 * sections name. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

/* put makes a map and puts it into a hash of maps for the key 2. */
static int put(struct bpf_object *object, const char *hash, enum bpf_map_type type, const char *name, int entries) {
  struct bpf_map *outer = bpf_object__find_map_by_name(object, hash);
  int key = 2, fd = bpf_map_create(type, name, 4, 16, entries, NULL);
  if (!outer || fd < 0) return -1;
  return bpf_map_update_elem(bpf_map__fd(outer), &key, &fd, 0);
}

static int change(struct bpf_object *object, const char *what) {
  size_t name = strcspn(what, "=:");
  struct bpf_map *map;
  if (!what[name]) return resize(object, atoi(what));
  bpf_object__for_each_map(map, object) {
    const char *own = bpf_map__name(map);
    if (strlen(own) != name || strncmp(own, what, name)) continue;
    int n = atoi(what + name + 1);
    return what[name] == '=' ? bpf_map__set_max_entries(map, n) : bpf_map__set_value_size(map, n);
  }
  return -1;
}

/* attach does for all programs what a skeleton does. */
static int attach(struct bpf_object *object) {
  struct bpf_program *program;
  bpf_object__for_each_program(program, object) {
    if (!bpf_program__autoload(program) || bpf_program__type(program) == BPF_PROG_TYPE_STRUCT_OPS) continue;
    if (bpf_program__type(program) == BPF_PROG_TYPE_SYSCALL) continue;
    if (!bpf_program__attach(program) && errno != EOPNOTSUPP) return -1; /* which has nothing to attach to */
  }
  return 0;
}

int main(int argc, char **argv) {
  struct bpf_object *object = argc > 1 ? bpf_object__open_file(argv[1], NULL) : NULL;
  int maps = argc > 2 && !strcmp(argv[2], "maps"), attached = argc > 2 && !strcmp(argv[2], "attach");
  struct bpf_map *map;
  if (!object) return fail("open");
  for (int i = 2; i < argc && !maps && !attached; i++)
    if (change(object, argv[i])) return fail(argv[i]);
  if (bpf_object__load(object)) return fail("load");
  if (maps && (put(object, "tasks_of", BPF_MAP_TYPE_HASH, "more_tasks", 512) || put(object, "totals_of", BPF_MAP_TYPE_ARRAY, "more_totals", 2)))
    return fail("maps");
  if (attached && attach(object)) return fail("attach");
  bpf_object__for_each_map(map, object) {
    if (bpf_map__type(map) == BPF_MAP_TYPE_STRUCT_OPS && !bpf_map__attach_struct_ops(map)) return fail("attach");
  }
  for (;;) pause();
}
