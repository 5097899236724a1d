/* room_leave.c: see room_leave.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_leave.h"
#include "crypto/digest.h"
#include "talk/rooms/room_far.h"
#include "talk/search.h"

enum {
    ROOMS_AT_ONCE = 4096
}; /* of one account; what is left is found when the room is next looked at by its owner's successor */

static struct db_sql rooms_of = {"SELECT room FROM room_affiliation WHERE jid = ?1 LIMIT 4096"};
static struct db_sql touch = {"UPDATE room SET rules = rules + 1, seq = seq + 1, stamp = ?2 WHERE id = ?1"};
static struct db_sql forget = {"DELETE FROM room_affiliation WHERE room = ?1 AND jid = ?2"};
static struct db_sql promote = {
    "UPDATE room_affiliation SET affiliation = 3 WHERE room = ?1"
    " AND NOT EXISTS (SELECT 1 FROM room_affiliation o WHERE o.room = ?1 AND o.affiliation = 3)"
    " AND jid = (SELECT a.jid FROM room_affiliation a WHERE a.room = ?1 AND a.affiliation IN (1, 2)"
    " ORDER BY a.affiliation DESC, a.since, a.jid LIMIT 1)"};
static struct db_sql remove_empty = {
    "DELETE FROM room WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM room_affiliation a WHERE a.room = ?1 AND "
    "a.affiliation > 0)"
    " AND NOT EXISTS (SELECT 1 FROM room_occupant o WHERE o.room = ?1 AND o.bare <> ?2)"};

static struct db_sql is_there = {"SELECT 1 FROM room WHERE id = ?1"};

static bool is_gone(struct db_conn *c, int64_t room)
{
    struct db_stmt *s = NULL;
    enum err e = db_get(c, &s, &is_there, "i", room);

    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND;
}

static enum err leave_one(struct db_conn *c, int64_t room, struct str bare)
{
    enum err e = db_run(c, &touch, "ii", room, (int64_t)(random_u64() >> 2) | 1);

    if (!e)
        e = db_run(c, &forget, "is", room, bare);
    if (!e)
        e = db_run(c, &promote, "i", room);
    if (!e)
        e = db_run(c, &remove_empty, "is", room, bare);
    if (!e)
        e = room_gone_apply(c, room);
    return e || !is_gone(c, room) ? e : search_forget_owner(c, room);
}

void rooms_person_deleted(struct person *p, struct db_conn *c)
{
    struct db_stmt *s = db_prepare(c, &rooms_of);
    int64_t rooms[ROOMS_AT_ONCE];
    int n = 0;

    db_bind_str(s, 1, p->jid.bare);
    while (n < ROOMS_AT_ONCE && db_step(s) == OK)
        rooms[n++] = db_i64(s, 0);
    db_done(s);
    for (int i = 0; i < n; i++)
        if (leave_one(c, rooms[i], p->jid.bare) != OK)
            return; /* the account's deletion fails as a whole, and is tried again */
}

void rooms_person_gone(struct talk *t, struct str bare)
{
    struct str key;
    void *value;

    for (size_t it = 0; strmap_next(&t->rooms->all, &it, &key, &value);) {
        struct room *r = value;

        if (!room_member(r, bare))
            continue;
        room_stale(r); /* reads later, so the map stays as it is */
        room_far_send(t, &(struct room_event){.kind = ROOM_OUTDATED, .local = r->local});
    }
}
