// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <bpf/btf.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/vec.h"
#include "kernel/names.h"
#include "socktrace/layout.h"

/* --- drop reasons ----------------------------------------------------------------------- */

static struct {
	char **names; /* by number; NULL: none */
	size_t nr, cap;
	bool is_read;
} reasons;

static void add_reason(uint32_t number, const char *name)
{
	static const char prefix[] = "SKB_DROP_REASON_";

	if (number > 0xffff) /* of a subsystem: a mask in the same enum */
		return;
	while (reasons.nr <= number)
		*vec_push(reasons.names, reasons.nr, reasons.cap) = NULL;
	if (!strncmp(name, prefix, strlen(prefix)))
		name += strlen(prefix);
	if (!reasons.names[number])
		reasons.names[number] = xstrdup(name);
}

static void read_reasons(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type;
	const struct btf_enum *e;
	int id;

	reasons.is_read = true;
	if (!btf)
		return;
	id = btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM);
	type = id > 0 ? btf__type_by_id(btf, id) : NULL;
	e = type ? btf_enum(type) : NULL;
	for (int i = 0; e && i < btf_vlen(type); i++)
		add_reason(e[i].val, btf__name_by_offset(btf, e[i].name_off));
	btf__free(btf);
	malloc_trim(0); /* it was some 10 MiB */
}

const char *kernel_drop_reason(uint32_t reason, char buf[KERNEL_NAME_LEN])
{
	if (reason == REASON_NONE)
		return "NOT_TOLD";
	if (!reasons.is_read)
		read_reasons();
	if (reason < reasons.nr && reasons.names[reason])
		return reasons.names[reason];
	snprintf(buf, KERNEL_NAME_LEN, "REASON_%" PRIu32, reason);
	return buf;
}

/* --- other enumerators ---------------------------------------------------------------------- */

static const struct btf_type *find_nameless_enum(const struct btf *btf, const char *first)
{
	const struct btf_type *type;

	for (uint32_t id = 1; id < btf__type_cnt(btf); id++) {
		type = btf__type_by_id(btf, id);
		if (btf_is_enum(type) && !type->name_off && btf_vlen(type) &&
		    !strcmp(btf__name_by_offset(btf, btf_enum(type)->name_off), first))
			return type;
	}
	return NULL;
}

static bool find_enumerator(const struct btf *btf, const struct btf_type *type, const char *name,
			    uint32_t *number)
{
	const struct btf_enum *e = btf_enum(type);

	for (int i = 0; i < btf_vlen(type); i++) {
		if (strcmp(btf__name_by_offset(btf, e[i].name_off), name))
			continue;
		*number = e[i].val;
		return true;
	}
	return false;
}

bool kernel_enumerators(const char *first, const char *const *names, uint32_t *numbers, size_t nr)
{
	struct btf *btf = btf__load_vmlinux_btf();
	const struct btf_type *type = btf ? find_nameless_enum(btf, first) : NULL;
	size_t found = 0;

	while (type && found < nr && find_enumerator(btf, type, names[found], &numbers[found]))
		found++;
	btf__free(btf);
	return found == nr;
}

/* --- members of structures ------------------------------------------------------------------- */

static bool has_member(const struct btf *btf, const struct btf_type *type, const char *member)
{
	const struct btf_member *m = btf_members(type);

	for (int i = 0; i < btf_vlen(type); i++) {
		if (!strcmp(btf__name_by_offset(btf, m[i].name_off), member))
			return true;
	}
	return false;
}

bool kernel_has_member(const char *type, const char *member)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int id = btf ? btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT) : 0;
	bool found = id > 0 && has_member(btf, btf__type_by_id(btf, id), member);

	btf__free(btf);
	return found;
}

/* --- addresses -------------------------------------------------------------------------- */

struct symbol {
	uint64_t address, start; /* start 0: not found (yet) */
	char name[KERNEL_NAME_LEN];
};

static struct {
	struct symbol *items;
	size_t nr, cap;
	bool is_complete; /* all have been looked for */
} symbols;

static struct symbol *symbol_of(uint64_t address)
{
	for (size_t i = 0; i < symbols.nr; i++) {
		if (symbols.items[i].address == address)
			return &symbols.items[i];
	}
	return NULL;
}

void kernel_want_symbol(uint64_t address)
{
	if (symbol_of(address))
		return;
	vec_push(symbols.items, symbols.nr, symbols.cap)->address = address;
	symbols.is_complete = false;
}

static void offer_symbol(uint64_t start, const char *name)
{
	for (size_t i = 0; i < symbols.nr; i++) {
		struct symbol *s = &symbols.items[i];

		if (start > s->address || start <= s->start)
			continue;
		s->start = start;
		snprintf(s->name, sizeof(s->name), "%s", name);
	}
}

static void find_symbols(void)
{
	__cleanup(fclose) FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], name[KERNEL_NAME_LEN], type;
	uint64_t start;

	symbols.is_complete = true;
	/* All addresses are 0 where kernel.kptr_restrict hides them. */
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 " %c %127s", &start, &type, name) == 3 &&
		    strchr("tTwW", type))
			offer_symbol(start, name);
	}
}

const char *kernel_symbol(uint64_t address)
{
	const struct symbol *s;

	kernel_want_symbol(address);
	if (!symbols.is_complete)
		find_symbols();
	s = symbol_of(address);
	return s->start ? s->name : NULL;
}

bool kernel_has_symbol(const char *name)
{
	__cleanup(fclose) FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], found[KERNEL_NAME_LEN];

	if (!f)
		return true;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*x %*c %127s", found) == 1 && !strcmp(found, name))
			return true;
	}
	return false;
}
