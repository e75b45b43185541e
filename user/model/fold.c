// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/vec.h"
#include "model/merge.h"
#include "model/model.h"

/* --- the index of closed sockets ---------------------------------------------------------- */

#define MOST_SINGLE 64	 /* rows of one key that stand by themselves */
#define MOST_KEYS   4096 /* of one process */
#define MOST_ROWS   8192 /* closed sockets of one process: from here on, one row for each key */

#define NONE SIZE_MAX

static const char any[] = "*";

/* Where the address stands by which @s is told from others of its sort; NULL if none does. */
static char **key_address(struct socket *s)
{
	if (!strcmp(s->role, "connect"))
		return &s->remote;
	return strcmp(s->role, "none") ? &s->local : NULL;
}

static void forget_address(char **address)
{
	free(*address);
	*address = xstrdup(any);
}

struct key {
	uint64_t hash;
	size_t nr;    /* of its rows; 0: the slot is free */
	size_t first; /* the youngest of them; index.next leads to the older ones */
	bool is_rest; /* of all addresses that have no key of their own */
};

struct socket_index {
	struct key *slots; /* open addressing, linear probing; a key never goes away */
	size_t nr_slots;   /* a power of two */
	size_t nr_keys, nr_rows;
	size_t *next; /* by row: the next older of the same key, or NONE */
	size_t nr_next, cap_next;
};

static uint64_t hash_text(uint64_t hash, const char *text)
{
	do /* FNV-1a, the NUL included */
		hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
	while (*text++);
	return hash;
}

/* What a key is made of. */
struct sort {
	const char *protocol, *family, *role, *address; /* "*": the rest */
	uint64_t netns;
	uint64_t hash;
};

static struct sort sort_of(struct socket *s, bool is_rest)
{
	char **address = is_rest ? NULL : key_address(s);
	struct sort sort = {s->protocol, s->family, s->role, any, s->netns, 0xcbf29ce484222325};

	if (address && *address)
		sort.address = *address;
	sort.hash = hash_text(sort.hash, sort.protocol);
	sort.hash = hash_text(sort.hash, sort.family);
	sort.hash = hash_text(sort.hash, sort.role);
	sort.hash = hash_text(sort.hash, sort.address) ^ sort.netns;
	return sort;
}

static bool is_of_sort(const struct process *p, const struct key *k, const struct sort *sort)
{
	struct socket *s = &p->sockets[k->first];
	struct sort own = {s->protocol, s->family, s->role, any, s->netns, k->hash};
	char **address = key_address(s);

	if (k->hash != sort->hash)
		return false;
	if (!k->is_rest && address && *address)
		own.address = *address;
	return own.netns == sort->netns && !strcmp(own.protocol, sort->protocol) &&
	       !strcmp(own.family, sort->family) && !strcmp(own.role, sort->role) &&
	       !strcmp(own.address, sort->address);
}

/* The slot of a key, or the free one where it belongs. */
static struct key *find_slot(const struct process *p, const struct sort *sort)
{
	const struct socket_index *index = p->socket_index;
	size_t at = sort->hash & (index->nr_slots - 1);

	while (index->slots[at].nr && !is_of_sort(p, &index->slots[at], sort))
		at = (at + 1) & (index->nr_slots - 1);
	return &index->slots[at];
}

static void grow_slots(struct socket_index *index)
{
	struct key *old = index->slots;
	size_t nr_old = index->nr_slots;

	index->nr_slots = nr_old ? 2 * nr_old : 64;
	index->slots = xcalloc(index->nr_slots, sizeof(*index->slots));
	for (size_t i = 0; i < nr_old; i++) {
		size_t at = old[i].hash & (index->nr_slots - 1);

		while (old[i].nr && index->slots[at].nr)
			at = (at + 1) & (index->nr_slots - 1);
		if (old[i].nr)
			index->slots[at] = old[i];
	}
	free(old);
}

/* The key of a closed socket; without rows (nr 0) if it is new. */
static struct key *key_of(struct process *p, struct socket *s)
{
	struct sort sort = sort_of(s, false);
	struct key *k = find_slot(p, &sort);

	if (!k->nr && p->socket_index->nr_keys >= MOST_KEYS) {
		sort = sort_of(s, true);
		k = find_slot(p, &sort);
	}
	if (!k->nr) {
		k->hash = sort.hash;
		k->is_rest = !strcmp(sort.address, any);
	}
	return k;
}

static void link_row(struct process *p, struct key *k, size_t row)
{
	struct socket_index *index = p->socket_index;

	while (index->nr_next <= row)
		*vec_push(index->next, index->nr_next, index->cap_next) = NONE;
	index->next[row] = k->nr ? k->first : NONE;
	k->first = row;
	index->nr_rows++;
	if (!k->nr++ && 2 * ++index->nr_keys >= index->nr_slots)
		grow_slots(index);
}

void socket_index_free(struct process *p)
{
	if (!p->socket_index)
		return;
	free(p->socket_index->slots);
	free(p->socket_index->next);
	free(p->socket_index);
	p->socket_index = NULL;
}

/* Made when it is needed: a copy of a process, or one whose sockets were sorted, has none. */
static void index_make(struct process *p)
{
	if (p->socket_index)
		return;
	p->socket_index = xcalloc(1, sizeof(*p->socket_index));
	grow_slots(p->socket_index);
	for (size_t i = 0; i < p->nr_sockets; i++)
		if (socket_is_closed(&p->sockets[i]))
			link_row(p, key_of(p, &p->sockets[i]), i);
}

/* --- rows --------------------------------------------------------------------------------- */

static size_t push_row(struct process *p, struct socket *s)
{
	*vec_push(p->sockets, p->nr_sockets, p->cap_sockets) = *s;
	*s = (struct socket){0};
	return p->nr_sockets - 1;
}

/* The last row moves to @row, whose socket is gone and in no key. */
static void remove_row(struct process *p, size_t row)
{
	struct socket_index *index = p->socket_index;
	size_t last = --p->nr_sockets, *link;

	if (row == last)
		return;
	if (socket_is_closed(&p->sockets[last])) {
		link = &key_of(p, &p->sockets[last])->first;
		while (*link != last)
			link = &index->next[*link];
		*link = row;
		index->next[row] = index->next[last];
	}
	p->sockets[row] = p->sockets[last];
}

static int descending(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x < *y) - (*x > *y);
}

/* Folds all rows of @k into the oldest. */
static struct socket *fold_rows(struct process *p, struct key *k)
{
	struct socket_index *index = p->socket_index;
	size_t *rows = xcalloc(k->nr, sizeof(*rows)), nr = k->nr, row = k->first;
	struct socket *into;

	for (size_t i = nr; i; i--, row = index->next[row])
		rows[i - 1] = row;
	into = &p->sockets[rows[0]];
	for (size_t i = 1; i < nr; i++)
		socket_fold(into, &p->sockets[rows[i]]);
	k->first = rows[0];
	k->nr = 1;
	index->next[rows[0]] = NONE;
	index->nr_rows -= nr - 1;
	/* The last first: the row that fills a gap is never one that must go, too. */
	qsort(rows + 1, nr - 1, sizeof(*rows), descending);
	for (size_t i = 1; i < nr; i++)
		remove_row(p, rows[i]);
	free(rows);
	return &p->sockets[k->first];
}

/* Folds @s and all rows of @k into one. */
static void fold_key(struct process *p, struct key *k, struct socket *s)
{
	struct socket *into = fold_rows(p, k);
	char **kept = k->is_rest ? NULL : key_address(into);

	socket_fold(into, s);
	if (kept != &into->local)
		forget_address(&into->local);
	if (kept != &into->remote)
		forget_address(&into->remote);
}

void process_add_socket(struct process *p, struct socket *s)
{
	struct key *k;

	if (s->connections == 1)
		socket_clear_spreads(s);
	if (!socket_is_closed(s)) {
		push_row(p, s);
		return;
	}
	index_make(p);
	k = key_of(p, s);
	if (k->nr && (k->nr >= MOST_SINGLE || p->socket_index->nr_rows >= MOST_ROWS ||
		      s->connections > 1 || p->sockets[k->first].connections > 1))
		fold_key(p, k, s);
	else
		link_row(p, k, push_row(p, s));
}

void process_move_sockets(struct process *into, struct process *from)
{
	for (size_t i = 0; i < from->nr_sockets; i++)
		process_add_socket(into, &from->sockets[i]);
	from->nr_sockets = 0;
	socket_index_free(from);
}
