/* banner.c: see banner.h. Those in force are in memory: a log-in costs no look into the database.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/banner.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "crypto/digest.h"
#include "crypto/ed25519.h"
#include "talk/host.h"
#include "talk/owned.h"
#include "talk/pubsub/pubsub.h"
#include "talk/xep/xep0060_pubsub.h"
#include "wire/base64.h"
#include <stdlib.h>

enum { LOOK_AGAIN_S = 60, TIDY_S = 10 };
#define CHANGED "talk.banners"

static const struct db_migration banner_migrations[] = {
    { 1, "banner",
      "CREATE TABLE banner(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, until INTEGER NOT NULL, who TEXT NOT NULL, subject TEXT NOT NULL,"
      " text TEXT NOT NULL, signature TEXT NOT NULL);"
      "CREATE TABLE banner_seen(owner INTEGER PRIMARY KEY, id INTEGER NOT NULL);" },
    { 0 },
};

static struct db_sql key_insert = { "INSERT INTO secret(name, value) VALUES ('announcement', ?1) ON CONFLICT DO NOTHING" };
static struct db_sql key_select = { "SELECT value FROM secret WHERE name = 'announcement'" };
static struct db_sql banner_insert = {
    "INSERT INTO banner(id, at, until, who, subject, text, signature) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7"
    " WHERE (SELECT count(*) FROM banner) < ?8 ON CONFLICT DO NOTHING" };
static struct db_sql banner_one = { "SELECT 1 FROM banner WHERE id = ?1" };
static struct db_sql banner_expired = { "DELETE FROM banner WHERE until <> 0 AND until < ?1" };
static struct db_sql banner_delete = { "DELETE FROM banner" };
static struct db_sql banner_all = { "SELECT id, at, until, subject, text, signature FROM banner ORDER BY id" };
static struct db_sql seen_write = {
    "INSERT INTO banner_seen(owner, id) VALUES (?1, ?2) ON CONFLICT(owner) DO UPDATE SET id = excluded.id" };
static struct db_sql seen_select = { "SELECT id FROM banner_seen WHERE owner = ?1" };
static struct db_sql seen_delete = { "DELETE FROM banner_seen WHERE owner = ?1" };

struct banner {
    int64_t    id, at_us, until_us;
    struct str subject, text, signature;
};

struct banners {
    struct arena  arena;
    int           count;
    struct banner all[BANNERS_MAX];
    struct str    key;              /* public, base64; empty: none was needed yet */
    int           again_in_s, tidy_in_s;
    bool          reading, again;   /* again: what is being read may be old */
};

void banner_signed_text(struct buf *out, struct str domain, int64_t id, int64_t at_us, int64_t until_us, struct str subject, struct str text)
{
    buf_printf(out, "bongsu-announcement-0\n%.*s\n%lld\n%lld\n%lld\n%zu\n", STR_ARG(domain), (long long)id, (long long)at_us,
               (long long)until_us, subject.len);
    buf_put_str(out, subject);
    buf_put_c(out, '\n');
    buf_put_str(out, text);
}

/* ---- showing ---- */

static void put_time(struct buf *b, const char *name, int64_t us)
{
    char when[CLOCK_TEXT_BYTES];

    if (us)
        xml_put_attr(b, name, clock_format(us, when));
}

static void put_announcement(struct buf *b, const struct banners *g, const struct banner *n)
{
    BUF_LIT(b, "<announcement xmlns='" NS_ANNOUNCEMENT "'");
    buf_printf(b, " id='%lld'", (long long)n->id);
    put_time(b, "at", n->at_us);
    put_time(b, "until", n->until_us);
    xml_put_attr(b, "key", g->key);
    xml_put_attr(b, "signature", n->signature);
    BUF_LIT(b, "><subject>");
    xml_put_escaped(b, n->subject);
    BUF_LIT(b, "</subject><text>");
    xml_put_escaped(b, n->text);
    BUF_LIT(b, "</text></announcement>");
}

static void open_notification(struct buf *b, struct session *s)
{
    char id[17];

    random_token(id, 16);
    stanza_open(b, "message", host_domain(s->talk, &pubsub_host), s->jid.full, str_of(id), "headline", STR_NULL);
}

#define EVENT_OPEN  "<event xmlns='" NS_PUBSUB_EVENT "'><items node='" NODE_ANNOUNCED "'>"
#define EVENT_CLOSE "</items></event></message>"

static void show(struct session *s, const struct banners *g, const struct banner *n)
{
    struct buf b;

    buf_init(&b, 0);
    open_notification(&b, s);
    BUF_LIT(&b, "<subject>");
    xml_put_escaped(&b, n->subject);
    BUF_LIT(&b, "</subject><body>");
    xml_put_escaped(&b, n->text);
    buf_printf(&b, "</body>" EVENT_OPEN "<item id='%lld'", (long long)n->id);
    xml_put_attr(&b, "publisher", s->talk->domain);
    buf_put_c(&b, '>');
    put_announcement(&b, g, n);
    BUF_LIT(&b, "</item>" EVENT_CLOSE);
    session_send(s, buf_str(&b));
    buf_done(&b);
}

static bool in_force(const struct banner *n)
{
    return n->until_us == 0 || n->until_us > clock_us();
}

static int64_t newest(const struct banners *g)
{
    return g->count ? g->all[g->count - 1].id : 0;
}

struct seen_op {
    struct change change;
    int64_t       owner, id;
};

static enum err seen_apply(struct db_conn *c, struct change *ch)
{
    struct seen_op *o = (struct seen_op *)ch;

    return db_run(c, &seen_write, "ii", o->owner, o->id);
}

static void seen_done(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;    /* then it is shown once more */
    free(ch);
}

static void note_seen(struct person *p, int64_t id)
{
    struct seen_op *o;

    if (p->banner_seen >= id || p->deleted)
        return;
    p->banner_seen = id;
    o = NEW(struct seen_op);
    o->change.apply = seen_apply;
    o->change.done = seen_done;
    o->owner = person_number(p);
    o->id = id;
    if (session_change(NULL, p->talk, &o->change) != OK)
        free(o);
}

/* What the account has not seen. */
static void show_new(struct session *s, int64_t seen)
{
    const struct banners *g = s->talk->banners;

    for (int i = 0; i < g->count; i++)
        if (g->all[i].id > seen && in_force(&g->all[i]))
            show(s, g, &g->all[i]);
}

static void banner_available(struct session *s)
{
    const struct banners *g = s->talk->banners;

    if (!s->person || !g || g->count == 0 || s->person->banner_seen >= newest(g))
        return;
    show_new(s, s->person->banner_seen);
    note_seen(s->person, newest(g));
}

typedef void session_fn(struct session *s, void *arg);

/* Ids first: sending to one session may end another. */
static void each_available(struct talk *t, session_fn *fn, void *arg)
{
    uint64_t *ids = mem_new(sizeof *ids * (size_t)(t->session_count + 1));
    int       n = 0;

    LIST_EACH(it, &t->sessions_all)
        ids[n++] = LIST_ITEM(it, struct session, in_talk)->id;
    for (int i = 0; i < n; i++) {
        struct session *s = session_find(t, ids[i]);

        if (s && s->person && session_available(s))
            fn(s, arg);
    }
    free(ids);
}

static void show_unseen(struct session *s, void *arg)
{
    if (s->person->banner_seen < newest(s->talk->banners))
        show_new(s, s->person->banner_seen);
}

static void note_newest(struct session *s, void *arg)
{
    note_seen(s->person, newest(s->talk->banners));
}

/* All devices first: the account has seen it when one of them has. */
static void show_to_all(struct talk *t)
{
    each_available(t, show_unseen, NULL);
    each_available(t, note_newest, NULL);
}

/* ---- those that were taken down ---- */

static bool is_among(const struct banners *g, int64_t id)
{
    for (int i = 0; i < g->count; i++)
        if (g->all[i].id == id)
            return true;
    return false;
}

static void tell_retracted(struct session *s, void *arg)
{
    struct buf b;

    buf_init(&b, 0);
    open_notification(&b, s);
    BUF_LIT(&b, EVENT_OPEN);
    buf_put_str(&b, buf_str(arg));
    BUF_LIT(&b, EVENT_CLOSE);
    session_send(s, buf_str(&b));
    buf_done(&b);
}

/* XEP-0060 §7.2.2.1. */
static void tell_gone(struct talk *t, const struct banners *old, const struct banners *fresh)
{
    struct buf gone;

    buf_init(&gone, 0);
    for (int i = 0; i < old->count; i++)
        if (!is_among(fresh, old->all[i].id))
            buf_printf(&gone, "<retract id='%lld'/>", (long long)old->all[i].id);
    if (gone.len)
        each_available(t, tell_retracted, &gone);
    buf_done(&gone);
}

/* ---- those in force, read again after each change ---- */

struct look {
    struct db_read  read;
    struct talk    *talk;
    struct banners *fresh;
};

static void look(struct talk *t);

static enum err rows_read(struct db_conn *c, struct banners *g)
{
    struct db_stmt *s = db_prepare(c, &banner_all);
    enum err        e;

    if (!s)
        return ERR_BUG;
    while ((e = db_step(s)) == OK && g->count < BANNERS_MAX) {
        struct banner *n = &g->all[g->count++];

        *n = (struct banner){ .id = db_i64(s, 0), .at_us = db_i64(s, 1), .until_us = db_i64(s, 2) };
        n->subject = arena_str(&g->arena, db_text(s, 3));
        n->text = arena_str(&g->arena, db_text(s, 4));
        n->signature = arena_str(&g->arena, db_text(s, 5));
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err key_read(struct db_conn *c, struct banners *g)
{
    uint8_t         key[ED25519_PUBLIC_BYTES];
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &key_select, "");

    if (!e && db_blob(s, 0).len == ED25519_SEED_BYTES) {
        ed25519_public((const uint8_t *)db_blob(s, 0).p, key);
        g->key = base64_encode(&g->arena, str_make((const char *)key, sizeof key));
    }
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err look_work(struct db_conn *c, struct db_read *self)
{
    struct look *l = (struct look *)self;
    enum err     e = key_read(c, l->fresh);

    return e ? e : rows_read(c, l->fresh);
}

static void banners_free(struct banners **gp)
{
    if (!*gp)
        return;
    arena_done(&(*gp)->arena);
    free(*gp);
    *gp = NULL;
}

static void looked(struct db_read *self, enum err e)
{
    struct look *l = (struct look *)self;
    struct talk *t = l->talk;
    bool         again = t->banners->again;

    t->banners->reading = t->banners->again = false;
    if (e) {
        t->banners->again_in_s = 1;
        banners_free(&l->fresh);
    } else {
        struct banners *old = t->banners;

        l->fresh->again_in_s = t->shared ? LOOK_AGAIN_S : 0;
        t->banners = l->fresh;
        tell_gone(t, old, l->fresh);
        show_to_all(t);
        banners_free(&old);
    }
    free(l);
    if (again)
        look(t);
}

static struct banners *banners_new(void)
{
    struct banners *g = NEW(struct banners);

    arena_init(&g->arena);
    return g;
}

static void look(struct talk *t)
{
    struct look *l;

    if (t->banners->reading) {
        t->banners->again = true;
        return;
    }
    l = NEW(struct look);
    l->read = (struct db_read){ .work = look_work, .done = looked };
    l->talk = t;
    l->fresh = banners_new();
    t->banners->reading = true;
    if (db_read_start(t->db, &l->read) != OK)
        looked(&l->read, ERR_LIMIT);
}

static void changed_elsewhere(void *arg, struct str subject, struct str payload)
{
    struct talk        *t = arg;
    struct codec_reader r = codec_open(payload, 1);
    int64_t             position = codec_i64(&r);

    (void)subject;
    if (codec_ok(&r))
        db_position_need(t->db, position);
    look(t);
}

static void changed(struct talk *t)
{
    struct buf b;

    buf_init(&b, 0);
    codec_begin(&b, 1);
    codec_put_i64(&b, db_position(t->db));
    if (t->wide)
        bus_publish(t->wide, CHANGED, buf_str(&b));
    buf_done(&b);
    look(t);
}

/* ---- putting up, taking down ---- */

struct banner_op {
    struct change change;
    struct arena  arena;
    enum { PUT, CLEAR, TIDY } what;     /* TIDY: what has expired goes */
    bool          full;
    int64_t       at_us, until_us;
    struct str    domain, who, subject, text;
    banner_fn    *fn;
    void         *arg;
};

static enum err sign(struct db_conn *c, struct banner_op *o, struct str *out)
{
    uint8_t         seed[ED25519_SEED_BYTES], signature[ED25519_SIGNATURE_BYTES];
    struct db_stmt *s;
    struct buf      b;
    enum err        e;

    random_bytes(seed, sizeof seed);
    e = db_run(c, &key_insert, "b", str_make((const char *)seed, sizeof seed));
    if (e)
        return e;
    e = db_get(c, &s, &key_select, "");
    if (!e && db_blob(s, 0).len != sizeof seed)
        e = ERR_IO;
    if (!e)
        memcpy(seed, db_blob(s, 0).p, sizeof seed);
    if (s)
        db_done(s);
    if (e)
        return e;
    buf_init(&b, 0);
    banner_signed_text(&b, o->domain, o->at_us, o->at_us, o->until_us, o->subject, o->text);
    ed25519_sign(seed, buf_str(&b), signature);
    mem_wipe(seed, sizeof seed);
    buf_done(&b);
    *out = base64_encode(&o->arena, str_make((const char *)signature, sizeof signature));
    return OK;
}

static bool is_there(struct db_conn *c, int64_t id)
{
    struct db_stmt *s;
    enum err        e = db_get(c, &s, &banner_one, "i", id);

    if (s)
        db_done(s);
    return e == OK;
}

static struct str xml_of(struct banners *g, const struct banner *n)
{
    struct buf b;
    struct str text;

    buf_init(&b, 0);
    put_announcement(&b, g, n);
    text = arena_str(&g->arena, buf_str(&b));
    buf_done(&b);
    return text;
}

/* The node shows what the table has, from the same moment on. */
static enum err write_node(struct db_conn *c, struct str domain)
{
    struct banners *g = banners_new();
    struct item     items[BANNERS_MAX];
    enum err        e = key_read(c, g);

    if (!e)
        e = rows_read(c, g);
    for (int i = 0; i < g->count && !e; i++)
        items[i] = (struct item){ .us = g->all[i].at_us, .id = arena_printf(&g->arena, "%lld", (long long)g->all[i].id),
                                  .xml = xml_of(g, &g->all[i]) };
    if (!e)
        e = announced_write(c, domain, items, g->count);
    banners_free(&g);
    return e;
}

static enum err put_one(struct db_conn *c, struct banner_op *o)
{
    struct str signature;
    enum err   e = sign(c, o, &signature);

    if (!e)
        e = db_run(c, &banner_insert, "iiissssi", o->at_us, o->at_us, o->until_us, o->who, o->subject, o->text, signature, (int64_t)BANNERS_MAX);
    o->full = !e && !is_there(c, o->at_us);
    return e;
}

static enum err banner_apply(struct db_conn *c, struct change *ch)
{
    struct banner_op *o = (struct banner_op *)ch;
    enum err          e = o->what == CLEAR ? db_run(c, &banner_delete, "") : db_run(c, &banner_expired, "i", o->at_us);

    if (!e && o->what == PUT)
        e = put_one(c, o);
    return e ? e : write_node(c, o->domain);
}

static void banner_decided(struct talk *t, struct change *ch, enum err e)
{
    struct banner_op *o = (struct banner_op *)ch;

    if (!e)
        changed(t);
    if (o->fn)
        o->fn(t, !e && o->full ? ERR_LIMIT : e, o->arg);
    arena_done(&o->arena);
    free(o);
}

static struct banner_op *op_new(struct talk *t, int what, banner_fn *fn, void *arg)
{
    struct banner_op *o = NEW(struct banner_op);

    arena_init(&o->arena);
    o->change.apply = banner_apply;
    o->change.done = banner_decided;
    o->what = what;
    o->at_us = clock_us();
    o->domain = arena_str(&o->arena, t->domain);
    o->fn = fn;
    o->arg = arg;
    return o;
}

static void op_start(struct talk *t, struct banner_op *o)
{
    enum err e = session_change(NULL, t, &o->change);

    if (!e)
        return;
    if (o->fn)
        o->fn(t, e, o->arg);
    arena_done(&o->arena);
    free(o);
}

void banner_put(struct talk *t, struct str who, struct str subject, struct str text, int64_t until_us, banner_fn *fn, void *arg)
{
    struct banner_op *o = op_new(t, PUT, fn, arg);

    o->until_us = until_us;
    o->who = arena_str(&o->arena, who);
    o->subject = arena_str(&o->arena, subject);
    o->text = arena_str(&o->arena, text);
    op_start(t, o);
}

void banner_clear(struct talk *t, banner_fn *fn, void *arg)
{
    op_start(t, op_new(t, CLEAR, fn, arg));
}

/* ---- the feature ---- */

static enum err announcements_get(struct session *s, const struct stanza *iq)
{
    const struct banners *g = s->talk->banners;
    struct buf           *b = talk_scratch(s->talk);

    BUF_LIT(b, "<announcements xmlns='" NS_ANNOUNCEMENT "'>");
    for (int i = 0; i < g->count; i++)
        if (in_force(&g->all[i]))
            put_announcement(b, g, &g->all[i]);
    BUF_LIT(b, "</announcements>");
    return iq_result_str(s, iq, buf_str(b));
}

static void banner_loaded(struct person *p, struct db_conn *c)
{
    struct db_stmt *s;

    if (db_get(c, &s, &seen_select, "i", p->id) == OK && db_i64(s, 0) > p->banner_seen)
        p->banner_seen = db_i64(s, 0);
    if (s)
        db_done(s);
}

static void banner_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &seen_delete, "i", p->id);
}

static void banner_init(struct talk *t)
{
    t->banners = banners_new();
    if (t->wide)
        bus_subscribe(t->wide, CHANGED, changed_elsewhere, t);
    if (!t->shared && (key_read(db_loop_conn(t->db), t->banners) != OK || rows_read(db_loop_conn(t->db), t->banners) != OK))
        LOG_ERROR("announcements.unread", LF_ERR(commit_health(t->db)));
    if (t->shared)
        look(t);
}

static bool some_expired(const struct banners *g)
{
    for (int i = 0; i < g->count; i++)
        if (!in_force(&g->all[i]))
            return true;
    return false;
}

/* Others write too, and their events may be lost. What expires is taken down; and once after the start the node is written anew, for
 * announcements of before there was one. */
static void banner_tick(struct talk *t)
{
    struct banners *g = t->banners;

    if (g->again_in_s > 0 && --g->again_in_s == 0)
        look(t);
    if (g->count == 0 || g->tidy_in_s-- > 0)
        return;
    g->tidy_in_s = TIDY_S;
    if (!t->banners_tidied || some_expired(g))
        op_start(t, op_new(t, TIDY, NULL, NULL));
    t->banners_tidied = true;
}

void banners_done(struct talk *t)
{
    banners_free(&t->banners);
}

static const struct iq_handler banner_iqs[] = {
    { "announcements", NS_ANNOUNCEMENT, IQ_TO_SERVER, announcements_get, NULL },
    { 0 },
};
static const char *const banner_disco[] = { NS_ANNOUNCEMENT, NULL };
static const struct owned banner_owned[] = { { "banner_seen" }, { 0 } };

const struct feature announcements = {
    .spec = "XEP-0133 1.2",
    .title = "Announcements",
    .disco_server = banner_disco,
    .iqs = banner_iqs,
    .migrations = banner_migrations,
    .owned = banner_owned,
    .person_loaded = banner_loaded,
    .person_deleted = banner_deleted,
    .available = banner_available,
    .tick = banner_tick,
    .init = banner_init,
};
