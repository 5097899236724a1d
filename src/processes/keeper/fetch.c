/* fetch.c: see fetch.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "keeper/fetch.h"
#include <stdio.h>
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"
#include "wire/json.h"

static const struct conn_limits limits = { .in_bytes_max = FETCH_BYTES_MAX, .out_bytes_max = 64 * 1024 };

struct asked {
    struct fetch *fetch;
    struct conn  *conn;
    struct buf    in;
    int          *running;
};

static struct str address_of(struct str base, bool *tls)
{
    *tls = str_starts(base, STR("https://"));
    if (*tls || str_starts(base, STR("http://"))) {
        str_split(&base, '/');
        str_split(&base, '/');
    }
    return str_split(&base, '/');
}

/* The body once it is whole; p NULL before. Without a length it ends with the connection. */
static struct str body_of(struct str in, bool ended)
{
    const char *blank = in.len ? memmem(in.p, in.len, "\r\n\r\n", 4) : NULL;
    struct str  head, body;
    uint64_t    length = 0;
    bool        told = false;

    if (!blank)
        return STR_NULL;
    head = str_make(in.p, (size_t)(blank - in.p));
    body = str_make(blank + 4, in.len - head.len - 4);
    while (head.len) {
        struct str value = str_split(&head, '\n'), name = str_split(&value, ':');

        if (str_eq_nocase(str_trim(name), STR("content-length")))
            told = str_to_u64(str_trim(value), &length);
    }
    if (told && body.len >= length)
        return str_make(body.p, (size_t)length);
    return ended && !told ? body : STR_NULL;
}

static void read_answer(struct asked *k, bool ended)
{
    struct str   body = body_of(buf_str(&k->in), ended);
    struct arena a;

    if (!body.p || k->fetch->answer)
        return;
    arena_init(&a);
    if (json_read(&a, body, FETCH_BYTES_MAX, &k->fetch->answer, NULL) != OK)
        snprintf(k->fetch->why, sizeof k->fetch->why, "its answer is not understood");
    arena_done(&a);
}

static size_t came(void *arg, struct conn *c, struct str in)
{
    struct asked *k = arg;

    buf_put_str(&k->in, in);
    read_answer(k, false);
    if (k->fetch->answer || k->in.overflow)
        conn_abort(c, OK);
    return in.len;
}

static void ended(void *arg, struct conn *c, enum err why)
{
    struct asked *k = arg;

    k->conn = NULL;
    --*k->running;
    read_answer(k, true);
    if (!k->fetch->answer && !k->fetch->why[0])
        snprintf(k->fetch->why, sizeof k->fetch->why, "%s", why == ERR_UNAVAILABLE ? "nobody listens there"
                 : why ? err_info(why)->sentence : "its answer is cut short");
}

static const struct conn_handlers handlers = { .data = came, .closed = ended };

static void ask(struct asked *k, struct loop *l, struct tls_ctx *ctx)
{
    bool       tls;
    struct str address = address_of(k->fetch->base, &tls), host = address;
    char       request[512];
    enum err   e = conn_address_is_valid(address) ? OK : ERR_INVALID;

    if (tls && !ctx)
        e = ERR_UNSUPPORTED;
    if (!e)
        e = conn_connect(l, address, &limits, &handlers, k, &k->conn);
    if (e) {
        snprintf(k->fetch->why, sizeof k->fetch->why, "%s", e == ERR_INVALID ? "it is no numeric address with a port"
                 : e == ERR_UNSUPPORTED ? "the authority of its certificate cannot be read" : err_info(e)->sentence);
        return;
    }
    ++*k->running;
    while (host.len && host.p[host.len - 1] != ':')
        host.len--;
    host.len -= host.len > 0;
    if (host.len > 2 && host.p[0] == '[')
        host = str_make(host.p + 1, host.len - 2);
    if (tls)
        conn_start_tls(k->conn, ctx, false, host);
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %.*s\r\nAccept: application/json\r\n\r\n", k->fetch->path,
             STR_ARG(address));
    conn_write(k->conn, str_of(request));
}

void fetch_all(struct fetch *f, int count, const char *ca, int ms)
{
    struct tls_settings ts = { .ca_file = ca && *ca ? ca : NULL, .verify = true };
    struct asked       *asked = mem_new((size_t)count * sizeof *asked + 1);
    struct loop        *l = loop_new();
    struct tls_ctx     *ctx = NULL;
    int64_t             until = clock_mono_ms() + ms;
    int                 running = 0;

    tls_ctx_new(&ts, &ctx, NULL, NULL);
    for (int i = 0; i < count; i++) {
        asked[i] = (struct asked){ .fetch = &f[i], .running = &running };
        buf_init(&asked[i].in, FETCH_BYTES_MAX);
        ask(&asked[i], l, ctx);
    }
    while (running && clock_mono_ms() < until)
        loop_round(l, 20);
    for (int i = 0; i < count; i++)
        if (asked[i].conn)
            conn_abort(asked[i].conn, ERR_TIMEOUT);
    loop_round(l, 0);
    loop_free(&l);
    for (int i = 0; i < count; i++)
        buf_done(&asked[i].in);
    free(asked);
    if (ctx)
        tls_ctx_unref(&ctx);
}
