/* room_export.c: see room_export.h. The rules are those of room.c, on rows instead of memory.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/rooms/room_export.h"

/* ?1 the account, ?2 its domain, ?3 "@rooms.town.example", ?4 its number, ?5 one room's name or "". A room's name is ASCII or not, so
 * the bookmark's address is compared as a whole. */
static struct db_sql rooms_select = {
    "SELECT r.id, r.local, r.config, r.locked, coalesce(a.affiliation, 0), coalesce(a.nick, ''), coalesce(a.since, 0),"
    " coalesce(d.affiliation, 0), (SELECT count(*) FROM room_occupant o WHERE o.room = r.id AND o.bare = ?1)"
    " FROM room r LEFT JOIN room_affiliation a ON a.room = r.id AND a.jid = ?1"
    " LEFT JOIN room_affiliation d ON d.room = r.id AND d.jid = ?2"
    " WHERE (?5 = '' OR r.local = ?5) AND (r.id IN (SELECT room FROM room_affiliation WHERE jid = ?1)"
    " OR r.id IN (SELECT room FROM room_occupant WHERE bare = ?1)"
    " OR r.local || ?3 IN (SELECT i.id FROM pubsub_item i JOIN pubsub_node n ON n.id = i.node"
    " WHERE n.owner = ?4 AND n.name = 'urn:xmpp:bookmarks:1')) ORDER BY r.local" };
static struct db_sql number_select = { "SELECT id FROM jid WHERE bare = ?1" };

static bool may_read(const struct room_kept *r, const struct room_config *c, bool locked)
{
    if (!c->logging || (locked && r->affiliation != AFF_OWNER))
        return false;
    if (r->affiliation == AFF_OUTCAST || (c->members_only && r->affiliation == AFF_NONE))
        return false;
    return !c->password || r->affiliation >= AFF_MEMBER || r->inside;
}

/* As room_archive.c judges of somebody who is not inside. */
static bool sees_jids(const struct room_kept *r, const struct room_config *c)
{
    return c->non_anonymous || r->affiliation >= AFF_ADMIN;
}

static enum err take_row(struct db_stmt *row, struct arena *a, struct str at, struct room_kept *out)
{
    struct room_config config = { 0 };
    struct str         local = db_text(row, 1);
    bool               banned = db_i64(row, 7) == AFF_OUTCAST;
    enum err           e = room_config_read(db_blob(row, 2), &config);

    *out = (struct room_kept){ .id = db_i64(row, 0), .since = db_i64(row, 6), .jid = arena_printf(a, "%.*s%.*s", STR_ARG(local), STR_ARG(at)) };
    out->affiliation = (enum affiliation)db_i64(row, 4);
    if (out->affiliation == AFF_NONE && banned)
        out->affiliation = AFF_OUTCAST;     /* XEP-0045 §9.2 */
    out->nick = arena_str(a, db_text(row, 5));
    out->inside = db_i64(row, 8) > 0;
    if (!e) {       /* rules that cannot be read let nobody in */
        out->name = config.name ? arena_str(a, str_of(config.name)) : STR_NULL;
        out->reads = may_read(out, &config, db_i64(row, 3) != 0);
        out->sees = out->reads && sees_jids(out, &config);
    }
    room_config_free(&config);
    return OK;
}

static int64_t number_of(struct db_conn *c, struct str bare)
{
    struct db_stmt *s = NULL;
    int64_t         n = db_get(c, &s, &number_select, "s", bare) == OK ? db_i64(s, 0) : 0;

    if (s)
        db_done(s);
    return n;
}

static enum err each(struct db_conn *c, struct arena *a, struct str bare, struct str local, room_kept_fn *fn, void *arg)
{
    struct str       domain = bare, at;
    int64_t          number = number_of(c, bare);
    struct db_stmt  *row = db_prepare(c, &rooms_select);
    struct room_kept r;
    enum err         e;

    if (!row)
        return ERR_IO;
    str_split(&domain, '@');
    at = arena_printf(a, "@rooms.%.*s", STR_ARG(domain));
    db_bind_str(row, 1, bare);
    db_bind_str(row, 2, domain);
    db_bind_str(row, 3, at);
    db_bind_i64(row, 4, number);
    db_bind_str(row, 5, local);
    while ((e = db_step(row)) == OK) {
        e = take_row(row, a, at, &r);
        e = e ? e : fn(arg, &r);
        if (e)
            break;
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err rooms_of(struct db_conn *c, struct arena *a, struct str bare, room_kept_fn *fn, void *arg)
{
    return each(c, a, bare, STR(""), fn, arg);
}

static enum err keep_one(void *arg, const struct room_kept *r)
{
    *(struct room_kept *)arg = *r;
    return OK;
}

enum err rooms_of_one(struct db_conn *c, struct arena *a, struct str bare, struct str room, struct room_kept *out)
{
    enum err e;

    *out = (struct room_kept){ 0 };
    e = each(c, a, bare, str_split(&room, '@'), keep_one, out);
    return e ? e : out->id ? OK : ERR_NOT_FOUND;
}
