/* status.c: courier.status: what waits to leave, for whoever runs the server.
 *
 * The queue and the notifications are counted in the database: where several couriers share it, each tells of
 * all that waits. Connections are this courier's own.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "courier/link.h"
#include "courier/s2s.h"

/* An id is the time when the stanza came, in µs, so the index tells all without a look at the rows. */
static struct db_sql queue_sum = { "SELECT count(*), count(DISTINCT remote), coalesce(min(id), 0) FROM queue WHERE remote <> ''" };
static struct db_sql queue_domains = { "SELECT remote, count(*), min(id) FROM queue WHERE remote <> ''"
                                       " GROUP BY remote ORDER BY min(id) LIMIT ?1" };
static struct db_sql push_sum = { "SELECT count(*) FROM push" };

struct look {
    struct db_read         read;
    struct courier        *courier;
    struct bus_request    *rq;
    struct arena           arena;
    struct courier_figures figures;
};

static enum err sums_read(struct db_conn *conn, struct courier_figures *f)
{
    struct db_stmt *s = NULL;
    enum err        e = db_get(conn, &s, &queue_sum, "");

    if (!e) {
        f->waiting = db_i64(s, 0);
        f->domains_waiting = db_i64(s, 1);
        f->oldest_us = db_i64(s, 2);
    }
    if (s)
        db_done(s);
    s = NULL;
    if (!e)
        e = db_get(conn, &s, &push_sum, "");
    if (!e)
        f->push_waiting = db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

static enum err domains_read(struct db_conn *conn, struct look *k)
{
    struct courier_figures *f = &k->figures;
    struct db_stmt         *s = db_prepare(conn, &queue_domains);
    enum err                e;

    if (!s)
        return ERR_BUG;
    db_bind_i64(s, 1, COURIER_DOMAINS_TOLD_MAX);
    while ((e = db_step(s)) == OK && f->domain_count < COURIER_DOMAINS_TOLD_MAX)
        f->domains[f->domain_count++] = (struct courier_domain){
            .name = arena_str(&k->arena, db_text(s, 0)), .waiting = db_i64(s, 1), .oldest_us = db_i64(s, 2)
        };
    db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err look_work(struct db_conn *conn, struct db_read *self)
{
    struct look *k = (struct look *)self;
    enum err     e = sums_read(conn, &k->figures);

    return e ? e : domains_read(conn, k);
}

/* How this courier stands with each: one of our names that could not reach it is enough. */
static void links_look(struct courier *c, struct courier_figures *f)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&c->links, &it, &key, &value);) {
        struct link *l = value;

        f->out_count += l->out && l->out->ready;
        for (int i = 0; i < f->domain_count; i++)
            f->domains[i].away |= l->was_away && str_eq(l->remote, f->domains[i].name);
    }
}

static void look_done(struct db_read *self, enum err e)
{
    struct look            *k = (struct look *)self;
    struct courier_figures *f = &k->figures;
    struct buf              out;

    buf_init(&out, 0);
    if (!e) {
        links_look(k->courier, f);
        f->now_us = clock_us();
        courier_figures_write(&out, f);
    }
    bus_answer(k->rq, e, buf_str(&out));
    buf_done(&out);
    arena_done(&k->arena);
    free(k);
}

void courier_status(struct courier *c, struct bus_request *rq, struct codec_reader *r)
{
    struct look *k = NEW(struct look);
    enum err     e;

    (void)r;
    k->read = (struct db_read){ .work = look_work, .done = look_done };
    k->courier = c;
    k->rq = rq;
    arena_init(&k->arena);
    k->figures = (struct courier_figures){
        .on = c->on, .commits_waiting = (int64_t)commit_waiting(c->db), .disk = commit_health(c->db), .in_count = c->stream_count
    };
    e = db_read_start(c->db, &k->read);
    if (!e)
        return;
    bus_answer(rq, e, STR_NULL);
    arena_done(&k->arena);
    free(k);
}
