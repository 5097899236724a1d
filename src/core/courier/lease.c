/* lease.c: see lease.h.
 *
 *   unknown ──claim──▶ ours ──said again in time──▶ ours ──no link any more──▶ given up
 *                 └──▶ another's ──until it runs out──▶ unknown
 *
 * Clocks of machines may differ by LEASE_MARGIN_MS: the holder stops so much earlier than the others may
 * begin.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "courier/lease.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/metric.h"
#include "courier/link.h"

METRIC_GAUGE(leases_ours, "bongsu_courier_leases", "Domains that this courier sends to.");

enum { CODEC_VERSION = 1, KIND_POKE = 1, KIND_LIVE = 2, ENTRIES_MAX = 50000 };

struct leases {
    struct courier *courier;
    struct strmap   entries; /* remote → struct entry */
    int             said_in_s;
};

struct entry {
    int64_t holder;   /* 0: not known */
    int64_t until_ms; /* on our monotonic clock */
    bool    asking, wanted;
    char    remote[];
};

static struct db_sql lease_claim = { "INSERT INTO lease(remote, holder, until_us) VALUES (?1, ?2, ?3)"
                                     " ON CONFLICT(remote) DO UPDATE SET holder = excluded.holder, until_us = excluded.until_us"
                                     " WHERE lease.holder = excluded.holder OR lease.until_us < ?4" };
static struct db_sql lease_read = { "SELECT holder, until_us FROM lease WHERE remote = ?1" };
static struct db_sql lease_say = { "UPDATE lease SET until_us = ?2 WHERE holder = ?1" };
static struct db_sql lease_give_up = { "DELETE FROM lease WHERE remote = ?1 AND holder = ?2" };
static struct db_sql lease_drop = { "DELETE FROM lease WHERE holder = ?1 OR until_us < ?2" };

static void subject_of(char out[40], int64_t holder)
{
    snprintf(out, 40, "courier.%016llx", (unsigned long long)holder);
}

/* ---- claiming ---- */

struct claim {
    struct commit_op op;
    struct courier  *courier;
    int64_t          asked_us, asked_ms;
    int64_t          out[2], rows;
    char             remote[];
};

static enum err claim_apply(struct db_conn *conn, struct commit_op *op)
{
    struct claim *q = (struct claim *)op;
    struct str    remote = str_of(q->remote);
    enum err      e = db_run(conn, &lease_claim, "siii", remote, q->courier->holder, q->asked_us + LEASE_MS * 1000LL, q->asked_us);

    return e ? e : db_run_later(conn, &lease_read, q->out, 2, &q->rows, "s", remote);
}

static void links_go(struct courier *c, struct str remote)
{
    struct str key;
    void      *value;

    for (size_t it = 0; strmap_next(&c->links, &it, &key, &value);)
        if (str_eq(((struct link *)value)->remote, remote))
            link_go(value);
}

static void claim_done(struct commit_op *op, enum err e)
{
    struct claim   *q = (struct claim *)op;
    struct courier *c = q->courier;
    struct entry   *n = c->leases ? strmap_get(&c->leases->entries, str_of(q->remote)) : NULL;

    if (n) {
        n->asking = false;
        if (!e && q->rows) {
            n->holder = q->out[0];
            n->until_ms = q->asked_ms + (q->out[1] - q->asked_us) / 1000 + (n->holder == c->holder ? -LEASE_MARGIN_MS : LEASE_MARGIN_MS);
        }
        if (!c->stopping)
            links_go(c, str_of(n->remote));
    }
    free(q);
}

static bool claim_start(struct courier *c, struct entry *n, struct commit_op op)
{
    size_t        len = strlen(n->remote);
    struct claim *q = mem_new(sizeof *q + len + 1);

    q->op = op;
    q->courier = c;
    q->asked_us = clock_us();
    q->asked_ms = clock_mono_ms();
    memcpy(q->remote, n->remote, len);
    if (commit_add(c->db, &q->op) == OK)
        return true;
    free(q);
    return false;
}

static struct entry *entry_of(struct leases *ls, struct str remote)
{
    struct entry *n = strmap_get(&ls->entries, remote);

    if (n || ls->entries.count >= ENTRIES_MAX)
        return n;
    n = mem_new(sizeof *n + remote.len + 1);
    memcpy(n->remote, remote.p, remote.len);
    strmap_put(&ls->entries, str_make(n->remote, remote.len), n);
    return n;
}

enum lease_state lease_of(struct courier *c, struct str remote)
{
    struct entry *n;

    if (!c->leases)
        return LEASE_OURS;
    n = entry_of(c->leases, remote);
    if (!n)
        return LEASE_UNKNOWN;
    if (n->holder && clock_mono_ms() < n->until_ms)
        return n->holder == c->holder ? LEASE_OURS : LEASE_OTHERS;
    if (!n->asking)
        n->asking = claim_start(c, n, (struct commit_op){ .apply = claim_apply, .done = claim_done });
    return LEASE_UNKNOWN;
}

/* ---- saying it again ---- */

struct say {
    struct commit_op op;
    struct courier  *courier;
    int64_t          asked_us, asked_ms;
};

static enum err say_apply(struct db_conn *conn, struct commit_op *op)
{
    struct say *q = (struct say *)op;

    return db_run(conn, &lease_say, "ii", q->courier->holder, q->asked_us + LEASE_MS * 1000LL);
}

/* A row that another has claimed meanwhile was not touched: ours had run out here too then, by the margin. */
static void say_done(struct commit_op *op, enum err e)
{
    struct say    *q = (struct say *)op;
    struct leases *ls = q->courier->leases;
    struct str     key;
    void          *value;

    for (size_t it = 0; ls && !e && strmap_next(&ls->entries, &it, &key, &value);) {
        struct entry *n = value;

        if (n->holder == q->courier->holder && clock_mono_ms() < n->until_ms)
            n->until_ms = q->asked_ms + LEASE_MS - LEASE_MARGIN_MS;
    }
    free(q);
}

static enum err give_up_apply(struct db_conn *conn, struct commit_op *op)
{
    struct claim *q = (struct claim *)op;

    return db_run(conn, &lease_give_up, "si", str_of(q->remote), q->courier->holder);
}

static void given_up(struct commit_op *op, enum err e)
{
    (void)e; /* then it is ours until we end, and is claimed again as ours */
    free(op);
}

/* Those that have run out, and ours of domains with which we have nothing to do any more. */
static void forget_unused(struct leases *ls)
{
    struct courier *c = ls->courier;
    struct str      key;
    void           *value;
    int64_t         ours = 0;

    for (size_t it = 0; strmap_next(&c->links, &it, &key, &value);) {
        struct entry *n = strmap_get(&ls->entries, ((struct link *)value)->remote);

        if (n)
            n->wanted = true;
    }
    for (size_t it = 0; strmap_next(&ls->entries, &it, &key, &value);) {
        struct entry *n = value;
        bool          is_ours = n->holder == c->holder, idle = is_ours && !n->wanted;

        ours += is_ours;
        n->wanted = false;
        if (n->asking || (clock_mono_ms() < n->until_ms && !idle))
            continue;
        if (idle && !claim_start(c, n, (struct commit_op){ .apply = give_up_apply, .done = given_up }))
            continue;
        strmap_del(&ls->entries, key);
        free(n);
    }
    metric_set(&leases_ours, ours);
}

void leases_tick(struct courier *c)
{
    struct say *q;

    if (!c->leases || --c->leases->said_in_s > 0)
        return;
    c->leases->said_in_s = LEASE_AGAIN_MS / 1000;
    forget_unused(c->leases);
    q = NEW(struct say);
    *q = (struct say){ .op = { .apply = say_apply, .done = say_done }, .courier = c, .asked_us = clock_us(), .asked_ms = clock_mono_ms() };
    if (commit_add(c->db, &q->op) != OK)
        free(q);
}

/* ---- between couriers ---- */

static void came(void *arg, struct str subject, struct str payload)
{
    struct courier     *c = arg;
    struct codec_reader r = codec_open(payload, CODEC_VERSION);
    uint64_t            kind = codec_u64(&r);
    struct str          local = codec_str(&r, COURIER_DOMAIN_BYTES_MAX), remote = codec_str(&r, COURIER_DOMAIN_BYTES_MAX);
    struct str          text = codec_str(&r, COURIER_STANZA_BYTES_MAX);
    struct link        *l;

    (void)subject;
    if (!codec_ok(&r) || !courier_is_ours(c, local) || courier_is_ours(c, remote) || c->stopping)
        return;
    l = link_get(c, local, remote);
    if (!l)
        return;
    if (kind == KIND_LIVE && text.len > 3 && text.p[0] == '<') {
        link_add(l, item_new(text, 0, clock_us()));
    } else if (kind == KIND_POKE) {
        if (l->reading)
            l->missed = true;
        l->more = true;
    }
    link_go(l);
}

static bool tell(struct courier *c, int kind, struct str local, struct str remote, struct str text)
{
    struct entry *n = c->leases ? strmap_get(&c->leases->entries, remote) : NULL;
    char          subject[40];
    struct buf    b;
    enum err      e;

    if (!n || !n->holder || n->holder == c->holder || !bus_connected(c->wide))
        return false;
    subject_of(subject, n->holder);
    buf_init(&b, 0);
    codec_begin(&b, CODEC_VERSION);
    codec_put_u64(&b, (uint64_t)kind);
    codec_put_str(&b, local);
    codec_put_str(&b, remote);
    codec_put_str(&b, text);
    e = bus_publish(c->wide, subject, buf_str(&b));
    buf_done(&b);
    return e == OK;
}

void lease_poke(struct courier *c, struct str local, struct str remote)
{
    tell(c, KIND_POKE, local, remote, STR_NULL); /* if it is lost, the holder's sweep finds the row */
}

bool lease_pass_on(struct courier *c, struct str local, struct str remote, struct str text)
{
    return tell(c, KIND_LIVE, local, remote, text);
}

/* ---- life ---- */

void leases_init(struct courier *c)
{
    char subject[40];

    if (!c->wide)
        return;
    c->leases = NEW(struct leases);
    c->leases->courier = c;
    strmap_init(&c->leases->entries);
    subject_of(subject, c->holder);
    bus_subscribe(c->wide, subject, came, c);
}

struct drop {
    struct commit_op op;
    int64_t          holder, now_us;
};

static enum err drop_apply(struct db_conn *conn, struct commit_op *op)
{
    struct drop *d = (struct drop *)op;

    return db_run(conn, &lease_drop, "ii", d->holder, d->now_us);
}

static void drop_done(struct commit_op *op, enum err e)
{
    (void)e;
    free(op);
}

/* An orderly end: another courier need not wait. */
void leases_leave(struct courier *c)
{
    struct drop *d;

    if (!c->leases)
        return;
    d = NEW(struct drop);
    *d = (struct drop){ .op = { .apply = drop_apply, .done = drop_done }, .holder = c->holder, .now_us = clock_us() - LEASE_MS * 1000LL };
    if (commit_add(c->db, &d->op) != OK)
        free(d);
}

void leases_free(struct courier *c)
{
    struct str key;
    void      *value;

    if (!c->leases)
        return;
    for (size_t it = 0; strmap_next(&c->leases->entries, &it, &key, &value);)
        free(value);
    strmap_done(&c->leases->entries);
    free(c->leases);
    c->leases = NULL;
}
