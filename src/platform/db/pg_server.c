/* pg_server.c: see pg_server.h. Each host goes its own way:
 *
 *   none ──host_connect──▶ connecting ──accepted──▶ ready ──host_ask──▶ asked ──answer──▶ ready
 *     ▲                        │ refused, silent                          │ silent, broken
 *     └──── host_drop ◀────────┴──────────────────────────────────────────┘
 *
 * A connection stays warm while its server is a replica: the question that first hears "primary" is a round trip after
 * the promotion, and the connection that heard it is the one the batch travels on.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "db/pg_server.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "base/buf.h"
#include "base/mem.h"
#include "db/db.h"

enum {
    NAME_BYTES = 128,
    WORDS_BYTES = 256,
    OPTIONS_MAX = 64,
    SILENT_MS = 300,             /* a host that says nothing for so long is asked on a new connection */
    SILENT_MS_MAX = 3000,        /* each silence doubles it: a host may be slow, not away */
    RETRY_MS = 20,
    GRACE_MS = 50,               /* for the others to be heard, when one says that it is the primary */
    HEARD_MS = 500,              /* an answer older than this says nothing */
};

struct pg_hosts {
    int         count;
    char       *schema;
    char        name[PG_HOSTS_MAX][NAME_BYTES];
    const char *keywords[OPTIONS_MAX];
    char       *values[PG_HOSTS_MAX][OPTIONS_MAX];
};

enum asked_state { ASKED_NONE, ASKED_CONNECTING, ASKED_READY, ASKED_SENT };

struct asked {
    enum asked_state state;
    PGconn          *pg;
    PostgresPollingStatusType want;
    int64_t          since_us, next_us, heard_us;
    int              silent_ms;
    bool             tried;          /* answered or failed since the search began */
    bool             primary;
    int64_t          timeline;
};

struct pg_finder {
    const struct pg_hosts *hosts;
    struct asked           asked[PG_HOSTS_MAX];
    int64_t                primary_since_us;    /* when the first primary of this search was heard */
    char                   words[WORDS_BYTES];
};

int64_t pg_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * 1000000LL + ts.tv_nsec / 1000;
}

/* ---- the connection string ---- */

static bool schema_is_plain(const char *schema)
{
    size_t n = strspn(schema, "abcdefghijklmnopqrstuvwxyz0123456789_");

    return n > 0 && n < 64 && schema[n] == '\0';
}

/* The i-th of a comma list; the only one, if there is one for all. */
static struct str list_item(const char *list, int i)
{
    struct str rest = str_of(list), item = str_split(&rest, ',');
    bool single = !rest.p;

    while (i-- > 0 && !single)
        item = rest.p ? str_split(&rest, ',') : STR_NULL;
    return item;
}

static int list_count(const char *list)
{
    int count = 1;

    for (const char *p = list; *p; p++)
        count += *p == ',';
    return count;
}

static const char *option_of(const PQconninfoOption *options, const char *keyword)
{
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val && *o->val ? o->val : NULL;
    return NULL;
}

static void value_set(struct pg_hosts *h, int host, const char *keyword, struct str value)
{
    int at = 0;

    while (h->keywords[at] && strcmp(h->keywords[at], keyword) != 0)
        at++;
    if (at >= OPTIONS_MAX - 1)
        return;
    h->keywords[at] = keyword;
    free(h->values[host][at]);
    h->values[host][at] = str_dup(value);
}

/* What is ours to decide. No limit may cut a statement short: a commit that is cancelled is not undone. */
static void values_of_ours(struct pg_hosts *h, int host, const char *options, bool gss)
{
    static const char *const fixed[][2] = {
        { "target_session_attrs", "any" }, { "client_encoding", "UTF8" }, { "tcp_user_timeout", "2000" },
        { "keepalives", "1" }, { "keepalives_idle", "1" }, { "keepalives_interval", "1" }, { "keepalives_count", "2" },
        { "fallback_application_name", "bongsu" },
    };
    struct buf b;

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        value_set(h, host, fixed[i][0], str_of(fixed[i][1]));
    if (!gss)
        value_set(h, host, "gssencmode", STR("disable"));    /* it would look for tickets at each connection */
    buf_init(&b, 0);
    buf_printf(&b, "%s -c search_path=%s -c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=1000"
                   " -c synchronous_commit=on -c client_connection_check_interval=2000 -c jit=off"
                   /* a plan kept from when a table was empty must not read it whole when it is not: no statement of ours wants that */
                   " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off",
               options ? options : "", h->schema);
    value_set(h, host, "options", buf_str(&b));
    buf_done(&b);
}

static void host_values(struct pg_hosts *h, int host, const PQconninfoOption *options)
{
    static const char *const lists[] = { "host", "hostaddr", "port" };
    const char *names = option_of(options, "host") ? option_of(options, "host") : option_of(options, "hostaddr");
    const char *ports = option_of(options, "port");

    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (o->val && *o->val)
            value_set(h, host, o->keyword, str_of(o->val));
    for (int i = 0; i < 3; i++)
        if (option_of(options, lists[i]))
            value_set(h, host, lists[i], list_item(option_of(options, lists[i]), host));
    values_of_ours(h, host, option_of(options, "options"), option_of(options, "gssencmode") != NULL);
    snprintf(h->name[host], NAME_BYTES, "%.*s:%.*s", STR_ARG(names ? list_item(names, host) : STR("local")),
             STR_ARG(ports ? list_item(ports, host) : STR("5432")));
}

/* The keyword strings are libpq's own constants only as long as `options` lives: they are kept as copies. */
static void keywords_keep(struct pg_hosts *h)
{
    for (int i = 0; h->keywords[i]; i++)
        h->keywords[i] = str_dup(str_of(h->keywords[i]));
}

enum err pg_hosts_new(const char *conninfo, const char *schema, struct pg_hosts **out, struct arena *a, struct str *why)
{
    char *words = NULL;
    PQconninfoOption *options;
    struct pg_hosts *h;
    const char *names;

    *out = NULL;
    if (schema && *schema && !schema_is_plain(schema)) {
        *why = arena_printf(a, "\"%s\" is no name for a schema: small letters, digits and _ are", schema);
        return ERR_INVALID;
    }
    options = PQconninfoParse(conninfo, &words);
    if (!options) {
        *why = arena_printf(a, "the connection string of the database is wrong: %.*s",
                            STR_ARG(str_trim(str_of(words ? words : "out of memory"))));
        PQfreemem(words);
        return ERR_INVALID;
    }
    h = NEW(struct pg_hosts);
    h->schema = str_dup(str_of(schema && *schema ? schema : "public"));
    names = option_of(options, "host") ? option_of(options, "host") : option_of(options, "hostaddr");
    h->count = names ? list_count(names) : 1;
    if (h->count > PG_HOSTS_MAX)
        h->count = PG_HOSTS_MAX;
    for (int i = 0; i < h->count; i++)
        host_values(h, i, options);
    keywords_keep(h);
    PQconninfoFree(options);
    *out = h;
    return OK;
}

enum err db_server_judge(const char *server, struct arena *a, struct str *why)
{
    struct pg_hosts *h = NULL;
    enum err         e = pg_hosts_new(server, NULL, &h, a, why);

    pg_hosts_free(&h);
    return e;
}

void pg_hosts_free(struct pg_hosts **hp)
{
    struct pg_hosts *h = *hp;

    if (!h)
        return;
    for (int at = 0; h->keywords[at]; at++) {
        for (int i = 0; i < h->count; i++) {
            if (h->values[i][at])
                mem_wipe(h->values[i][at], strlen(h->values[i][at]));     /* one of them is a password */
            free(h->values[i][at]);
        }
        free((char *)h->keywords[at]);
    }
    free(h->schema);
    free(h);
    *hp = NULL;
}

int pg_hosts_count(const struct pg_hosts *h)
{
    return h->count;
}

const char *pg_hosts_name(const struct pg_hosts *h, int i)
{
    return h->name[i];
}

const char *pg_hosts_schema(const struct pg_hosts *h)
{
    return h->schema;
}

static PGconn *host_start(const struct pg_hosts *h, int i)
{
    return PQconnectStartParams(h->keywords, (const char *const *)h->values[i], 0);
}

static short poll_events(PostgresPollingStatusType want)
{
    return want == PGRES_POLLING_READING ? POLLIN : POLLOUT;
}

PGconn *pg_hosts_connect(const struct pg_hosts *h, int i, int ms, char *error, size_t error_bytes)
{
    PGconn *pg = host_start(h, i);
    int64_t end_us = pg_now_us() + ms * 1000LL;
    PostgresPollingStatusType want = PGRES_POLLING_WRITING;

    while (pg && PQstatus(pg) != CONNECTION_BAD && want != PGRES_POLLING_OK && want != PGRES_POLLING_FAILED) {
        struct pollfd p = { .fd = PQsocket(pg), .events = poll_events(want) };
        int64_t left_us = end_us - pg_now_us();

        if (left_us <= 0 || (poll(&p, 1, (int)(left_us / 1000) + 1) == 0)) {
            snprintf(error, error_bytes, "%s does not answer", h->name[i]);
            PQfinish(pg);
            return NULL;
        }
        want = PQconnectPoll(pg);
    }
    if (pg && PQstatus(pg) == CONNECTION_OK)
        return pg;
    snprintf(error, error_bytes, "%s: %.*s", h->name[i], STR_ARG(str_trim(str_of(PQerrorMessage(pg)))));
    PQfinish(pg);
    return NULL;
}

/* ---- finding the primary ---- */

struct pg_finder *pg_finder_new(const struct pg_hosts *h)
{
    struct pg_finder *f = NEW(struct pg_finder);

    f->hosts = h;
    for (int i = 0; i < h->count; i++)
        f->asked[i].silent_ms = SILENT_MS;
    return f;
}

void pg_finder_rest(struct pg_finder *f)
{
    for (int i = 0; i < f->hosts->count; i++) {
        PQfinish(f->asked[i].pg);
        f->asked[i] = (struct asked){ .silent_ms = SILENT_MS };
    }
    f->primary_since_us = 0;
}

void pg_finder_free(struct pg_finder **fp)
{
    if (!*fp)
        return;
    pg_finder_rest(*fp);
    free(*fp);
    *fp = NULL;
}

static void host_drop(struct pg_finder *f, int i, const char *words, int64_t now_us)
{
    struct asked *a = &f->asked[i];

    snprintf(f->words, sizeof f->words, "%s: %.*s", f->hosts->name[i], STR_ARG(str_trim(str_of(words))));
    PQfinish(a->pg);
    a->pg = NULL;
    a->state = ASKED_NONE;
    a->next_us = now_us + RETRY_MS * 1000;
    a->tried = true;
    a->primary = false;
}

static void host_silent(struct pg_finder *f, int i, int64_t now_us)
{
    struct asked *a = &f->asked[i];

    host_drop(f, i, "does not answer", now_us);
    a->silent_ms = a->silent_ms * 2 < SILENT_MS_MAX ? a->silent_ms * 2 : SILENT_MS_MAX;
}

static void host_connect(struct pg_finder *f, int i, int64_t now_us)
{
    struct asked *a = &f->asked[i];

    a->pg = host_start(f->hosts, i);
    a->want = PGRES_POLLING_WRITING;
    a->since_us = now_us;
    a->state = ASKED_CONNECTING;
    if (!a->pg || PQstatus(a->pg) == CONNECTION_BAD)
        host_drop(f, i, PQerrorMessage(a->pg), now_us);
}

static void host_ask(struct pg_finder *f, int i, int64_t now_us)
{
    static const char question[] =
        "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN 0"
        " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END";
    struct asked *a = &f->asked[i];

    a->since_us = now_us;
    a->state = ASKED_SENT;
    if (!PQsendQuery(a->pg, question))
        host_drop(f, i, PQerrorMessage(a->pg), now_us);
}

static void host_hear(struct pg_finder *f, int i, int ask_ms, int64_t now_us)
{
    struct asked *a = &f->asked[i];
    PGresult *r;

    if (!PQconsumeInput(a->pg)) {
        host_drop(f, i, PQerrorMessage(a->pg), now_us);
        return;
    }
    if (PQisBusy(a->pg))
        return;
    while ((r = PQgetResult(a->pg)) != NULL) {
        if (PQresultStatus(r) == PGRES_TUPLES_OK && PQntuples(r) == 1) {
            a->primary = PQgetvalue(r, 0, 0)[0] == 'f';
            a->timeline = atoll(PQgetvalue(r, 0, 1));
            a->heard_us = now_us;
        }
        PQclear(r);
    }
    if (a->heard_us != now_us) {
        host_drop(f, i, PQerrorMessage(a->pg), now_us);
        return;
    }
    if (!a->primary)
        snprintf(f->words, sizeof f->words, "%s is a replica", f->hosts->name[i]);
    if (a->primary && !f->primary_since_us)
        f->primary_since_us = now_us;
    a->state = ASKED_READY;
    a->silent_ms = SILENT_MS;
    a->tried = true;
    a->next_us = now_us + ask_ms * 1000LL;
}

static void host_connecting(struct pg_finder *f, int i, int64_t now_us)
{
    struct asked *a = &f->asked[i];

    a->want = PQconnectPoll(a->pg);
    if (a->want == PGRES_POLLING_FAILED)
        host_drop(f, i, PQerrorMessage(a->pg), now_us);
    else if (a->want == PGRES_POLLING_OK)
        host_ask(f, i, now_us);
}

/* What is due without anything having been heard; returns the milliseconds until something is again. */
static int hosts_due(struct pg_finder *f, int ask_ms, int wait_ms, int64_t now_us)
{
    for (int i = 0; i < f->hosts->count; i++) {
        struct asked *a = &f->asked[i];
        int64_t due_us;

        if (a->state >= ASKED_READY && PQstatus(a->pg) != CONNECTION_OK)
            host_drop(f, i, PQerrorMessage(a->pg), now_us);
        if (a->state == ASKED_READY && a->next_us > now_us + ask_ms * 1000LL)
            a->next_us = now_us;
        if (a->state == ASKED_NONE && a->next_us <= now_us)
            host_connect(f, i, now_us);
        else if (a->state == ASKED_READY && a->next_us <= now_us)
            host_ask(f, i, now_us);
        else if ((a->state == ASKED_CONNECTING || a->state == ASKED_SENT) && now_us - a->since_us > a->silent_ms * 1000LL)
            host_silent(f, i, now_us);
        due_us = a->state == ASKED_NONE || a->state == ASKED_READY ? a->next_us : a->since_us + a->silent_ms * 1000LL + 1000;
        if (due_us - now_us < wait_ms * 1000LL)
            wait_ms = due_us > now_us ? (int)((due_us - now_us + 999) / 1000) : 0;
    }
    return wait_ms;
}

int pg_finder_round(struct pg_finder *f, int fd, int events, int ask_ms, int wait_ms)
{
    struct pollfd p[PG_HOSTS_MAX + 1];
    int64_t now_us = pg_now_us();

    wait_ms = hosts_due(f, ask_ms, wait_ms, now_us);
    for (int i = 0; i < f->hosts->count; i++) {
        struct asked *a = &f->asked[i];

        p[i] = (struct pollfd){ .fd = a->pg ? PQsocket(a->pg) : -1, .events = POLLIN };
        if (a->state == ASKED_CONNECTING)
            p[i].events = poll_events(a->want);
    }
    p[f->hosts->count] = (struct pollfd){ .fd = fd, .events = (short)events };
    if (poll(p, (nfds_t)f->hosts->count + 1, wait_ms) <= 0)
        return 0;
    now_us = pg_now_us();
    for (int i = 0; i < f->hosts->count; i++) {
        if (!p[i].revents || !f->asked[i].pg)
            continue;
        if (f->asked[i].state == ASKED_CONNECTING)
            host_connecting(f, i, now_us);
        else if (f->asked[i].state == ASKED_SENT)
            host_hear(f, i, ask_ms, now_us);
        else if (!PQconsumeInput(f->asked[i].pg))
            host_drop(f, i, PQerrorMessage(f->asked[i].pg), now_us);
    }
    return p[f->hosts->count].revents;
}

static bool is_primary(const struct asked *a, int64_t now_us)
{
    return a->primary && a->heard_us && now_us - a->heard_us < HEARD_MS * 1000LL;
}

static bool all_tried(const struct pg_finder *f)
{
    for (int i = 0; i < f->hosts->count; i++)
        if (!f->asked[i].tried)
            return false;
    return true;
}

bool pg_finder_take(struct pg_finder *f, int64_t timeline_min, PGconn **out, int *host, int64_t *timeline)
{
    int64_t now_us = pg_now_us();
    int best = -1;

    for (int i = 0; i < f->hosts->count; i++)
        if (f->asked[i].state == ASKED_READY && is_primary(&f->asked[i], now_us) && f->asked[i].timeline >= timeline_min
            && (best < 0 || f->asked[i].timeline > f->asked[best].timeline))
            best = i;
    if (best < 0 || (!all_tried(f) && now_us - f->primary_since_us < GRACE_MS * 1000LL))
        return false;
    *out = f->asked[best].pg;
    *host = best;
    *timeline = f->asked[best].timeline;
    f->asked[best] = (struct asked){ .silent_ms = SILENT_MS };
    f->primary_since_us = 0;
    return true;
}

bool pg_finder_newer(const struct pg_finder *f, int64_t timeline)
{
    int64_t now_us = pg_now_us();

    for (int i = 0; i < f->hosts->count; i++)
        if (is_primary(&f->asked[i], now_us) && f->asked[i].timeline > timeline)
            return true;
    return false;
}

bool pg_finder_detour(const struct pg_finder *f, int64_t timeline, int host)
{
    int64_t now_us = pg_now_us();

    for (int i = 0; i < f->hosts->count; i++)
        if (i != host && f->asked[i].state == ASKED_READY && is_primary(&f->asked[i], now_us) && f->asked[i].timeline == timeline)
            return true;
    return false;
}

const char *pg_finder_words(const struct pg_finder *f)
{
    return f->words[0] ? f->words : "no server has answered yet";
}
