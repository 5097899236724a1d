/* import.c: see import.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/import.h"
#include "base/clock.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "talk/archive.h"
#include "talk/feature.h"
#include "talk/jids.h"
#include <stdio.h>
#include <stdlib.h>

const struct db_migration import_migrations[] = {
    { 1, "import", "CREATE TABLE imported(owner INTEGER NOT NULL, hash INTEGER NOT NULL, PRIMARY KEY(owner, hash)) WITHOUT ROWID;" },
    { 0 },
};

enum err import_forget_some(struct db_conn *c, int64_t owner, int64_t max, bool *more)
{
    static struct db_sql some = {
        "DELETE FROM imported WHERE owner = ?1 AND hash IN (SELECT hash FROM imported WHERE owner = ?1 ORDER BY hash LIMIT ?2)" };
    static struct db_sql left = { "SELECT 1 FROM imported WHERE owner = ?1 LIMIT 1" };
    struct db_stmt *s;
    enum err        e = db_run(c, &some, "ii", owner, max);

    if (e)
        return e;
    e = db_get(c, &s, &left, "i", owner);
    *more = e == OK;
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- the report ---- */

static struct import_line *line_of(struct import *x, struct str name)
{
    struct import_line *l;

    for (int i = 0; i < x->name_count; i++)
        if (str_is(name, x->lines[i].name))
            return &x->lines[i];
    if (x->name_count == IMPORT_NAMES_MAX)
        return line_of(x, str_of(x->lines[IMPORT_NAMES_MAX - 1].name));
    l = &x->lines[x->name_count++];
    *l = (struct import_line){ 0 };
    if (!str_copy(name, l->name, sizeof l->name))
        str_copy(STR("something with a long name"), l->name, sizeof l->name);
    return l;
}

static void refused(struct import *x, struct str name, struct str why)
{
    struct import_line *l = line_of(x, name);

    l->refused++;
    if (!l->why[0] && !str_copy(why, l->why, sizeof l->why))
        str_copy(STR("see the file"), l->why, sizeof l->why);
}

/* ---- numbers ---- */

static enum err number_read(struct db_conn *c, struct db_sql *sql, struct str bare, int64_t *out)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, sql, "s", bare);

    *out = e ? 0 : db_i64(s, 0);
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err number_next(struct import *x, struct str bare, int64_t *out)
{
    static struct db_sql highest = { "SELECT coalesce(max(id), 0) + 1 FROM jid WHERE bare <> ?1" };

    if (!x->talk->shared)
        return number_read(x->conn, &highest, bare, out);
    *out = jids_hash(x->talk, bare);
    return OK;
}

enum err import_number(struct import *x, struct str bare, int64_t *out)
{
    static struct db_sql find = { "SELECT id FROM jid WHERE bare = ?1" };
    enum err             e = number_read(x->conn, &find, bare, out);

    if (e || *out)
        return e;
    e = number_next(x, bare, out);
    return e ? e : jids_write(x->conn, *out, bare);
}

/* ---- messages ---- */

static struct db_sql imported_insert = { "INSERT INTO imported(owner, hash) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };
static struct db_sql message_insert = {
    "INSERT INTO message(id, sender, recipient, keeps, origin, stanza) VALUES (?1, ?2, ?3, ?4, 0, ?5) ON CONFLICT DO NOTHING" };
static struct db_sql log_insert = { "INSERT INTO log(owner, id, peer) VALUES (?1, ?2, ?3)" };
static struct db_sql offline_insert = { "INSERT INTO offline(owner, id) VALUES (?1, ?2)" };

static enum err refuse(struct import *x, const char *why)
{
    x->why = str_of(why);
    return ERR_INVALID;
}

/* Without what the other server has put around it: its ids and the time are kept otherwise here. */
static bool is_theirs(const struct xml_node *n)
{
    return xml_is(n, "delay", "urn:xmpp:delay") || xml_is(n, "x", "jabber:x:delay") || xml_is(n, "stanza-id", "urn:xmpp:sid:0") ||
           xml_is(n, "archived", "urn:xmpp:mam:tmp");
}

static struct str kept_text(struct import *x, const struct stanza *st)
{
    struct buf b;
    struct str text;

    buf_init(&b, 0);
    stanza_open(&b, "message", st->from.full, st->to.full, st->id, stanza_type_text(st->type), st->lang);
    for (const struct xml_node *n = xml_first(st->node); n; n = xml_next(n))
        if (!is_theirs(n))
            xml_put_node(&b, n, STR(NS_CLIENT));
    BUF_LIT(&b, "</message>");
    text = arena_str(&x->arena, buf_str(&b));
    buf_done(&b);
    return text;
}

/* Addresses that are missing are the owner's. */
static enum err read_message(struct import *x, const struct xml_node *n, struct stanza *st)
{
    struct str  from_text = xml_attr(n, "from");
    struct jid  from = x->jid;
    const char *condition = NULL;
    struct xml_node *copy = arena_alloc(&x->arena, sizeof *copy);

    *copy = *n;
    copy->ns = STR(NS_CLIENT);      /* some servers leave it out */
    if (from_text.len && jid_parse(&x->arena, from_text, &from) != OK)
        return refuse(x, "its sender is no address");
    if (!str_is(n->name, "message") || stanza_read(&x->arena, copy, &from, st, &condition) != OK)
        return refuse(x, condition ? condition : "it is no message");
    if (!st->has_to)
        st->to = x->jid;
    return OK;
}

static enum err place_take(struct import *x, int64_t at_us, const struct archive_put *p, int64_t *id)
{
    for (*id = at_us;; ++*id) {     /* another one of the same moment: a little later */
        enum err e = db_run(x->conn, &message_insert, "iiiis", *id, p->sender, p->recipient, (int64_t)p->keeps, p->stanza);

        if (e || db_changes(x->conn))
            return e;
    }
}

enum err import_once(struct import *x, struct str key)
{
    int64_t  hash = (int64_t)hash_bytes_keyed(x->talk->origin_key, key.p, key.len);
    enum err e = db_run(x->conn, &imported_insert, "ii", x->owner, hash);

    return e ? e : db_changes(x->conn) ? OK : ERR_EXISTS;
}

enum err import_message(struct import *x, const struct xml_node *message, struct str stamp, struct str key, bool offline)
{
    struct archive_put p = { 0 };
    struct stanza      st;
    int64_t            at_us, id, now = clock_us(), peer;
    bool               sent;
    enum err           e = read_message(x, message, &st);

    if (e)
        return e;
    if (!clock_parse(str_trim(stamp), &at_us) || at_us < 1)
        return refuse(x, "it has no time");
    p.stanza = kept_text(x, &st);
    e = import_once(x, arena_printf(&x->arena, "%d %.*s %.*s %.*s", offline, STR_ARG(key), STR_ARG(stamp), STR_ARG(p.stanza)));
    if (e)
        return e;
    sent = str_eq(st.from.bare, x->jid.bare);
    e = import_number(x, sent ? st.to.bare : st.from.bare, &peer);
    p.sender = sent ? x->owner : peer;
    p.recipient = sent ? peer : x->owner;
    p.keeps = offline ? 0 : sent ? ARCHIVE_SENDER_KEEPS : ARCHIVE_RECIPIENT_KEEPS;
    if (!e)
        e = place_take(x, at_us < now ? at_us : now, &p, &id);
    if (!e)
        e = offline ? db_run(x->conn, &offline_insert, "ii", x->owner, id) : db_run(x->conn, &log_insert, "iii", x->owner, id, peer);
    return e;
}

/* ---- users ---- */

static enum err user_begin(struct import *x, const struct pie_event *ev)
{
    static struct db_sql insert = { "INSERT INTO person(id, user) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };
    static struct db_sql leaving = { "SELECT 1 FROM forgetting WHERE name = ?1" };
    struct str           host, local;
    int64_t              left = 0;
    enum err             e;

    arena_reset(&x->user_arena);
    x->skipped = jid_prep_domain(&x->user_arena, ev->host, &host) != OK || !str_eq(host, x->talk->domain) ||
                 jid_prep_local(&x->user_arena, ev->user, &local) != OK || local.len == 0 ||
                 jid_make(&x->user_arena, local, host, STR_NULL, &x->jid) != OK;
    if (!x->skipped && number_read(x->conn, &leaving, x->jid.local, &left) == OK && left)
        x->skipped = true;
    if (x->skipped) {
        refused(x, STR("users"), STR("of another host, or with a name that is not allowed"));
        return OK;
    }
    e = import_number(x, x->jid.bare, &x->owner);
    if (!e)
        e = db_run(x->conn, &insert, "is", x->owner, x->jid.local);
    if (!e)
        line_of(x, STR("users"))->taken++;
    return e;
}

/* ---- elements ---- */

static bool is_node(const struct xml_node *n, const char *name, const char *ns)
{
    return n && (!name || str_is(n->name, name)) && (!ns || str_is(n->ns, ns));
}

static bool is_for(const struct import_handler *h, const struct pie_event *ev)
{
    return is_node(ev->node, h->name, h->ns) && (h->inside ? is_node(ev->inside, h->inside, h->inside_ns) : !ev->inside);
}

static const struct import_handler *handler_of(const struct pie_event *ev)
{
    for (size_t i = 0; i < feature_count; i++)
        for (const struct import_handler *h = features[i]->imports; h && h->what; h++)
            if (is_for(h, ev))
                return h;
    return NULL;
}

static struct str name_of(struct import *x, const struct pie_event *ev)
{
    const struct xml_node *n = ev->inside ? ev->inside : ev->node;

    return arena_printf(&x->arena, "<%.*s xmlns='%.*s'/>", STR_ARG(n->name), STR_ARG(n->ns));
}

/* An account's own, which ident takes. */
static bool is_idents(const struct pie_event *ev)
{
    return !ev->inside && xml_is(ev->node, "scram-credentials", NS_PIE_SCRAM);
}

static enum err element(struct import *x, const struct pie_event *ev)
{
    const struct import_handler *h = handler_of(ev);
    struct import_line          *l;
    enum err                     e;

    if (x->skipped || is_idents(ev))
        return OK;
    if (!h) {
        refused(x, name_of(x, ev), STR("this server does not keep such a thing"));
        return OK;
    }
    x->event = ev;
    x->why = STR_NULL;
    e = h->take(x);
    l = line_of(x, str_of(h->what));
    l->taken += e == OK;
    l->there += e == ERR_EXISTS;
    if (e == ERR_INVALID)
        refused(x, str_of(h->what), x->why.p ? x->why : STR("it is not as it should be"));
    return e == ERR_EXISTS || e == ERR_INVALID ? OK : e;
}

static enum err batch(struct import *x)
{
    enum err e;

    if (++x->in_batch < IMPORT_BATCH)
        return OK;
    x->in_batch = 0;
    e = db_atomic_end(x->conn, OK);
    return e ? e : db_atomic_begin(x->conn);
}

static enum err take(void *arg, const struct pie_event *ev)
{
    struct import *x = arg;
    enum err       e = OK;

    arena_reset(&x->arena);
    if (ev->kind == PIE_USER)
        e = user_begin(x, ev);
    else if (ev->kind == PIE_ELEMENT)
        e = element(x, ev);
    else if (ev->kind == PIE_SPOILT)
        refused(x, name_of(x, ev), str_of(ev->why));
    return e ? e : batch(x);
}

/* ---- all ---- */

static enum err key_read(struct import *x)
{
    static struct db_sql insert = { "INSERT INTO secret(name, value) VALUES ('origin', ?1) ON CONFLICT DO NOTHING" };
    static struct db_sql select = { "SELECT value FROM secret WHERE name = 'origin'" };
    struct db_stmt      *s;
    uint8_t              fresh[16];
    enum err             e;

    random_bytes(fresh, sizeof fresh);
    e = db_run(x->conn, &insert, "b", str_make((char *)fresh, sizeof fresh));
    if (e)
        return e;
    e = db_get(x->conn, &s, &select, "");
    if (!e && db_blob(s, 0).len != sizeof x->talk->origin_key)
        e = ERR_IO;
    if (!e)
        memcpy(x->talk->origin_key, db_blob(s, 0).p, sizeof x->talk->origin_key);
    if (s)
        db_done(s);
    return e;
}

/* Whatever is older than now counts as settled from here on, so that old messages find their place in the log. */
static enum err prepare(struct import *x)
{
    enum err e = key_read(x);

    if (!e)
        e = x->talk->shared ? archive_share(x->conn) : archive_settle(x->conn, clock_us());
    return e;
}

enum err import_run(struct import *x, struct db_conn *conn, const char *path, struct str domain, bool shared, struct arena *a, struct str *why)
{
    enum err e;

    *x = (struct import){ .conn = conn, .talk = NEW(struct talk), .skipped = true };
    x->talk->domain = domain;
    x->talk->shared = shared;
    arena_init(&x->arena);
    arena_init(&x->user_arena);
    e = db_atomic_begin(conn);
    if (e)
        return e;
    e = prepare(x);
    if (!e)
        e = pie_read_all(path, take, x, a, why);
    if (e && !why->p)
        *why = arena_printf(a, "the database did not take it: %s (%s)", err_info(e)->sentence, db_conn_error(conn));
    /* of a file that is no XML from some place on, what came before it stays */
    if (e == ERR_INVALID || e == ERR_UNSUPPORTED || e == ERR_LIMIT)
        return db_atomic_end(conn, OK) ? ERR_IO : e;
    return db_atomic_end(conn, e);
}

void import_done(struct import *x)
{
    free(x->talk);
    arena_done(&x->arena);
    arena_done(&x->user_arena);
}
