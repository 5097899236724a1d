/* queue.c: what waits to leave, in the database: courier.send, what is read again, what goes.
 *
 * A row that is done stays for an hour as a name only, so that who did not hear our answer can ask again and
 * is not sent twice.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/metric.h"
#include "courier/lease.h"
#include "courier/link.h"
#include "crypto/digest.h"

METRIC_COUNTER(kept, "bongsu_courier_queued", "Stanzas for other servers made durable.");
METRIC_COUNTER(repeated, "bongsu_courier_queued_again", "Stanzas handed over again, and known by their name.");

enum { PURGE_S = 60, NAMES_KEPT_US_HOURS = 1 };

static struct db_sql queue_insert = { "INSERT INTO queue(id, name, local, remote, added_us, stanza) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                                      " ON CONFLICT(name) DO NOTHING RETURNING id" };
static struct db_sql queue_done = { "UPDATE queue SET remote = '', local = '', stanza = '' WHERE id = ?1" };
static struct db_sql queue_purge = { "DELETE FROM queue WHERE remote = '' AND local = '' AND added_us < ?1" };
static struct db_sql queue_page = { "SELECT id, added_us, stanza FROM queue WHERE remote = ?1 AND local = ?2 ORDER BY id LIMIT ?3" };
static struct db_sql queue_pairs = { "SELECT remote, local, count(*) FROM queue WHERE remote <> '' GROUP BY remote, local LIMIT ?1" };
static struct db_sql queue_last = { "SELECT coalesce(max(id), 0) FROM queue" };
static struct db_sql secret_select = { "SELECT value FROM secret WHERE name = 'dialback'" };
static struct db_sql secret_insert = { "INSERT INTO secret(name, value) VALUES ('dialback', ?1) ON CONFLICT DO NOTHING" };

static int64_t next_id(struct courier *c)
{
    int64_t now = clock_us();

    c->last_id = now > c->last_id ? now : c->last_id + 1;
    return c->last_id;
}

/* ---- courier.send ---- */

struct put {
    struct commit_op    op;
    struct courier     *courier;
    struct bus_request *rq;
    struct link        *link; /* kept by its `committing` */
    struct item        *item;
    char               *name; /* NULL: not durable, it waits for its place in the order only */
    int64_t             id, rows;
};

static enum err put_apply(struct db_conn *conn, struct commit_op *op)
{
    struct put *p = (struct put *)op;

    return db_run_later(conn, &queue_insert, &p->id, 1, &p->rows, "isssis", p->item->id, str_of(p->name), p->link->local, p->link->remote,
                        p->item->added_us, str_make(p->item->text, p->item->len));
}

static void put_done(struct commit_op *op, enum err e)
{
    struct put  *p = (struct put *)op;
    struct link *l = p->link;

    l->committing--;
    if (!e && p->name && p->rows) {
        metric_add(&kept, 1);
        link_add(l, p->item);
        link_go(l);
    } else if (!e && !p->name) {
        if (!link_add(l, p->item))
            e = ERR_LIMIT;
        link_go(l);
    } else {
        if (!e)
            metric_add(&repeated, 1);
        free(p->item);
    }
    bus_answer(p->rq, e, STR_NULL);
    free(p->name);
    free(p);
}

static enum err put_start(struct courier *c, struct bus_request *rq, struct link *l, const struct courier_stanza *s)
{
    bool        keep = s->flags & COURIER_KEEP;
    struct put *p = NEW(struct put);
    enum err    e;

    *p = (struct put){ .op = { .apply = keep ? put_apply : NULL, .done = put_done },
                       .courier = c,
                       .rq = rq,
                       .link = l,
                       .item = item_new(s->text, keep ? next_id(c) : 0, clock_us()),
                       .name = keep ? str_dup(s->name) : NULL };
    l->committing++;
    e = commit_add(c->db, &p->op);
    if (!e)
        return OK;
    l->committing--;
    free(p->item);
    free(p->name);
    free(p);
    return e;
}

static enum err send_live(struct courier *c, struct bus_request *rq, struct link *l, const struct courier_stanza *s)
{
    if (l->committing) /* behind what is on its way into the database */
        return put_start(c, rq, l, s);
    if (lease_of(c, l->remote) == LEASE_OTHERS) {
        if (!lease_pass_on(c, l->local, l->remote, s->text))
            return ERR_UNAVAILABLE;
    } else if (!link_add(l, item_new(s->text, 0, clock_us()))) {
        return ERR_LIMIT;
    }
    link_go(l);
    bus_answer(rq, OK, STR_NULL);
    return OK;
}

void queue_send(struct courier *c, struct bus_request *rq, struct codec_reader *r)
{
    struct courier_stanza s;
    struct link          *l;
    enum err              e = courier_send_read(r, &s);

    if (!str_starts(bus_asker(rq), STR("talk")))
        e = ERR_DENIED;
    if (!e && (!courier_is_ours(c, s.local) || courier_is_ours(c, s.remote)))
        e = ERR_INVALID;
    if (!e && (!c->on || !courier_may_speak(c, s.remote)))
        e = ERR_DENIED;
    l = e ? NULL : link_get(c, s.local, s.remote);
    if (!e && (!l || ((s.flags & COURIER_KEEP) && l->rows >= c->limits.queue_max)))
        e = ERR_LIMIT;
    if (!e && c->stopping)
        e = ERR_UNAVAILABLE;
    if (!e)
        e = s.flags & COURIER_KEEP ? put_start(c, rq, l, &s) : send_live(c, rq, l, &s);
    if (e)
        bus_answer(rq, e, STR_NULL);
}

/* ---- done with one ---- */

struct gone {
    struct commit_op op;
    struct link     *link;
    struct item     *item;
    int64_t          id;
};

static enum err gone_apply(struct db_conn *conn, struct commit_op *op)
{
    return db_run(conn, &queue_done, "i", ((struct gone *)op)->id);
}

static void gone_free(struct gone *g)
{
    struct link *l = g->link;

    l->committing--;
    intmap_del(&l->by_id, g->id);
    if (l->reading)
        intmap_put(&l->left, g->id, l);
    if (l->rows)
        l->rows--;
    free(g->item);
    free(g);
}

static void gone_done(struct commit_op *op, enum err e)
{
    struct link *l = ((struct gone *)op)->link;

    (void)e; /* then the next start sends it again: better twice than never */
    gone_free((struct gone *)op);
    link_go(l);
}

void queue_remove(struct link *l, struct item *it)
{
    struct gone *g = NEW(struct gone);

    it->done = true;
    list_remove(&it->in_link);
    *g = (struct gone){ .op = { .apply = gone_apply, .done = gone_done }, .link = l, .item = it, .id = it->id };
    l->committing++;
    if (commit_add(l->courier->db, &g->op) != OK)
        gone_free(g); /* as if it had failed; the caller may be going through the link's items */
}

struct purge {
    struct commit_op op;
    int64_t          before_us;
};

static enum err purge_apply(struct db_conn *conn, struct commit_op *op)
{
    return db_run(conn, &queue_purge, "i", ((struct purge *)op)->before_us);
}

static void purge_done(struct commit_op *op, enum err e)
{
    (void)e;
    free(op);
}

void queue_tick(struct courier *c)
{
    struct purge *p;

    if (--c->purge_in_s > 0)
        return;
    c->purge_in_s = PURGE_S;
    p = NEW(struct purge);
    *p = (struct purge){ .op = { .apply = purge_apply, .done = purge_done },
                         .before_us = clock_us() - NAMES_KEPT_US_HOURS * 3600 * 1000000LL };
    if (commit_add(c->db, &p->op) != OK)
        free(p);
}

/* ---- what is in the database and not in memory ---- */

struct page_row {
    int64_t    id, added_us;
    struct str text;
};

struct page {
    struct db_read  read;
    struct link    *link; /* kept by its `reading` */
    struct arena    arena;
    int             count;
    bool            all; /* there are no more */
    struct page_row rows[2 * LINK_ITEMS_MAX];
};

static enum err page_work(struct db_conn *conn, struct db_read *self)
{
    struct page    *g = (struct page *)self;
    struct db_stmt *s = db_prepare(conn, &queue_page);
    size_t          bytes = 0;
    enum err        e = OK;

    if (!s)
        return ERR_BUG;
    db_bind_str(s, 1, g->link->remote);
    db_bind_str(s, 2, g->link->local);
    db_bind_i64(s, 3, 2 * LINK_ITEMS_MAX);
    while (g->count < 2 * LINK_ITEMS_MAX && bytes < 2 * LINK_BYTES_MAX && (e = db_step(s)) == OK) {
        struct page_row *r = &g->rows[g->count++];

        r->id = db_i64(s, 0);
        r->added_us = db_i64(s, 1);
        r->text = arena_str(&g->arena, db_text(s, 2));
        bytes += r->text.len;
    }
    db_done(s);
    g->all = e == ERR_NOT_FOUND;
    return g->all ? OK : e;
}

static void page_done(struct db_read *self, enum err e)
{
    struct page *g = (struct page *)self;
    struct link *l = g->link;
    bool         all = !e && g->all;

    l->reading = false;
    for (int i = 0; i < g->count && !e; i++) {
        if (intmap_get(&l->by_id, g->rows[i].id) || intmap_get(&l->left, g->rows[i].id))
            continue;
        if (!link_has_room(l, g->rows[i].text.len)) {
            all = false;
            break;
        }
        link_take(l, item_new(g->rows[i].text, g->rows[i].id, g->rows[i].added_us));
    }
    if (!e && l->rows < g->count)
        l->rows = g->count;
    l->more = !all || l->missed;
    l->missed = false;
    intmap_done(&l->left);
    intmap_init(&l->left);
    arena_done(&g->arena);
    free(g);
    if (!e)
        link_go(l);
}

void queue_read(struct link *l)
{
    struct page *g;

    if (l->reading)
        return;
    g = NEW(struct page);
    g->read = (struct db_read){ .work = page_work, .done = page_done };
    g->link = l;
    arena_init(&g->arena);
    l->reading = true;
    l->missed = false;
    if (db_read_start(l->courier->db, &g->read) == OK)
        return;
    l->reading = false;
    arena_done(&g->arena);
    free(g);
}

/* ---- links that nobody has in memory ---- */

enum { SWEEP_MAX = 2000 };

struct sweep {
    struct db_read  read;
    struct courier *courier;
    struct arena    arena;
    int             count;
    struct {
        struct str remote, local;
        int        rows;
    } pairs[SWEEP_MAX];
};

static enum err sweep_work(struct db_conn *conn, struct db_read *self)
{
    struct sweep   *w = (struct sweep *)self;
    struct db_stmt *s = db_prepare(conn, &queue_pairs);
    enum err        e;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, SWEEP_MAX);
    while ((e = db_step(s)) == OK && w->count < SWEEP_MAX) {
        w->pairs[w->count].remote = arena_str(&w->arena, db_text(s, 0));
        w->pairs[w->count].local = arena_str(&w->arena, db_text(s, 1));
        w->pairs[w->count++].rows = (int)db_i64(s, 2);
    }
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* Other couriers add rows and take them away too. */
static void rows_forget(struct courier *c)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&c->links, &it, &key, &value);)
        ((struct link *)value)->rows = 0;
}

static void sweep_done(struct db_read *self, enum err e)
{
    struct sweep *w = (struct sweep *)self;

    w->courier->sweeping = false;
    if (!e && w->count < SWEEP_MAX) /* else there are more */
        rows_forget(w->courier);
    for (int i = 0; i < w->count && !e && !w->courier->stopping; i++) {
        struct link *l = link_get(w->courier, w->pairs[i].local, w->pairs[i].remote);

        if (!l)
            continue;
        l->rows = w->pairs[i].rows;
        if (l->reading)
            l->missed = true;
        l->more = true;
        link_go(l);
    }
    if (e)
        w->courier->sweep_in_s = 1;
    arena_done(&w->arena);
    free(w);
}

void link_sweep(struct courier *c)
{
    struct sweep *w;

    if (c->sweeping || !c->on)
        return;
    w = NEW(struct sweep);
    w->read = (struct db_read){ .work = sweep_work, .done = sweep_done };
    w->courier = c;
    arena_init(&w->arena);
    c->sweeping = true;
    if (db_read_start(c->db, &w->read) == OK)
        return;
    c->sweeping = false;
    arena_done(&w->arena);
    free(w);
}

/* ---- the start ---- */

static enum err state_read(struct courier *c, struct db_conn *conn)
{
    struct db_stmt *s = NULL;
    uint8_t         fresh[COURIER_SECRET_BYTES];
    enum err        e;

    random_bytes(fresh, sizeof fresh);
    e = db_run(conn, &secret_insert, "b", str_make((const char *)fresh, sizeof fresh));
    if (!e)
        e = db_get(conn, &s, &secret_select, "");
    if (!e && db_blob(s, 0).len != sizeof c->secret)
        e = ERR_IO;
    if (!e)
        memcpy(c->secret, db_blob(s, 0).p, sizeof c->secret);
    if (s)
        db_done(s);
    s = NULL;
    if (!e)
        e = db_get(conn, &s, &queue_last, "");
    if (!e)
        c->last_id = db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

enum err queue_init(struct courier *c, const struct db_settings *ds, struct arena *a, struct str *why)
{
    struct db_conn *conn = NULL;
    enum err        e = db_conn_open(ds, true, &conn, a, why);

    if (e)
        return e;
    e = state_read(c, conn);
    if (e)
        *why = arena_printf(a, "could not read courier's database: %s (%s)", err_info(e)->sentence, db_conn_error(conn));
    db_conn_close(&conn);
    return e;
}
