/* own.c: see own.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/own.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "check.h"
#include "talk/admin.h"
#include "talk/archive_id.h"
#include "talk/audit.h"
#include "talk/feature.h"
#include "talk/invite.h"
#include "talk/own_inner.h"
#include "talk/search.h"
#include "talk/xep/xep0377_reporting.h"
#include <inttypes.h>
#include <unistd.h>

int own_fail(const char *fmt, ...)
{
    va_list ap;

    fputs("bongsu: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

enum err own_secret(struct own *o, uint8_t key[16])
{
    static struct db_sql secret = { "SELECT value FROM secret WHERE name = 'origin'" };
    struct db_stmt      *s;
    enum err             e = db_get(o->conn, &s, &secret, "");

    if (!e && db_blob(s, 0).len != 16)
        e = ERR_INVALID;
    if (!e)
        memcpy(key, db_blob(s, 0).p, 16);
    if (s)
        db_done(s);
    return e;
}

/* ---- audit ---- */

static void print_row(const struct audit_row *r)
{
    char when[CLOCK_TEXT_BYTES];

    clock_format(r->at_us - r->at_us % 1000000, when);
    printf("%s\t%.*s\t%.*s\t%.*s\t%.*s\n", when, STR_ARG(r->who), STR_ARG(r->what), STR_ARG(r->about),
           STR_ARG(r->outcome.p ? r->outcome : STR("not known")));
}

/* The newest `count`, the oldest of them first. */
static int run_audit(struct own *o)
{
    int               want = atoi(o->args[0]), got = 0, n;
    struct audit_row *rows, **pages = arena_alloc(&o->arena, sizeof *pages * (size_t)(want / AUDIT_PAGE_MAX + 2));
    int              *counts = arena_alloc(&o->arena, sizeof *counts * (size_t)(want / AUDIT_PAGE_MAX + 2)), page = 0;
    int64_t           before = 0;
    enum err          e;

    do {
        e = audit_read(o->conn, &o->arena, before, want - got, &rows, &n);
        if (e)
            return own_fail("could not read the audit log: %s", err_info(e)->sentence);
        pages[page] = rows;
        counts[page++] = n;
        got += n;
        before = n ? rows[n - 1].id : 0;
    } while (n == AUDIT_PAGE_MAX && got < want);
    while (page-- > 0)
        for (int i = counts[page] - 1; i >= 0; i--)
            print_row(&pages[page][i]);
    return 0;
}

/* ---- administrators, while no server runs ---- */

static int run_admin(struct own *o)
{
    struct str name;
    bool       full = false;
    enum err   e = jid_prep_local(&o->arena, str_of(o->args[0]), &name);

    if (!e)
        e = admin_write(o->conn, name, strcmp(o->args[1], "on") == 0, &full);
    if (!e && full)
        return own_fail("there are %d administrators already", ADMINS_MAX);
    return e ? own_fail("%s: %s", o->args[0], err_info(e)->sentence) : 0;
}

/* ---- reports ---- */

static void print_indented(struct str text)
{
    while (text.len) {
        struct str line = str_split(&text, '\n');

        printf("    %.*s\n", STR_ARG(line));
    }
}

static void print_report(const struct report_row *r)
{
    char when[CLOCK_TEXT_BYTES];

    clock_format(r->at_us - r->at_us % 1000000, when);
    printf("%" PRId64 "\t%s\t%.*s\tabout %.*s\t%.*s%s%s\n", r->id, when, STR_ARG(r->reporter), STR_ARG(r->about), STR_ARG(r->reason),
           r->forward & REPORT_TO_ORIGIN ? "\tmay be told to the origin" : "",
           r->forward & REPORT_TO_THIRD_PARTY ? "\tmay be told to third parties" : "");
    print_indented(r->text);
    for (int i = 0; i < r->message_count; i++)
        print_indented(r->messages[i]);
}

/* The newest first. */
static int run_reports(struct own *o)
{
    int64_t before = 0;
    int     left = atoi(o->args[0]), n = 0;

    do {
        struct report_row *rows;
        enum err           e = reports_read(o->conn, &o->arena, before, left, &rows, &n);

        if (e)
            return own_fail("could not read the reports: %s", err_info(e)->sentence);
        for (int i = 0; i < n; i++)
            print_report(&rows[i]);
        left -= n;
        before = n ? rows[n - 1].id : 0;
    } while (n == REPORT_PAGE_MAX && left > 0);
    return 0;
}

/* ---- invitations ---- */

/* The name, prepared; "-" is none. */
static enum err name_read(struct own *o, const char *word, struct str *out)
{
    *out = STR("");
    return strcmp(word, "-") == 0 ? OK : jid_prep_local(&o->arena, str_of(word), out);
}

static int run_invite(struct own *o)
{
    struct invite i = { .may = INVITE_ACCOUNT };
    char          token[INVITE_TOKEN_CHARS + 1], when[CLOCK_TEXT_BYTES];
    struct buf    uri;
    enum err      e = name_read(o, o->args[0], &i.username);

    if (!e)
        e = name_read(o, o->args[1], &i.inviter);
    if (e)
        return own_fail("a name is not allowed (RFC 7622: no spaces, no \"@/:'<>&\")");
    i.may |= i.inviter.len ? INVITE_CONTACT : 0;
    i.expires_us = clock_us() / 1000000 * 1000000 + atoi(o->args[2]) * 86400LL * 1000000;
    invite_token_make(token);
    e = db_atomic_begin(o->conn);
    if (!e)
        e = db_atomic_end(o->conn, invite_put(o->conn, str_of(token), &i, clock_us()));
    if (e == ERR_EXISTS)
        return own_fail("there is an invitation for %s already", o->args[0]);
    if (e == ERR_LIMIT)
        return own_fail("%s has %d invitations that nobody has used yet", o->args[1], INVITES_PER_PERSON_MAX);
    if (e)
        return own_fail("the invitation could not be stored: %s", err_info(e)->sentence);
    buf_init(&uri, 0);
    invite_put_uri(&uri, &i, o->domain, str_of(token));
    if (o->arg_count > 3 && *o->args[3]) {
        buf_put_c(&uri, '\n');
        invite_put_page(&uri, o->args[3], &i, o->domain, str_of(token));
    }
    printf("%.*s\ngood once, until %.*s\n", STR_ARG(buf_str(&uri)), STR_ARG(clock_format(i.expires_us, when)));
    buf_done(&uri);
    return 0;
}

/* ---- the search index ---- */

static enum err owner_behind(struct own *o, int64_t *owner)
{
    static struct db_sql next = { "SELECT min(owner) FROM log WHERE owner > ?1" };
    struct db_stmt      *s;
    enum err             e = db_get(o->conn, &s, &next, "i", *owner);

    if (!e && db_is_null(s, 0))
        e = ERR_NOT_FOUND;
    if (!e)
        *owner = db_i64(s, 0);
    if (s)
        db_done(s);
    return e;
}

/* No server runs: the work is done here. What was made before an end goes on from there. */
static enum err reindex_here(struct own *o)
{
    uint8_t  key[16] = { 0 };    /* a database that no server has opened has none, and no log */
    int64_t  owner = INT64_MIN, logs = 0;
    enum err e = own_secret(o, key);

    archive_id_setup(key);
    while (!e && (e = owner_behind(o, &owner)) == OK) {
        for (bool more = true; more && !e;) {
            e = db_atomic_begin(o->conn);
            if (!e)
                e = db_atomic_end(o->conn, search_step(o->conn, key, owner, &more));
        }
        logs++;
    }
    if (e == ERR_NOT_FOUND)
        printf("the search index of %" PRId64 " logs is new\n", logs);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* The server notices within seconds. */
static enum err reindex_watch(struct own *o)
{
    int64_t  left, all, told = -1;
    enum err e = search_progress(o->conn, &left, &all);

    while (!e && left) {
        if (left != told)
            printf("%" PRId64 " of %" PRId64 " segments are left; it goes on when this command is ended\n", left, all);
        fflush(stdout);
        told = left;
        sleep(1);
        e = search_progress(o->conn, &left, &all);
    }
    if (!e)
        puts("the search index is new");
    return e;
}

static int run_reindex(struct own *o)
{
    enum err e = search_want_new(o->conn);

    if (!e)
        e = strcmp(o->args[0], "here") == 0 ? reindex_here(o) : reindex_watch(o);
    return e ? own_fail("could not make the search index anew: %s", err_info(e)->sentence) : 0;
}

/* ---- the table ---- */

static const struct {
    const char *name;
    int         args_min;
    bool        writes;
    int       (*run)(struct own *o);
} verbs[] = {
    { "audit", 1, false, run_audit },
    { "admin", 2, true, run_admin },
    { "export-begin", 2, false, own_export_begin },
    { "export", 2, false, own_export },
    { "prove", 2, false, own_prove },
    { "import", 1, true, own_import },
    { "reports", 1, false, run_reports },
    { "invite", 3, true, run_invite },
    { "reindex", 1, true, run_reindex },
};

/* For writing: made and migrated when needed. */
static enum err open_database(struct own *o, const char *path, bool writes, struct str *why)
{
    struct db_settings s = check_database("talk", path);
    struct loop       *l = loop_new();
    struct db         *d = NULL;
    enum err           e;

    o->shared = s.server != NULL;
    e = writes ? db_open(l, &s, features_migrations(), &d, &o->arena, why) : OK;

    if (d)
        db_close(&d);
    loop_free(&l);
    return e ? e : db_conn_open(&s, writes, &o->conn, &o->arena, why);
}

static int run(size_t verb, int argc, char **argv)
{
    struct own o = { .args = argv + 5, .arg_count = argc - 5 };
    struct str why = STR_NULL;
    int        status;
    enum err   e;

    if (o.arg_count < verbs[verb].args_min)
        return own_fail("--own %s: words are missing", verbs[verb].name);
    arena_init(&o.arena);
    e = jid_prep_domain(&o.arena, str_of(argv[4]), &o.domain);
    if (!e)
        e = open_database(&o, argv[3], verbs[verb].writes, &why);
    status = e ? own_fail("%.*s", STR_ARG(why.len ? why : str_of(err_info(e)->sentence))) : verbs[verb].run(&o);
    db_conn_close(&o.conn);
    arena_done(&o.arena);
    return status;
}

bool own_asked(int argc, char **argv, int *status)
{
    if (argc < 5 || strcmp(argv[1], "--own") != 0)
        return false;
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(argv[2], verbs[i].name) == 0) {
            *status = run(i, argc, argv);
            return true;
        }
    *status = own_fail("--own %s is not known", argv[2]);
    return true;
}
