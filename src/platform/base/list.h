/* list.h: intrusive doubly linked lists. Zero bytes beyond the two pointers
 * in the member; a node belongs to one list at a time.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct list { struct list *next, *prev; };

#define LIST_ITEM(node, type, member) ((type *)((char *)(node) - offsetof(type, member)))
#define LIST_EACH(it, head) for (struct list *it = (head)->next, *it##_next = it->next; it != (head); it = it##_next, it##_next = it->next)

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline bool list_linked(const struct list *l) { return l->next && l->next != l; }
static inline void list_append(struct list *head, struct list *n)
{
    n->prev = head->prev; n->next = head; head->prev->next = n; head->prev = n;
}
static inline void list_remove(struct list *n)
{
    if (n->next) { n->prev->next = n->next; n->next->prev = n->prev; }
    n->next = n->prev = n;
}
