/* room_absent.c: see room_absent.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_absent.h"

static room_absent_fn *listeners[ROOMS_ABSENT_MAX];

void rooms_on_absent(room_absent_fn *fn)
{
    for (int i = 0; i < ROOMS_ABSENT_MAX; i++)
        if (!listeners[i] || listeners[i] == fn) {
            listeners[i] = fn;
            return;
        }
}

static void tell(struct room *r, struct str member, struct str kept, int64_t shown)
{
    for (int i = 0; i < ROOMS_ABSENT_MAX && listeners[i]; i++)
        listeners[i](r->talk, r, member, kept, shown);
}

void room_message_for_absent(struct room *r, struct str kept, int64_t shown)
{
    struct str key;
    void *value;

    uint64_t mark = ++r->talk->rooms->mark;

    if (!listeners[0])
        return;
    LIST_EACH(it, &r->in_order)
    {
        struct member *m = room_member(r, LIST_ITEM(it, struct occupant, in_room)->bare);

        if (m)
            m->mark = mark;
    }
    for (size_t it = 0; strmap_next(&r->members, &it, &key, &value);) {
        const struct member *m = value;

        if (m->affiliation > AFF_NONE && m->mark != mark)
            tell(r, key, kept, shown);
    }
}
