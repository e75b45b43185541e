// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "bench.h"
#include "empty.skel.h"
#include "floors.h"

#define MAX_HOOKS 64

struct floor {
	int nr;
	struct {
		char name[64];
		struct empty_bpf *skel;
		struct bpf_link *link;
	} hooks[MAX_HOOKS];
};

/* --- where a tracer has programs ------------------------------------------------------------- */

static bool has_hook(const struct floor *f, const char *name)
{
	for (int i = 0; i < f->nr; i++)
		if (!strcmp(f->hooks[i].name, name))
			return true;
	return false;
}

static void add_hook(struct floor *f, const char *name)
{
	struct empty_bpf *skel;

	if (has_hook(f, name))
		return;
	if (f->nr == MAX_HOOKS) {
		errno = E2BIG;
		die("the tracer's tracepoints");
	}
	skel = empty_bpf__open();
	if (!skel || bpf_program__set_attach_target(skel->progs.empty, 0, name) ||
	    empty_bpf__load(skel))
		die(name);
	snprintf(f->hooks[f->nr].name, sizeof(f->hooks[f->nr].name), "%s", name);
	f->hooks[f->nr++].skel = skel;
}

/* proc_pid_fdinfo(5): of a link, its type, and of a tracepoint's, the name. */
static void add_link(struct floor *f, const char *path)
{
	char line[256], type[64] = "", name[64] = "";
	FILE *info = fopen(path, "re");

	if (!info)
		die(path);
	while (fgets(line, sizeof(line), info)) {
		sscanf(line, "link_type: %63s", type);
		sscanf(line, "tp_name: %63s", name);
	}
	fclose(info);
	if (!*type || !strcmp(type, "iter"))
		return;
	if (!*name) {
		errno = ENOTSUP;
		fprintf(stderr, "no empty program for a link of type %s\n", type);
		die(path);
	}
	add_hook(f, name);
}

struct floor *floor_like(pid_t tracer)
{
	struct floor *f = calloc(1, sizeof(*f));
	char path[512];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", tracer);
	dir = opendir(path);
	if (!f || !dir)
		die(path);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", tracer, entry->d_name);
		add_link(f, path);
	}
	closedir(dir);
	if (f->nr)
		return f;
	errno = ENOENT;
	die("the tracer has no program on any tracepoint");
}

/* --- the empty programs ---------------------------------------------------------------------- */

void floor_attach(struct floor *f)
{
	for (int i = 0; i < f->nr; i++) {
		f->hooks[i].link = bpf_program__attach(f->hooks[i].skel->progs.empty);
		if (!f->hooks[i].link)
			die(f->hooks[i].name);
	}
}

void floor_detach(struct floor *f)
{
	for (int i = 0; i < f->nr; i++) {
		if (bpf_link__destroy(f->hooks[i].link))
			die(f->hooks[i].name);
		f->hooks[i].link = NULL;
	}
}

void floor_print(const struct floor *f)
{
	printf("floor: empty programs on");
	for (int i = 0; i < f->nr; i++)
		printf(" %s", f->hooks[i].name);
	putchar('\n');
}

void floor_free(struct floor *f)
{
	for (int i = 0; i < f->nr; i++) {
		bpf_link__destroy(f->hooks[i].link);
		empty_bpf__destroy(f->hooks[i].skel);
	}
	free(f);
}

/* --- everybody's programs -------------------------------------------------------------------- */

static bool is_tracing(int link)
{
	struct bpf_link_info info = {};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(link, &info, &len))
		die("ask what a link is");
	return info.type == BPF_LINK_TYPE_RAW_TRACEPOINT || info.type == BPF_LINK_TYPE_TRACING ||
	       info.type == BPF_LINK_TYPE_PERF_EVENT;
}

unsigned int nr_programs_attached(void)
{
	unsigned int nr = 0;
	__u32 id = 0;

	while (!bpf_link_get_next_id(id, &id)) {
		int fd = bpf_link_get_fd_by_id(id);

		if (fd < 0 && (errno == ENOENT || errno == EAGAIN)) /* gone, or not yet there */
			continue;
		if (fd < 0)
			die("open a link");
		nr += is_tracing(fd);
		close(fd);
	}
	if (errno != ENOENT)
		die("list links");
	return nr;
}
