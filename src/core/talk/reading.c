/* reading.c: see reading.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/reading.h"
#include <stdlib.h>
#include "base/mem.h"
#include "talk/archive_id.h"
#include "talk/deliver.h"
#include "talk/stanza.h"

#define NS_MARKERS "urn:xmpp:chat-markers:0"

const struct db_migration reading_migrations[] = {
    { 1, "reading",
      "CREATE TABLE read_mark(chat INTEGER NOT NULL, reader INTEGER NOT NULL, upto INTEGER NOT NULL, seen INTEGER NOT NULL,"
      " PRIMARY KEY(chat, reader)) WITHOUT ROWID;"
      "CREATE INDEX read_mark_by_reader ON read_mark(reader);" },
    { 0 },
};

/* ---- marks ---- */

static struct db_sql mark_put = {
    "INSERT INTO read_mark(chat, reader, upto, seen) VALUES (?1, ?2, ?3, ?4) ON CONFLICT(chat, reader) DO UPDATE SET"
    " upto = CASE WHEN excluded.upto > read_mark.upto THEN excluded.upto ELSE read_mark.upto END,"
    " seen = CASE WHEN excluded.seen > read_mark.seen THEN excluded.seen ELSE read_mark.seen END" };
static struct db_sql mark_get = { "SELECT upto, seen FROM read_mark WHERE chat = ?1 AND reader = ?2" };

static enum err mark_keep(struct db_conn *c, int64_t chat, int64_t reader, int64_t upto, int64_t seen)
{
    return db_run(c, &mark_put, "iiii", chat, reader, upto, seen);
}

static enum err mark_read(struct db_conn *c, int64_t chat, int64_t reader, int64_t *upto, int64_t *seen)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &mark_get, "ii", chat, reader);

    *upto = e ? 0 : db_i64(s, 0);
    *seen = e ? 0 : db_i64(s, 1);
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err reading_forget(struct db_conn *c, int64_t id)
{
    static struct db_sql of = { "DELETE FROM read_mark WHERE chat = ?1" };
    static struct db_sql by = { "DELETE FROM read_mark WHERE reader = ?1" };
    enum err e = db_run(c, &of, "i", id);

    return e ? e : db_run(c, &by, "i", id);
}

/* ---- between two people ----
 * From the newest row backwards: a marker names a message before it, so it is noted, and what it names is met later. */

enum { PENDING_MAX = 64 };

struct side {           /* the marks of one reader */
    int64_t     upto, seen;
    int         count;
    struct str  names[PENDING_MAX];      /* ids that markers name and that have not been met, as they stand in a start tag */
};

struct walk {
    struct arena arena, scratch;
    struct side  peer, owner;       /* by whom they are read */
    int64_t      newest;
    int          rows;
};

struct str reading_marked(struct arena *a, struct str stanza)
{
    const struct xml_scope scope = { .default_ns = STR(NS_CLIENT) };
    struct xml_node       *m;
    const struct xml_node *n;

    if (!memmem(stanza.p, stanza.len, NS_MARKERS, sizeof NS_MARKERS - 1) || xml_parse(a, stanza, &scope, &m) != XML_FINE)
        return STR_NULL;
    n = xml_child(m, "displayed", NS_MARKERS);
    return n && xml_attr(n, "id").len ? xml_attr(n, "id") : STR_NULL;
}

/* Escaped, as it stands in a start tag; p NULL: it is no marker. */
static struct str marked(struct walk *w, struct str stanza)
{
    struct buf b;
    struct str id;

    arena_reset(&w->scratch);
    id = reading_marked(&w->scratch, stanza);
    if (!id.p)
        return STR_NULL;
    buf_init(&b, 0);
    xml_put_escaped(&b, id);
    id = arena_str(&w->arena, buf_str(&b));
    buf_done(&b);
    return id;
}

static void note(struct side *s, struct str id)
{
    for (int i = 0; i < s->count; i++)
        if (str_eq(s->names[i], id))
            return;
    if (s->count < PENDING_MAX)     /* the newest ones count */
        s->names[s->count++] = id;
}

/* A message that this side may have read. */
static void met(struct side *s, struct str id, int64_t place)
{
    for (int i = 0; i < s->count; i++)
        if (str_eq(s->names[i], id)) {
            s->names[i] = s->names[--s->count];
            if (place > s->upto)
                s->upto = place;
            return;
        }
}

static bool needs_more(const struct side *s, int64_t id)
{
    return id > s->seen || (s->count && id > s->upto);
}

static bool look_at(void *arg, const struct archive_walked *row)
{
    struct walk *w = arg;
    struct side *reader = row->sent ? &w->owner : &w->peer, *other = row->sent ? &w->peer : &w->owner;
    struct str   id;

    if (row->id > w->newest)
        w->newest = row->id;
    if (!needs_more(&w->peer, row->id) && !needs_more(&w->owner, row->id))
        return false;
    id = row->id > reader->seen ? marked(w, row->stanza) : STR_NULL;
    if (id.p)
        note(reader, id);
    met(other, kept_attr(row->stanza, "id"), row->id);
    return ++w->rows < READING_BACK_MAX;
}

enum err reading_work_out(struct db_conn *c, struct reading_pair *p)
{
    struct walk *w = NEW(struct walk);
    enum err     e = mark_read(c, p->owner, p->peer, &w->peer.upto, &w->peer.seen);
    int64_t      before;

    if (!e)
        e = mark_read(c, p->peer, p->owner, &w->owner.upto, &w->owner.seen);
    before = w->peer.seen < w->owner.seen ? w->peer.seen : w->owner.seen;
    arena_init(&w->arena);
    arena_init(&w->scratch);
    if (!e && p->peer != p->owner)
        e = archive_walk_back(c, p->owner, p->peer, look_at, w);
    if (!e) {
        p->by_peer.upto = w->peer.upto;
        p->by_owner.upto = w->owner.upto;
        p->by_peer.seen = p->by_owner.seen = w->newest;
        p->moved = w->newest > before;
    }
    arena_done(&w->arena);
    arena_done(&w->scratch);
    free(w);
    return e;
}

enum err reading_keep(struct db_conn *c, const struct reading_pair *p)
{
    enum err e = mark_keep(c, p->owner, p->peer, p->by_peer.upto, p->by_peer.seen);

    return e ? e : mark_keep(c, p->peer, p->owner, p->by_owner.upto, p->by_owner.seen);
}

const char *reading_ids(const struct stanza *iq, int64_t shown[READING_IDS_MAX], int *count)
{
    for (const struct xml_node *n = xml_first(iq->payload); n; n = xml_next(n)) {
        if (!xml_is(n, "message", NS_READ))
            continue;
        if (*count == READING_IDS_MAX)
            return "policy-violation";
        if (!archive_id_parse(xml_attr(n, "id"), &shown[(*count)++]))
            return "item-not-found";
    }
    return NULL;
}
