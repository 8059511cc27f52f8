// SPDX-License-Identifier: Apache-2.0
//
// Prints what the bytes of C values say, as libbpf reads their types: nothing
// of it is ktgen's. gen/bytes_test.go compares it with what generated code
// makes of the same bytes.
//
// usage: render CASES BYTES
//
// CASES has a line for each thing to print, and BYTES all values.
//
//	object FILE                   whose BTF the ids of types are from
//	memory START END              which bytes pointers lead to
//	layout ID                     a line: size, and the place of each member
//	values ID OFFSET COUNT STEP   a line for each value
//	variable ID OFFSET            a line
//	names ID OFFSET COUNT STEP    a line for each value of an enum, with its name
//	package, all, section         are for the other side
//
// A value is words: numbers in decimal, "hex" for bytes and text, *address for
// pointers, [ ] around arrays and { } around structs; "kernel" is a struct that
// the kernel fills. Behind a pointer is "?" if it leads nowhere, or shares its
// bytes with other members of a union.
#include <bpf/btf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_ADDR 0xffff888010000000ULL // guest address of BYTES
#define MAX_DEPTH 64

static const struct btf *types;
static unsigned long long memory_start, memory_end;
static int unions; // around what is printed

static void fail(const char *what, const char *about)
{
	fprintf(stderr, "render: %s: %s\n", what, about);
	exit(1);
}

static const struct btf_type *type_of(__u32 id)
{
	const struct btf_type *t = btf__type_by_id(types, id);

	for (int depth = 0; t && (btf_is_mod(t) || btf_is_typedef(t)); depth++) {
		if (depth > MAX_DEPTH)
			fail("types", "too many typedefs");
		t = btf__type_by_id(types, t->type);
	}
	if (!t)
		fail("types", "no such type");
	return t;
}

static const char *name_of(__u32 offset) { return btf__name_by_offset(types, offset); }

// size_of returns 0 for what has no size, such as functions.
static long long size_of(__u32 id)
{
	long long size = btf__resolve_size(types, id);

	return size < 0 ? 0 : size;
}

// bits reads bits one by one; width is at most 64.
static unsigned long long bits(const unsigned char *b, unsigned long long first, int width)
{
	unsigned long long v = 0;

	for (int i = 0; i < width; i++)
		v |= (unsigned long long)(b[(first + i) / 8] >> (first + i) % 8 & 1) << i;
	return v;
}

static void print_number(unsigned long long v, int width, bool is_signed)
{
	if (is_signed && width < 64 && v >> (width - 1) & 1)
		v -= 1ULL << width;
	if (is_signed)
		printf("%lld ", (long long)v);
	else
		printf("%llu ", v);
}

static void print_hex(const unsigned char *b, long long n)
{
	printf("\"");
	for (long long i = 0; i < n; i++)
		printf("%02x", b[i]);
	printf("\" ");
}

static bool is_word(unsigned size) { return size == 1 || size == 2 || size == 4 || size == 8; }

static bool is_signed(const struct btf_type *t)
{
	if (btf_is_int(t))
		return btf_int_encoding(t) & BTF_INT_SIGNED;
	return btf_is_any_enum(t) && btf_kflag(t);
}

static void print_int(const struct btf_type *t, const unsigned char *b)
{
	if (btf_int_encoding(t) & BTF_INT_BOOL && t->size == 1)
		printf("%d ", *b != 0);
	else if (btf_int_encoding(t) & BTF_INT_BOOL || !(is_word(t->size) || t->size == 16))
		print_hex(b, t->size);
	else if (t->size == 16)
		printf("%016llx%016llx ", bits(b, 64, 64), bits(b, 0, 64));
	else
		print_number(bits(b, 0, 8 * t->size), 8 * t->size, is_signed(t));
}

static void print_pointer(const struct btf_type *t, const unsigned char *b)
{
	unsigned long long addr = bits(b, 0, 64);
	unsigned long long size = t->type ? size_of(t->type) : 0;
	bool leads = size && addr >= memory_start && addr < memory_end && memory_end - addr >= size;

	printf("*%llx%s ", addr, leads && !unions ? "" : "?");
}

static bool is_text(const struct btf_type *t)
{
	const char *name = name_of(t->name_off);

	if (!btf_is_int(t) || t->size != 1 || btf_int_encoding(t) & BTF_INT_BOOL)
		return false;
	return !strcmp(name, "char") || (btf_int_encoding(t) & BTF_INT_CHAR && strcmp(name, "signed char") && strcmp(name, "unsigned char"));
}

static bool is_byte(const struct btf_type *t)
{
	return btf_is_int(t) && t->size == 1 && !(btf_int_encoding(t) & BTF_INT_BOOL);
}

static void print_value(__u32 id, const unsigned char *b, const unsigned char *end, int depth);

static void print_elements(__u32 elem, long long n, const unsigned char *b, int depth)
{
	const struct btf_type *t = type_of(elem);
	long long size = size_of(elem);

	if (is_text(t)) {
		print_hex(b, strnlen((const char *)b, n));
		return;
	}
	if (is_byte(t)) {
		print_hex(b, n);
		return;
	}
	printf("[ ");
	for (long long i = 0; i < n; i++)
		print_value(elem, b + i * size, b + (i + 1) * size, depth + 1);
	printf("] ");
}

// room returns where the room of member i of a value ends, whose own is up to end:
// all of that in unions and at the end of structs.
static const unsigned char *room(const struct btf_type *t, int i, const unsigned char *b, const unsigned char *end)
{
	const struct btf_member *m = btf_members(t);
	unsigned long long start = btf_member_bit_offset(t, i) / 8;
	bool last = i == btf_vlen(t) - 1;

	for (int j = 0; j < i; j++) {
		int width = btf_member_bitfield_size(t, j);

		if (btf_member_bit_offset(t, j) + (width ? width : 8 * size_of(m[j].type)) > 8 * start)
			last = false;
	}
	return btf_is_union(t) || last ? end : b + start + size_of(m[i].type);
}

static bool is_flexible(const struct btf_type *t)
{
	return btf_is_array(t) && !btf_array(t)->nelems && size_of(btf_array(t)->type);
}

static void print_member(const struct btf_type *t, int i, const unsigned char *b, const unsigned char *end, int depth)
{
	const struct btf_member *m = btf_members(t) + i;
	unsigned long long first = btf_member_bit_offset(t, i);
	int width = btf_member_bitfield_size(t, i);
	const struct btf_type *type = type_of(m->type);

	if (width && btf_is_int(type) && btf_int_encoding(type) & BTF_INT_BOOL)
		printf("%d ", bits(b, first, width) != 0);
	else if (width)
		print_number(bits(b, first, width), width, is_signed(type));
	else if (is_flexible(type))
		print_elements(btf_array(type)->type, (room(t, i, b, end) - b - (long long)first / 8) / (long long)size_of(btf_array(type)->type), b + first / 8, depth);
	else
		print_value(m->type, b + first / 8, room(t, i, b, end), depth);
}

static void print_members(const struct btf_type *t, const unsigned char *b, const unsigned char *end, int depth)
{
	const struct btf_member *m = btf_members(t);

	unions += btf_is_union(t);
	for (int i = 0; i < btf_vlen(t); i++) {
		const struct btf_type *type = type_of(m[i].type);

		if (!*name_of(m[i].name_off) && btf_is_composite(type))
			print_members(type, b + btf_member_bit_offset(t, i) / 8, room(t, i, b, end), depth + 1);
		else
			print_member(t, i, b, end, depth);
	}
	unions -= btf_is_union(t);
}

static bool is_kernels(const struct btf_type *t)
{
	static const char *const names[] = {
		"bpf_spin_lock", "bpf_res_spin_lock", "bpf_timer", "bpf_wq", "bpf_refcount",
		"bpf_list_head", "bpf_list_node", "bpf_rb_root", "bpf_rb_node",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(name_of(t->name_off), names[i]))
			return true;
	return false;
}

static void print_value(__u32 id, const unsigned char *b, const unsigned char *end, int depth)
{
	const struct btf_type *t = type_of(id);

	if (depth > MAX_DEPTH)
		fail("types", "nested too deeply");
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		print_int(t, b);
		return;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		print_number(bits(b, 0, 8 * t->size), 8 * t->size, is_signed(t));
		return;
	case BTF_KIND_FLOAT:
		if (t->size == 4 || t->size == 8)
			printf("%0*llx ", 2 * t->size, bits(b, 0, 8 * t->size));
		else
			print_hex(b, t->size);
		return;
	case BTF_KIND_PTR:
		print_pointer(t, b);
		return;
	case BTF_KIND_ARRAY:
		print_elements(btf_array(t)->type, btf_array(t)->nelems, b, depth);
		return;
	case BTF_KIND_STRUCT:
		if (is_kernels(t)) {
			printf("kernel ");
			return;
		}
		// fall through
	case BTF_KIND_UNION:
		printf("{ ");
		print_members(t, b, end, depth + 1);
		printf("} ");
		return;
	}
	fail("types", "a type without values");
}

// print_name prints the name of a value of an enum.
static void print_name(const struct btf_type *t, const unsigned char *b)
{
	unsigned long long v = bits(b, 0, 8 * t->size);

	for (int i = 0; i < btf_vlen(t); i++) {
		bool wide = btf_is_enum64(t);
		unsigned long long have = wide ? btf_enum64_value(btf_enum64(t) + i) : (__u32)btf_enum(t)[i].val;
		__u32 name = wide ? btf_enum64(t)[i].name_off : btf_enum(t)[i].name_off;

		if (bits((unsigned char *)&have, 0, 8 * t->size) == v) {
			printf("%s ", name_of(name));
			return;
		}
	}
}

static void print_places(const struct btf_type *t, unsigned long long base)
{
	const struct btf_member *m = btf_members(t);

	for (int i = 0; i < btf_vlen(t); i++) {
		unsigned long long first = base + btf_member_bit_offset(t, i);
		const struct btf_type *type = type_of(m[i].type);
		long long size = size_of(m[i].type);
		int width = btf_member_bitfield_size(t, i);

		if (!*name_of(m[i].name_off) && btf_is_composite(type)) {
			print_places(type, first);
			continue;
		}
		if (width == 8 * size && first % 8 == 0)
			width = 0;
		printf("%s@%llu:%d/%lld ", name_of(m[i].name_off), first, width, size);
	}
}

static void print_layout(__u32 id)
{
	const struct btf_type *t = type_of(id);

	printf("%lld ", size_of(id));
	if (btf_is_composite(t))
		print_places(t, 0);
	printf("\n");
}

static void print_values(__u32 id, const unsigned char *b, unsigned long long count, unsigned long long step, bool names)
{
	for (unsigned long long i = 0; i < count; i++) {
		print_value(id, b + i * step, b + i * step + size_of(id), 0);
		if (names)
			print_name(type_of(id), b + i * step);
		printf("\n");
	}
}

static unsigned char *read_all(const char *path, long *size)
{
	FILE *f = fopen(path, "rb");
	unsigned char *b;

	if (!f || fseek(f, 0, SEEK_END) || (*size = ftell(f)) < 0)
		fail(path, strerror(errno));
	rewind(f);
	b = malloc(*size + 1);
	if (!b || fread(b, 1, *size, f) != (size_t)*size)
		fail(path, "cannot be read");
	fclose(f);
	return b;
}

static void open_types(char *file)
{
	struct btf *parsed;

	file[strcspn(file, "\n")] = 0;
	parsed = btf__parse(file, NULL);
	if (!parsed)
		fail(file, strerror(errno));
	btf__free((struct btf *)types);
	types = parsed;
}

// run does what a line says: a word and numbers.
static void run(const char *what, char *rest, const unsigned char *bytes, unsigned long long size)
{
	unsigned long long n[4] = {0, 0, 1, 0}; // id, offset, count, step

	if (!strcmp(what, "object")) {
		open_types(rest);
		return;
	}
	if (!strcmp(what, "package") || !strcmp(what, "all") || !strcmp(what, "section"))
		return;
	if (!strcmp(what, "memory") && sscanf(rest, "%llu %llu", &memory_start, &memory_end) == 2) {
		memory_start += MEMORY_ADDR;
		memory_end += MEMORY_ADDR;
		return;
	}
	if (!strcmp(what, "layout") && sscanf(rest, "%llu", &n[0]) == 1) {
		print_layout(n[0]);
		return;
	}
	if (strcmp(what, "variable") ? sscanf(rest, "%llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3]) != 4 : sscanf(rest, "%llu %llu", &n[0], &n[1]) != 2)
		fail(what, rest);
	if (n[1] + (n[2] - 1) * n[3] + size_of(n[0]) > size)
		fail(what, "beyond the bytes");
	print_values(n[0], bytes + n[1], n[2], n[3], !strcmp(what, "names"));
}

int main(int argc, char **argv)
{
	char line[8192], what[16];
	unsigned char *bytes;
	FILE *cases;
	long size;
	int used;

	if (argc != 3)
		fail("usage", "render CASES BYTES");
	cases = fopen(argv[1], "r");
	if (!cases)
		fail(argv[1], strerror(errno));
	bytes = read_all(argv[2], &size);
	while (fgets(line, sizeof(line), cases)) {
		if (sscanf(line, "%15s %n", what, &used) != 1)
			fail("a line", line);
		run(what, line + used, bytes, size);
	}
	return 0;
}
