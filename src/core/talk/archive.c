/* archive.c: the statements of the log. See archive.h for the tables.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/archive.h"
#include "base/clock.h"
#include "base/mem.h"
#include "talk/person.h"
#include "talk/search.h"
#include "talk/session.h"
#include <stdlib.h>

const struct db_migration archive_migrations[] = {
    { 1, "archive",
      "CREATE TABLE message(id INTEGER PRIMARY KEY, sender INTEGER NOT NULL, recipient INTEGER NOT NULL,"
      " keeps INTEGER NOT NULL, origin INTEGER NOT NULL, stanza TEXT NOT NULL);"
      "CREATE TABLE log(owner INTEGER NOT NULL, id INTEGER NOT NULL, peer INTEGER NOT NULL,"
      " PRIMARY KEY(owner, id)) WITHOUT ROWID;"
      "CREATE TABLE resend(sender INTEGER NOT NULL, origin INTEGER NOT NULL, id INTEGER NOT NULL,"
      " PRIMARY KEY(sender, origin)) WITHOUT ROWID;"
      "CREATE TABLE offline(owner INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY(owner, id)) WITHOUT ROWID;"
      "CREATE TABLE settled(one INTEGER PRIMARY KEY CHECK(one = 1), id INTEGER NOT NULL);"
      "INSERT INTO settled(one, id) VALUES (1, 0);"
      "CREATE TABLE secret(name TEXT PRIMARY KEY, value BLOB NOT NULL);" },
    { 2, "archive",
      "ALTER TABLE message ADD COLUMN name INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE message ADD COLUMN ahead_us INTEGER NOT NULL DEFAULT 0;"
      "ALTER TABLE resend RENAME TO resend_by_sender;"
      "CREATE TABLE resend(sender INTEGER NOT NULL, origin INTEGER NOT NULL, id INTEGER NOT NULL,"
      " PRIMARY KEY(origin, sender)) WITHOUT ROWID;"
      "INSERT INTO resend(sender, origin, id) SELECT sender, origin, id FROM resend_by_sender;"
      "DROP TABLE resend_by_sender;"
      "CREATE TABLE log_order(one INTEGER PRIMARY KEY CHECK(one = 1), last INTEGER NOT NULL);"
      "INSERT INTO log_order(one, last) VALUES (1, 0);" },
    /* Those that nobody keeps: few, and looked for. */
    { 3, "archive", "CREATE INDEX message_loose ON message(id) WHERE keeps = 0;" },
    { 0 },
};

/* ---- writing ---- */

static struct db_sql resend_one = { "SELECT id FROM resend WHERE sender = ?1 AND origin = ?2" };
static struct db_sql message_insert = {
    "INSERT INTO message(id, sender, recipient, keeps, origin, stanza) VALUES (?1, ?2, ?3, ?4, ?5, ?6)" };
static struct db_sql offline_insert = { "INSERT INTO offline(owner, id) VALUES (?1, ?2)" };

static enum err is_resent(struct db_conn *c, struct archive_put *p)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &resend_one, "ii", p->sender, p->origin);

    p->duplicate = e == OK;
    p->original = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- writing where others write too ---- */

static struct db_sql order_lock = { "UPDATE log_order SET last = CASE WHEN last < ?1 THEN ?1 ELSE last END" };
static struct db_sql order_advance = { "UPDATE log_order SET last = last + ?1" };
static struct db_sql place_take = {
    "INSERT INTO resend(sender, origin, id) SELECT ?1, ?2, last + ?3 FROM log_order WHERE one = 1 ON CONFLICT DO NOTHING" };
static struct db_sql message_place = {
    "INSERT INTO message(id, sender, recipient, keeps, origin, stanza, name, ahead_us) SELECT r.id, ?1, ?4, ?5, ?2, ?6, ?7, ?8"
    " FROM resend r JOIN log_order o ON r.id = o.last + ?3 WHERE r.sender = ?1 AND r.origin = ?2" };
static struct db_sql log_place = {
    "INSERT INTO log(owner, id, peer) SELECT ?2, m.id, ?3 FROM message m JOIN log_order o ON m.id = o.last + ?1" };
static struct db_sql offline_place = {
    "INSERT INTO offline(owner, id) SELECT m.recipient, m.id FROM message m JOIN log_order o ON m.id = o.last + ?1"
    " WHERE NOT EXISTS (SELECT 1 FROM device d WHERE d.owner = m.recipient AND d.reach <> 0)" };
static struct db_sql place_result = {
    "SELECT r.id, r.id - o.last, (SELECT max(l.id) FROM log l WHERE l.owner = ?3 AND l.id < r.id),"
    " (SELECT max(l.id) FROM log l WHERE l.owner = ?1 AND l.id < r.id),"
    " (SELECT count(*) FROM offline f WHERE f.owner = ?3 AND f.id = r.id)"
    " FROM resend r CROSS JOIN log_order o WHERE r.sender = ?1 AND r.origin = ?2" };
static struct db_sql ahead_note = { "UPDATE message SET ahead_us = ?2 WHERE id = ?1 AND ahead_us = 0" };

enum err archive_order_take(struct db_conn *c, struct archive_order *o)
{
    bool fresh = o->transaction != db_transaction(c);

    if (!fresh && o->undos == db_undos(c))
        return OK;
    /* Part of the transaction was undone, perhaps with the lock: take it again; the count goes on, so no place is given twice. */
    if (fresh)
        o->count = 0;
    o->transaction = db_transaction(c);
    o->undos = db_undos(c);
    return db_run(c, &order_lock, "i", clock_us());
}

enum err archive_order_close(struct db_conn *c, struct archive_order *o)
{
    if (o->transaction != db_transaction(c) || o->count == 0)
        return OK;
    return db_run(c, &order_advance, "i", o->count);
}

static enum err log_put(struct db_conn *c, const struct archive_put *p, int64_t owner, int64_t peer)
{
    return db_run(c, &log_place, "iii", p->number, owner, peer);
}

/* Six statements, of which none needs the answer of another, so that they share the batch's round trip. A message that is
 * here already takes no place: the rows behind its own are not found, and the last statement tells where it stands. */
static enum err write_in_order(struct db_conn *c, struct archive_put *p)
{
    enum err e = archive_order_take(c, p->order);

    p->number = ++p->order->count;
    p->ahead_written = __atomic_load_n(&p->ahead_us, __ATOMIC_RELAXED);
    if (!e)
        e = db_run(c, &place_take, "iii", p->sender, p->origin, p->number);
    if (!e)
        e = db_run(c, &message_place, "iiiiisii", p->sender, p->origin, p->number, p->recipient, (int64_t)p->keeps, p->stanza,
                   archive_name(p->origin), p->ahead_written);
    if (!e && (p->keeps & ARCHIVE_SENDER_KEEPS))
        e = log_put(c, p, p->sender, p->recipient);
    if (!e && (p->keeps & ARCHIVE_RECIPIENT_KEEPS) && p->recipient != p->sender)
        e = log_put(c, p, p->recipient, p->sender);
    if (!e && p->offline)
        e = db_run(c, &offline_place, "i", p->number);
    if (!e)
        e = db_run_later(c, &place_result, p->results, ARCHIVE_RESULTS, &p->rows, "iii", p->sender, p->origin, p->recipient);
    return e;
}

void archive_decided(struct archive_put *p)
{
    if (!p->order)
        return;
    p->id = p->results[0];
    p->duplicate = p->results[1] != p->number;
    p->before_recipient = p->results[2];
    p->before_sender = p->results[3];
    p->offline = p->results[4] != 0;
}

enum err archive_note_ahead(struct db_conn *c, int64_t id, int64_t ahead_us)
{
    return db_run(c, &ahead_note, "ii", id, ahead_us);
}

enum err archive_write(struct db_conn *c, struct archive_put *p)
{
    enum err e = OK;

    if (p->order)
        return write_in_order(c, p);
    p->duplicate = false;
    if (p->origin)
        e = is_resent(c, p);
    if (e || p->duplicate)
        return e;
    e = db_run(c, &message_insert, "iiiiis", p->id, p->sender, p->recipient, (int64_t)p->keeps, p->origin, p->stanza);
    if (!e && p->offline)
        e = db_run(c, &offline_insert, "ii", p->recipient, p->id);
    return e;
}

/* ---- settling ---- */

static struct db_sql settle_sent = {
    "INSERT INTO log(owner, id, peer) SELECT sender, id, recipient FROM message"
    " WHERE id > (SELECT id FROM settled) AND id <= ?1 AND (keeps & 1) <> 0 ORDER BY sender, id" };
static struct db_sql settle_received = {
    "INSERT INTO log(owner, id, peer) SELECT recipient, id, sender FROM message"
    " WHERE id > (SELECT id FROM settled) AND id <= ?1 AND (keeps & 2) <> 0 AND recipient <> sender ORDER BY recipient, id" };
static struct db_sql settle_resend = {
    "INSERT INTO resend(sender, origin, id) SELECT sender, origin, id FROM message"
    " WHERE id > (SELECT id FROM settled) AND id <= ?1 AND origin <> 0 ORDER BY origin, sender ON CONFLICT DO NOTHING" };
static struct db_sql settle_mark = { "UPDATE settled SET id = ?1" };
static struct db_sql settled_select = { "SELECT id FROM settled" };
static struct db_sql tail_select = {
    "SELECT sender, origin, id FROM message WHERE id > (SELECT id FROM settled)" };

enum err archive_share(struct db_conn *c)
{
    static struct db_sql highest = { "SELECT coalesce(max(id), 0) FROM message" };
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &settled_select, "");
    int64_t         settled = e ? 0 : db_i64(s, 0), last;

    if (s)
        db_done(s);
    if (e || settled == INT64_MAX)
        return e;
    e = db_get(c, &s, &highest, "");
    last = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    if (!e)
        e = archive_settle(c, last);
    if (!e)
        e = db_run(c, &order_lock, "i", last);
    return e ? e : db_run(c, &settle_mark, "i", INT64_MAX);
}

struct recent {
    int64_t sender, origin, id;
};

/* Sender and origin in one key; the hash of the origin-id is keyed, so strangers cannot aim at collisions. */
static int64_t recent_key(int64_t sender, int64_t origin)
{
    return (int64_t)((uint64_t)origin ^ (uint64_t)sender * 0x9E3779B97F4A7C15u);
}

int64_t archive_recent(struct talk *t, int64_t sender, int64_t origin)
{
    const struct recent *r = intmap_get(&t->recent, recent_key(sender, origin));

    return r && r->sender == sender && r->origin == origin ? r->id : 0;
}

void archive_recent_add(struct talk *t, int64_t sender, int64_t origin, int64_t id)
{
    struct recent *r = NEW(struct recent);

    *r = (struct recent){ sender, origin, id };
    free(intmap_put(&t->recent, recent_key(sender, origin), r));
}

void archive_recent_remove(struct talk *t, int64_t sender, int64_t origin)
{
    free(intmap_del(&t->recent, recent_key(sender, origin)));
}

struct settle_op {
    struct change change;
    int64_t       upto;
    bool          more;         /* of a purge: it goes on */
};

static enum err run_each(struct db_conn *c, struct db_sql *const *steps, size_t count, int64_t parameter)
{
    enum err e = OK;

    for (size_t i = 0; i < count && !e; i++)
        e = db_run(c, steps[i], "i", parameter);
    return e;
}

enum err archive_settle(struct db_conn *c, int64_t upto)
{
    struct db_sql *const steps[] = { &settle_sent, &settle_received, &settle_resend, &settle_mark };

    return run_each(c, steps, sizeof steps / sizeof steps[0], upto);
}

static enum err settle_apply(struct db_conn *c, struct change *ch)
{
    return archive_settle(c, ((struct settle_op *)ch)->upto);
}

static void settle_done(struct talk *t, struct change *ch, enum err e)
{
    int64_t upto = ((struct settle_op *)ch)->upto, key;
    void   *value;

    t->settling = false;
    for (size_t it = 0; !e && intmap_next(&t->recent, &it, &key, &value);) {
        struct recent *r = value;

        if (r->id <= upto) {
            intmap_del(&t->recent, key);
            free(r);
        }
    }
    free(ch);
}

/* Ids rise in the order of the batch, so everything up to the last one is in it or before it. */
static void settle(struct talk *t)
{
    struct settle_op *o;

    if (t->shared || t->settling || t->tail_count == 0)
        return;
    o = NEW(struct settle_op);
    o->change.apply = settle_apply;
    o->change.done = settle_done;
    o->upto = t->last_log_id;
    if (session_change(NULL, t, &o->change) != OK) {
        free(o);
        return;
    }
    t->settling = true;
    t->tail_count = 0;
}

void archive_wrote(struct talk *t)
{
    if (++t->tail_count >= ARCHIVE_TAIL_MAX)
        settle(t);
}

/* ---- forgetting ---- */

static struct db_sql purge_log = { "DELETE FROM log WHERE id < ?1" };
static struct db_sql purge_resend = { "DELETE FROM resend WHERE id < ?1" };
static struct db_sql purge_offline = { "DELETE FROM offline WHERE id < ?1" };
static struct db_sql purge_message = { "DELETE FROM message WHERE id < ?1" };
#define FORGET_STEP "(SELECT id FROM log WHERE owner = ?1 ORDER BY id LIMIT ?2)"
static struct db_sql forget_resend = {
    "DELETE FROM resend WHERE sender = ?1 AND origin IN (SELECT origin FROM message WHERE sender = ?1 AND id IN " FORGET_STEP ")" };
static struct db_sql forget_side = {
    "UPDATE message SET keeps = keeps & ~(CASE WHEN sender = ?1 THEN 1 ELSE 0 END | CASE WHEN recipient = ?1 THEN 2 ELSE 0 END),"
    " origin = CASE WHEN sender = ?1 THEN 0 ELSE origin END WHERE id IN " FORGET_STEP };
/* What nobody keeps; what may be on its way to another's device stays for LOOSE_DAYS. */
static struct db_sql forget_message = {
    "DELETE FROM message WHERE keeps = 0 AND id IN " FORGET_STEP " AND (recipient = ?1 OR id < ?3)"
    " AND NOT EXISTS (SELECT 1 FROM offline o WHERE o.owner = message.recipient AND o.id = message.id)" };
static struct db_sql forget_log = { "DELETE FROM log WHERE owner = ?1 AND id IN " FORGET_STEP };
static struct db_sql forget_left = { "SELECT 1 FROM log WHERE owner = ?1 LIMIT 1" };
static struct db_sql forget_offline = { "DELETE FROM offline WHERE owner = ?1" };
static struct db_sql forget_sent = {
    "UPDATE message SET keeps = keeps & ~1, origin = 0 WHERE id > (SELECT id FROM settled) AND sender = ?1" };
static struct db_sql forget_received = {
    "UPDATE message SET keeps = keeps & ~2 WHERE id > (SELECT id FROM settled) AND recipient = ?1" };
static struct db_sql forget_self = {
    "DELETE FROM message WHERE id > (SELECT id FROM settled) AND keeps = 0 AND recipient = ?1" };
#define LOOSE \
    "SELECT m.id FROM message m WHERE m.keeps = 0 AND m.id < ?1" \
    " AND NOT EXISTS (SELECT 1 FROM offline o WHERE o.owner = m.recipient AND o.id = m.id)"
static struct db_sql loose_delete = { "DELETE FROM message WHERE id IN (" LOOSE " ORDER BY m.id LIMIT ?2)" };
static struct db_sql loose_left = { LOOSE " LIMIT 1" };

enum { LOOSE_DAYS = 2, LOOSE_STEP = 5000 };

static int64_t loose_before(void)
{
    return clock_us() - LOOSE_DAYS * 86400LL * 1000000;
}

enum err archive_forget_tail(struct db_conn *c, int64_t owner)
{
    struct db_sql *const steps[] = { &forget_offline, &forget_sent, &forget_received, &forget_self };
    enum err             e = search_forget_owner(c, owner);

    return e ? e : run_each(c, steps, sizeof steps / sizeof steps[0], owner);
}

enum err archive_forget_some(struct db_conn *c, int64_t owner, int64_t max, bool *more)
{
    struct db_stmt *s;
    enum err        e = db_run(c, &forget_resend, "ii", owner, max);

    if (!e)
        e = db_run(c, &forget_side, "ii", owner, max);
    if (!e)
        e = db_run(c, &forget_message, "iii", owner, max, loose_before());
    if (!e)
        e = db_run(c, &forget_log, "ii", owner, max);
    if (e)
        return e;
    e = db_get(c, &s, &forget_left, "i", owner);
    *more = e == OK;
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? search_forget_owner(c, owner) : e;     /* what was indexed meanwhile */
}

static enum err purge_apply(struct db_conn *c, struct change *ch)
{
    struct db_sql *const steps[] = { &purge_log, &purge_resend, &purge_offline, &purge_message };
    int64_t              upto = ((struct settle_op *)ch)->upto;
    enum err             e = search_forget_before(c, upto);

    return e ? e : run_each(c, steps, sizeof steps / sizeof steps[0], upto);
}

enum err archive_forget_loose(struct db_conn *c, int64_t before, int64_t max, bool *more)
{
    struct db_stmt *s;
    enum err        e = db_run(c, &loose_delete, "ii", before, max);

    *more = false;
    if (e)
        return e;
    e = db_get(c, &s, &loose_left, "i", before);
    *more = e == OK;
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err loose_apply(struct db_conn *c, struct change *ch)
{
    struct settle_op *o = (struct settle_op *)ch;

    return archive_forget_loose(c, o->upto, LOOSE_STEP, &o->more);
}

typedef enum err purge_fn(struct db_conn *c, struct change *ch);
static void purge(struct talk *t, purge_fn *apply, int64_t upto);

static void purge_done(struct talk *t, struct change *ch, enum err e)
{
    struct settle_op *o = (struct settle_op *)ch;

    if (!e && o->more && !t->stopping)      /* else the next hour tries again */
        purge(t, o->change.apply, o->upto);
    free(o);
}

static void purge(struct talk *t, purge_fn *apply, int64_t upto)
{
    struct settle_op *o = NEW(struct settle_op);

    o->change.apply = apply;
    o->change.done = purge_done;
    o->upto = upto;
    if (session_change(NULL, t, &o->change) != OK)
        free(o);
}

void archive_tick(struct talk *t)
{
    enum { HOUR_S = 3600 };

    settle(t);
    if (t->purge_in_s-- > 0)
        return;
    t->purge_in_s = HOUR_S;
    purge(t, loose_apply, loose_before());
    if (t->limits.archive_us_max)
        purge(t, purge_apply, clock_us() - t->limits.archive_us_max);
}

void archive_init(struct talk *t)
{
    struct db_stmt *s = t->shared ? NULL : db_prepare(db_loop_conn(t->db), &tail_select);

    intmap_init(&t->recent);
    while (s && db_step(s) == OK) {
        t->tail_count++;
        if (db_i64(s, 1))
            archive_recent_add(t, db_i64(s, 0), db_i64(s, 1), db_i64(s, 2));
    }
    if (s)
        db_done(s);
}

void archive_done(struct talk *t)
{
    int64_t key;
    void   *value;

    for (size_t it = 0; intmap_next(&t->recent, &it, &key, &value);)
        free(value);
    intmap_done(&t->recent);
}

int64_t archive_origin_hash(struct talk *t, struct str origin_id)
{
    int64_t h = (int64_t)hash_bytes_keyed(t->origin_key, origin_id.p, origin_id.len);

    return h ? h : 1;   /* 0 means "none" */
}

/* ---- reading ---- */

#define TAIL_WHERE " FROM message WHERE id > ?2 AND id < ?3" \
    " AND ((sender = ?1 AND (keeps & 1) <> 0 AND (?5 = 0 OR recipient = ?5)) OR (recipient = ?1 AND (keeps & 2) <> 0 AND (?5 = 0 OR sender = ?5)))"

static struct db_sql page_forward = {
    "SELECT l.id, m.stanza, m.name, m.ahead_us, m.sender FROM log l CROSS JOIN message m ON m.id = l.id"
    " WHERE l.owner = ?1 AND l.id > ?2 AND l.id < ?3 AND (?5 = 0 OR l.peer = ?5) ORDER BY l.id LIMIT ?4" };
static struct db_sql page_backward = {
    "SELECT l.id, m.stanza, m.name, m.ahead_us, m.sender FROM log l CROSS JOIN message m ON m.id = l.id"
    " WHERE l.owner = ?1 AND l.id > ?2 AND l.id < ?3 AND (?5 = 0 OR l.peer = ?5) ORDER BY l.id DESC LIMIT ?4" };
static struct db_sql tail_forward = { "SELECT id, stanza, name, ahead_us, sender" TAIL_WHERE " ORDER BY id LIMIT ?4" };
static struct db_sql tail_backward = { "SELECT id, stanza, name, ahead_us, sender" TAIL_WHERE " ORDER BY id DESC LIMIT ?4" };
static struct db_sql tail_count = { "SELECT count(*)" TAIL_WHERE };
static struct db_sql tail_first = { "SELECT min(id)" TAIL_WHERE };
static struct db_sql tail_last = { "SELECT max(id)" TAIL_WHERE };
static struct db_sql log_one = { "SELECT peer FROM log WHERE owner = ?1 AND id = ?2" };
static struct db_sql tail_one = {
    "SELECT CASE sender WHEN ?1 THEN recipient ELSE sender END FROM message WHERE id = ?2"
    " AND ((sender = ?1 AND (keeps & 1) <> 0) OR (recipient = ?1 AND (keeps & 2) <> 0))" };
static struct db_sql message_one = { "SELECT id, stanza, name, ahead_us, sender FROM message WHERE id = ?1" };
static struct db_sql log_first = { "SELECT id FROM log WHERE owner = ?1 ORDER BY id LIMIT 1" };
static struct db_sql log_last = { "SELECT id FROM log WHERE owner = ?1 ORDER BY id DESC LIMIT 1" };
static struct db_sql log_count = {
    "SELECT count(*) FROM (SELECT 1 FROM log WHERE owner = ?1 AND id > ?2 AND id < ?3 AND (?4 = 0 OR peer = ?4) LIMIT 10000) AS bounded" };

static int64_t settled_id(struct db_conn *c)
{
    struct db_stmt *s;
    int64_t         id = 0;

    if (db_get(c, &s, &settled_select, "") == OK)
        id = db_i64(s, 0);
    if (s)
        db_done(s);
    return id;
}

static bool has(struct db_conn *c, struct db_sql *sql, int64_t owner, int64_t id, int64_t *peer)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, sql, "ii", owner, id);

    if (!e)
        *peer = db_i64(s, 0);
    if (s)
        db_done(s);
    return e == OK;
}

void archive_row_read(struct db_stmt *s, struct arena *a, struct archive_row *out)
{
    out->id = db_i64(s, 0);
    out->stanza = arena_str(a, db_text(s, 1));
    out->shown = db_i64(s, 2) ? db_i64(s, 2) : out->id;
    out->went_ahead = db_i64(s, 3) != 0;
    out->sender = db_i64(s, 4);
}

bool archive_reaches(struct db_conn *c, int64_t id)
{
    static struct db_sql given_out = { "SELECT 1 FROM log_order WHERE last >= ?1" };
    struct db_stmt *s = NULL;
    enum err        e = db_get(c, &s, &given_out, "i", id);

    if (s)
        db_done(s);
    return e == OK;
}

static bool log_has(struct db_conn *c, int64_t owner, int64_t id, int64_t *peer)
{
    return has(c, &log_one, owner, id, peer) || (id > settled_id(c) && has(c, &tail_one, owner, id, peer));
}

/* The open interval (low, high) of ids that start, end, after and before leave. */
static void filter_range(const struct archive_filter *f, int64_t *low, int64_t *high)
{
    *low = f->after_id > f->start_us - 1 ? f->after_id : f->start_us - 1;
    *high = f->end_us ? f->end_us + 1 : INT64_MAX;
    if (f->before_id && f->before_id < *high)
        *high = f->before_id;
}

/* The value of `from` or `to` in a kept message's start tag, undecoded: kept
 * JIDs are normal, and of the characters that are escaped only ' and & may be in one. */
bool archive_kept_has_address(struct str kept, struct str full)
{
    const char *end = memchr(kept.p, '>', kept.len);

    return end && memmem(kept.p, (size_t)(end - kept.p), full.p, full.len) != NULL;
}

static struct db_sql name_find = { "SELECT id FROM resend WHERE origin = ?1 ORDER BY id DESC LIMIT 1" };

/* The place of a message by the id it was shown under; 0: none. */
int64_t archive_place(struct db_conn *c, int64_t shown)
{
    struct db_stmt *s = NULL;
    int64_t         id = 0;

    if (!archive_is_name(shown))
        return shown;
    if (db_get(c, &s, &name_find, "i", archive_name_origin(shown)) == OK)
        id = db_i64(s, 0);
    if (s)
        db_done(s);
    return id;
}

static int by_place(const void *a, const void *b)
{
    const struct archive_row *x = a, *y = b;

    return x->id < y->id ? -1 : x->id > y->id;
}

/* Whether one that was asked for by its id fits the other conditions, too. */
static bool id_fits(struct arena *a, const struct archive_filter *f, const struct archive_row *r, int64_t peer)
{
    int64_t low, high;

    filter_range(f, &low, &high);
    return r->id > low && r->id < high && r->shown != f->after_shown && (!f->peer || peer == f->peer) &&
           (!f->peer_full.len || archive_kept_has_address(r->stanza, f->peer_full)) && (!f->search || search_fits(a, f->search, r));
}

static void without_twins(struct archive_page *p)
{
    int kept = 0;

    for (int i = 0; i < p->count; i++)
        if (kept == 0 || p->rows[kept - 1].id != p->rows[i].id)
            p->rows[kept++] = p->rows[i];
    p->count = kept;
}

static enum err read_ids(struct db_conn *c, struct arena *a, const struct archive_filter *f, int max, bool backwards, struct archive_page *out)
{
    for (int i = 0; i < f->id_count; i++) {
        int64_t peer, id = archive_place(c, f->ids[i]);

        if (!id || !log_has(c, f->owner, id, &peer)) {
            out->missing = true;
            return OK;
        }
        if (archive_get(c, a, id, &out->rows[out->count]) == OK && id_fits(a, f, &out->rows[out->count], peer))
            out->count++;
    }
    qsort(out->rows, (size_t)out->count, sizeof out->rows[0], by_place);     /* answers are chronological */
    without_twins(out);
    out->complete = out->count <= max;
    if (!out->complete && backwards)
        out->rows += out->count - max;
    if (!out->complete)
        out->count = max;
    return OK;
}

/* Rows of (low, high) from one of the two places behind what the page has, up to one more than `max`:
 * that one tells whether the page is the last. */
static enum err read_part(struct db_conn *c, struct arena *a, struct db_sql *sql, const struct archive_filter *f,
                          int64_t low, int64_t high, int max, struct archive_page *out)
{
    struct db_stmt *s;
    enum err        e;

    if (out->count > max || low >= high - 1)
        return OK;
    s = db_prepare(c, sql);
    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, f->owner);
    db_bind_i64(s, 2, low);
    db_bind_i64(s, 3, high);
    db_bind_i64(s, 4, f->peer_full.len ? INT64_MAX : max + 2 - out->count);     /* one tells of more, one may be the border itself */
    db_bind_i64(s, 5, f->peer);
    while ((e = db_step(s)) == OK && out->count <= max) {
        struct str stanza = db_text(s, 1);

        if (f->peer_full.len && !archive_kept_has_address(stanza, f->peer_full))
            continue;
        archive_row_read(s, a, &out->rows[out->count]);
        if (out->rows[out->count].shown != f->after_shown)
            out->count++;
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void reverse(struct archive_page *p)
{
    for (int i = 0, j = p->count - 1; i < j; i++, j--) {
        struct archive_row r = p->rows[i];

        p->rows[i] = p->rows[j];
        p->rows[j] = r;
    }
}

/* ---- borders ---- */

static struct db_sql jid_find = { "SELECT id FROM jid WHERE bare = ?1" };

static struct db_sql ahead_since = { "SELECT ahead_us FROM message WHERE id = ?1" };

/* The place behind which to read for who has seen this message. One that went out ahead may have been overtaken on its way into the
 * log, by messages that its reader had not seen: then everything is read that was stored since it was shown (another worker
 * may have been a little earlier than the one that stored it), but for itself. It need not even be stored yet. */
static int64_t place_behind(struct db_conn *c, int64_t shown)
{
    struct db_stmt *s = NULL;
    int64_t         id = archive_place(c, shown), ahead_us = 0;

    if (!id)
        return clock_us() - ARCHIVE_AHEAD_UNKNOWN_S * 1000000LL;
    if (archive_is_name(shown) && db_get(c, &s, &ahead_since, "i", id) == OK)
        ahead_us = db_i64(s, 0);
    if (s)
        db_done(s);
    return ahead_us ? ahead_us - ARCHIVE_AHEAD_MARGIN_S * 1000000LL : id;
}

static bool is_in_log(struct db_conn *c, int64_t owner, int64_t shown)
{
    int64_t id = archive_place(c, shown), peer;

    return id && log_has(c, owner, id, &peer);
}

static enum err borders_find(struct db_conn *c, struct archive_filter *f, bool *missing)
{
    struct db_stmt *s = NULL;

    *missing = (f->after_id && !archive_is_name(f->after_id) && !is_in_log(c, f->owner, f->after_id)) ||
               (f->before_id && !is_in_log(c, f->owner, f->before_id));
    if (*missing)
        return OK;
    f->before_id = archive_place(c, f->before_id);
    if (archive_is_name(f->after_id)) {
        f->after_shown = f->after_id;
        f->after_id = place_behind(c, f->after_id);
    }
    if (!f->peer_bare.p)
        return OK;
    f->peer = db_get(c, &s, &jid_find, "s", f->peer_bare) == OK ? db_i64(s, 0) : -1;
    if (s)
        db_done(s);
    return OK;
}

enum err archive_read(struct db_conn *c, struct arena *a, const struct archive_filter *asked,
                      int max, bool backwards, struct archive_page *out)
{
    struct archive_filter filter = *asked, *f = &filter;
    int64_t               low, high, settled, middle;
    enum err              e;

    if (max > ARCHIVE_PAGE_MAX)
        max = ARCHIVE_PAGE_MAX;
    *out = (struct archive_page){ .rows = arena_alloc(a, sizeof *out->rows * (size_t)((f->id_count > max ? f->id_count : max) + 2)) };
    e = borders_find(c, f, &out->missing);
    if (e || out->missing)
        return e;
    if (f->id_count)
        return read_ids(c, a, f, max, backwards, out);
    filter_range(f, &low, &high);
    settled = settled_id(c);
    middle = settled > low ? settled : low;     /* the tail is (middle, high) */
    if (f->search) {
        e = search_page(c, a, f, low, high, settled, max, backwards, out);
    } else if (backwards) {
        e = read_part(c, a, &tail_backward, f, middle, high, max, out);
        if (!e)
            e = read_part(c, a, &page_backward, f, low, high, max, out);
    } else {
        e = read_part(c, a, &page_forward, f, low, high, max, out);
        if (!e)
            e = read_part(c, a, &tail_forward, f, middle, high, max, out);
    }
    if (e)
        return e;
    out->complete = out->count <= max;
    if (out->count > max)
        out->count = max;
    /* Who asks for the next page by the id of the last message should not begin at one that was shown ahead. */
    for (int keep = out->count; !out->complete && keep > out->count / 2; keep--)
        if (!out->rows[keep - 1].went_ahead) {
            out->count = keep;
            break;
        }
    if (backwards)
        reverse(out);
    return OK;
}

static enum err one_number(struct db_conn *c, struct db_stmt *s, enum err e, int64_t *out)
{
    (void)c;
    *out = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err tail_number(struct db_conn *c, struct db_sql *sql, int64_t owner, int64_t low, int64_t high, int64_t peer, int64_t *out)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, sql, "iiiii", owner, low, high, (int64_t)0, peer);

    return one_number(c, s, e, out);
}

static enum err count_ids(struct db_conn *c, const struct archive_filter *f, int64_t *out)
{
    struct archive_page page;
    struct arena        a;
    enum err            e;

    arena_init(&a);
    e = archive_read(c, &a, f, ARCHIVE_PAGE_MAX, false, &page);
    *out = e ? 0 : page.count;
    if (!e && page.missing)
        e = ERR_NOT_FOUND;
    arena_done(&a);
    return e;
}

enum err archive_count(struct db_conn *c, const struct archive_filter *asked, int64_t *out)
{
    struct archive_filter filter = *asked, *f = &filter;
    struct db_stmt       *s;
    int64_t               low, high, tail, settled = settled_id(c);
    bool                  missing;
    enum err              e = borders_find(c, f, &missing);

    if (e)
        return e;
    *out = 0;
    if (missing)
        return ERR_NOT_FOUND;
    if (f->id_count)
        return count_ids(c, asked, out);
    if (f->search)
        return search_count(c, asked, out);
    filter_range(f, &low, &high);
    e = db_get(c, &s, &log_count, "iiii", f->owner, low, high, f->peer);
    e = one_number(c, s, e, out);
    if (!e)
        e = tail_number(c, &tail_count, f->owner, settled > low ? settled : low, high, f->peer, &tail);
    if (!e)
        *out += tail;
    return e;
}

static enum err log_end(struct db_conn *c, struct db_sql *sql, int64_t owner, int64_t *out)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, sql, "i", owner);

    return one_number(c, s, e, out);
}

void archive_ends_rehearse(struct db_conn *c, int64_t owner)
{
    int64_t none;

    settled_id(c);
    log_end(c, &log_first, owner, &none);
    log_end(c, &log_last, owner, &none);
}

enum err archive_ends(struct db_conn *c, int64_t owner, int64_t *first_id, int64_t *last_id)
{
    int64_t  settled = settled_id(c), tail;
    enum err e = log_end(c, &log_first, owner, first_id);

    if (!e)
        e = log_end(c, &log_last, owner, last_id);
    if (!e && *first_id == 0)
        e = tail_number(c, &tail_first, owner, settled, INT64_MAX, 0, first_id);
    if (!e)
        e = tail_number(c, &tail_last, owner, settled, INT64_MAX, 0, &tail);
    if (!e && tail)
        *last_id = tail;
    return e;
}

enum err archive_get(struct db_conn *c, struct arena *a, int64_t id, struct archive_row *out)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &message_one, "i", id);

    if (!e)
        archive_row_read(s, a, out);
    if (s)
        db_done(s);
    return e;
}

enum err archive_find(struct db_conn *c, struct arena *a, int64_t owner, int64_t shown, struct archive_row *out)
{
    int64_t id = archive_place(c, shown), peer;

    return id && log_has(c, owner, id, &peer) ? archive_get(c, a, id, out) : ERR_NOT_FOUND;
}

enum err archive_ends_of(struct person *p, int64_t *first_id, int64_t *last_id)
{
    if (!p->talk->shared)
        return archive_ends(db_loop_conn(p->talk->db), p->id, first_id, last_id);
    *last_id = p->last_shown;
    *first_id = p->first_shown ? p->first_shown : *last_id;
    return OK;
}

int64_t archive_shown(struct db_conn *c, int64_t id)
{
    struct db_stmt *s;
    int64_t         shown = id;

    if (id && db_get(c, &s, &message_one, "i", id) == OK) {
        shown = db_i64(s, 2) ? db_i64(s, 2) : id;
        db_done(s);
    }
    return shown;
}

/* ---- walking ---- */

static struct db_sql walk_tail = {
    "SELECT id, stanza, sender FROM message WHERE id > ?2 AND id < ?3 AND ((sender = ?1 AND recipient = ?4 AND (keeps & 1) <> 0)"
    " OR (recipient = ?1 AND sender = ?4 AND (keeps & 2) <> 0)) ORDER BY id DESC LIMIT ?5" };
static struct db_sql walk_log = {
    "SELECT l.id, m.stanza, m.sender FROM log l CROSS JOIN message m ON m.id = l.id"
    " WHERE l.owner = ?1 AND l.id > ?2 AND l.id < ?3 AND l.peer = ?4 ORDER BY l.id DESC LIMIT ?5" };

enum { WALK_STEP = 200 };

/* Of (low, high); *goes_on: `fn` has not said no. */
static enum err walk_part(struct db_conn *c, struct db_sql *sql, int64_t owner, int64_t peer, int64_t low, int64_t high,
                          archive_walk_fn *fn, void *arg, bool *goes_on)
{
    int rows = WALK_STEP;

    while (*goes_on && rows == WALK_STEP && low < high - 1) {
        struct db_stmt *s = db_prepare(c, sql);
        enum err        e = OK;

        if (!s)
            return ERR_BUG;
        db_bind_i64(s, 1, owner);
        db_bind_i64(s, 2, low);
        db_bind_i64(s, 3, high);
        db_bind_i64(s, 4, peer);
        db_bind_i64(s, 5, WALK_STEP);
        for (rows = 0; *goes_on && (e = db_step(s)) == OK; rows++) {
            high = db_i64(s, 0);
            *goes_on = fn(arg, &(struct archive_walked){ high, db_i64(s, 2) == owner, db_text(s, 1) });
        }
        db_done(s);
        if (*goes_on && e != ERR_NOT_FOUND)
            return e;
    }
    return OK;
}

enum err archive_walk_back(struct db_conn *c, int64_t owner, int64_t peer, archive_walk_fn *fn, void *arg)
{
    int64_t  settled = settled_id(c);
    bool     goes_on = true;
    enum err e = walk_part(c, &walk_tail, owner, peer, settled, INT64_MAX, fn, arg, &goes_on);

    return e ? e : walk_part(c, &walk_log, owner, peer, 0, settled == INT64_MAX ? INT64_MAX : settled + 1, fn, arg, &goes_on);
}
