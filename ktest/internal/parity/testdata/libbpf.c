/* Loads one object after the other on libbpf, as worker.go does with package bpfload. */
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A probe point (USDT), of which a note says where it and its argument are, as sys/sdt.h does. */
#define POINT(provider, name, args)                                           \
  __asm__ volatile("990: nop\n.pushsection .note.stapsdt, \"\", \"note\"\n.balign 4\n" \
                   ".4byte 992f - 991f, 994f - 993f, 3\n991: .asciz \"stapsdt\"\n992: .balign 4\n" \
                   "993: .8byte 990b, 0, 0\n.asciz \"" provider "\"\n.asciz \"" name "\"\n.asciz \"" args "\"\n" \
                   "994: .balign 4\n.popsection\n")

static char said[4096]; /* the warnings of one object, the first ones */

static int note(enum libbpf_print_level level, const char *format, va_list args) {
  size_t n = strlen(said);
  if (level == LIBBPF_WARN) vsnprintf(said + n, sizeof said - n, format, args);
  return 0;
}

/* attach attaches each program, as a skeleton does, and lets go of it. */
static void attach(struct bpf_object *object) {
  struct bpf_program *program;
  bpf_object__for_each_program(program, object) {
    if (!bpf_program__autoload(program) || bpf_program__type(program) == BPF_PROG_TYPE_STRUCT_OPS) continue;
    struct bpf_link *link = bpf_program__attach(program);
    printf("%s:%s ", link ? "attached" : errno == EOPNOTSUPP ? "left" : "failed", bpf_program__name(program));
    bpf_link__destroy(link);
  }
  puts("");
}

static void answer(int err) {
  if (!err) {
    puts("ok");
    return;
  }
  for (char *c = said; *c; c++)
    if (*c == '\n') *c = ' ';
  printf("failed %s: %s\n", strerror(-err), said);
}

int main(void) {
  char line[4096], next[16];
  libbpf_set_print(note);
  setvbuf(stdout, NULL, _IOLBF, 0);
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = said[0] = 0;
    struct bpf_object *object = bpf_object__open_file(line, NULL);
    POINT("libbpf", "opened", "8@$1");
    answer(object ? bpf_object__load(object) : -errno);
    while (fgets(next, sizeof next, stdin) && !strcmp(next, "attach\n")) attach(object);
    POINT("libbpf", "closed", "8@$1 -4@$2");
    bpf_object__close(object);
    POINT("libbpf", "closed", "8@$2");
    puts("closed");
  }
  return 0;
}
