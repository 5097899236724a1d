/* operator.c: see operator.h. A command that needs several answers gathers them in one
 * struct gather and answers the person when the last has come.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "keeper/operator.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "bus/codec.h"
#include "common.h"
#include "courier/courier.h"
#include "id/passkey.h"
#include "keeper/prepare.h"

enum {
    CODEC_VERSION = 1,
    ASK_MS_MAX = 10000,
    ASK_STATUS_MS_MAX = 2000,
    BACKUP_MS_MAX = 3600 * 1000,
    TEXT_BYTES_MAX = 64 * 1024,
};

struct gather {
    struct operator        *o;
    struct control_request *rq;
    json_t                 *answer;
    int                     waiting;
    enum err                worst;
    struct buf              text;          /* what went wrong, for people */
};

struct ask {                               /* one question of a gather */
    struct gather *g;
    char           subject[BUS_SUBJECT_BYTES_MAX];
    char          *about;                  /* role or user */
    void         (*answered)(struct ask *k, enum err e, struct str payload);
};

static struct gather *gather_new(struct operator *o, struct control_request *rq)
{
    struct gather *g = NEW(struct gather);

    g->o = o;
    g->rq = rq;
    g->answer = json_object();
    g->waiting = 1;                        /* ours, until everything is asked */
    buf_init(&g->text, TEXT_BYTES_MAX);
    return g;
}

static void gather_release(struct gather *g)
{
    if (--g->waiting > 0)
        return;
    if (g->text.len)
        json_object_set_new(g->answer, "text", json_stringn(g->text.p, g->text.len));
    control_answer(g->rq, g->worst, g->answer);
    buf_done(&g->text);
    free(g);
}

static void gather_fail(struct gather *g, enum err e, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void gather_fail(struct gather *g, enum err e, const char *fmt, ...)
{
    char    line[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(line, sizeof line, fmt, ap);
    va_end(ap);
    if (!g->worst)
        g->worst = e;
    if (g->text.len)
        buf_put_c(&g->text, '\n');
    buf_put_z(&g->text, line);
}

static void ask_answered(void *arg, enum err e, struct str payload)
{
    struct ask    *k = arg;
    struct gather *g = k->g;

    k->answered(k, e, payload);
    free(k->about);
    free(k);
    gather_release(g);
}

/* `payload` without its version byte is written by the caller into `out` from codec_begin on. */
static void gather_ask(struct gather *g, const char *subject, const char *about, struct buf *payload, int timeout_ms,
                       void (*answered)(struct ask *k, enum err e, struct str payload))
{
    struct ask *k = NEW(struct ask);
    enum err    e;

    k->g = g;
    k->about = str_dup(str_of(about));
    k->answered = answered;
    snprintf(k->subject, sizeof k->subject, "%s", subject);
    g->waiting++;
    e = bus_ask(g->o->bus, subject, payload ? buf_str(payload) : STR_NULL, timeout_ms, ask_answered, k);
    if (e)
        ask_answered(k, e, STR_NULL);
}

/* The sentence a role sends with an error, or the error's own. */
static struct str sentence_of(enum err e, struct str payload)
{
    struct codec_reader r = codec_open(payload, CODEC_VERSION);
    struct str          s = codec_str(&r, TEXT_BYTES_MAX);

    return codec_ok(&r) && s.len ? s : str_of(err_info(e)->sentence);
}

/* ---- status and metrics ---- */

static json_t *role_object(struct gather *g, const char *role)
{
    json_t *roles = json_object_get(g->answer, "roles"), *role_json = json_object_get(roles, role);

    if (!role_json) {
        role_json = json_object();
        json_object_set_new(roles, role, role_json);
    }
    return role_json;
}

static void ready_answered(struct ask *k, enum err e, struct str payload)
{
    struct str says = sentence_of(e, payload);
    json_t    *role = role_object(k->g, k->about);

    json_object_set_new(role, "ready", json_boolean(e == OK));
    json_object_set_new(role, "says", json_stringn(e ? says.p : "ready", e ? says.len : 5));
}

/* What one worker of talk says. NULL: not understood. */
static json_t *worker_read(struct str payload)
{
    static const char *const before[] = { "sessions", "accounts_loaded", "commits_waiting" };
    static const char *const after[] = { "batches", "operations", "sync_us", "started_us" };
    struct codec_reader      r = codec_open(payload, CODEC_VERSION);
    json_t                  *worker = json_object();
    struct str               text;

    for (size_t i = 0; i < sizeof before / sizeof *before; i++)
        json_object_set_new(worker, before[i], json_integer(codec_i64(&r)));
    text = codec_str(&r, 64);
    json_object_set_new(worker, "disk", json_stringn(text.p ? text.p : "", text.len));
    for (size_t i = 0; i < sizeof after / sizeof *after; i++)
        json_object_set_new(worker, after[i], json_integer(codec_i64(&r)));
    text = codec_str(&r, 256);
    json_object_set_new(worker, "site", json_stringn(text.p ? text.p : "", text.len));
    json_object_set_new(worker, "shared", json_boolean(codec_u64(&r) != 0));
    json_object_set_new(worker, "bus_connected", json_boolean(codec_u64(&r) != 0));
    json_object_set_new(worker, "stalled_ms", json_integer(codec_i64(&r)));
    json_object_set_new(worker, "nodes", json_integer(codec_i64(&r)));
    if (!r.failed)
        return worker;
    json_decref(worker);
    return NULL;
}

/* Counts are added up; of texts and truths the worse one stays. */
static void worker_add(json_t *sum, const json_t *worker)
{
    const char *key;
    json_t     *value;

    json_object_foreach((json_t *)worker, key, value) {
        json_t *was = json_object_get(sum, key);
        bool    is_longest = strcmp(key, "stalled_ms") == 0 || strcmp(key, "nodes") == 0;
        bool    is_first = strcmp(key, "started_us") == 0;

        if (!was || json_is_false(value) || (json_is_string(was) && strcmp(json_string_value(was), "ok") == 0))
            json_object_set(sum, key, value);
        else if (is_longest || is_first)
            json_object_set(sum, key, (json_integer_value(was) < json_integer_value(value)) == is_longest ? value : was);
        else if (json_is_integer(value))
            json_object_set_new(sum, key, json_integer(json_integer_value(was) + json_integer_value(value)));
    }
}

static void talk_answered(struct ask *k, enum err e, struct str payload)
{
    json_t *worker = e ? NULL : worker_read(payload), *sum = json_object_get(k->g->answer, "talk");

    if (!worker)
        return;
    if (!sum)
        json_object_set_new(k->g->answer, "talk", sum = json_object());
    worker_add(sum, worker);
    json_object_set_new(json_object_get(k->g->answer, "workers"), k->about, worker);
}

/* What web keeps of files. */
static void files_answered(struct ask *k, enum err e, struct str payload)
{
    static const char *const names[] = { "count", "bytes", "bytes_on_disk", "coming", "owed" };
    struct codec_reader      r = codec_open(payload, CODEC_VERSION);
    json_t                  *files = json_object();

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        json_object_set_new(files, names[i], json_integer(codec_i64(&r)));
    if (!e && !r.failed)
        json_object_set(k->g->answer, "files", files);
    json_decref(files);
}

static int64_t waited_ms(const struct courier_figures *f, int64_t since_us)
{
    return since_us && f->now_us > since_us ? (f->now_us - since_us) / 1000 : 0;
}

/* What waits with courier for other servers and to be pushed. */
static void courier_answered(struct ask *k, enum err e, struct str payload)
{
    struct courier_figures f;
    json_t                *domains;

    if (e || courier_figures_read(payload, &f))
        return;
    domains = json_array();
    for (int i = 0; i < f.domain_count; i++) {
        const struct courier_domain *d = &f.domains[i];

        json_array_append_new(domains, json_pack("{s:s%, s:I, s:I, s:b}", "domain", d->name.p, d->name.len, "waiting", (json_int_t)d->waiting,
                                                 "oldest_ms", (json_int_t)waited_ms(&f, d->oldest_us), "away", (int)d->away));
    }
    json_object_set_new(k->g->answer, "courier",
                        json_pack("{s:b, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "federation", (int)f.on, "disk", err_info(f.disk)->name,
                                  "commits_waiting", (json_int_t)f.commits_waiting, "connections_out", (json_int_t)f.out_count,
                                  "connections_in", (json_int_t)f.in_count, "waiting", (json_int_t)f.waiting, "domains_waiting",
                                  (json_int_t)f.domains_waiting, "oldest_ms", (json_int_t)waited_ms(&f, f.oldest_us), "push_waiting",
                                  (json_int_t)f.push_waiting, "domains", domains));
}

static void do_status(struct operator *o, struct control_request *rq, const json_t *args)
{
    struct gather *g = gather_new(o, rq);

    json_object_set_new(g->answer, "domain", json_string(settings_text(*o->settings, "domain")));
    json_object_set_new(g->answer, "version", json_string(BONGSU_VERSION));
    json_object_set_new(g->answer, "roles", json_object());
    json_object_set_new(g->answer, "workers", json_object());
    for (int i = 0; o->roles[i]; i++) {
        char subject[BUS_SUBJECT_BYTES_MAX];

        if (o->describe)
            o->describe(o->arg, o->roles[i], role_object(g, o->roles[i]));
        snprintf(subject, sizeof subject, "%s.ready", o->roles[i]);
        gather_ask(g, subject, o->roles[i], NULL, ASK_STATUS_MS_MAX, ready_answered);
        if (strcmp(o->roles[i], "web") == 0)
            gather_ask(g, "web.files.status", o->roles[i], NULL, ASK_STATUS_MS_MAX, files_answered);
        if (strcmp(o->roles[i], "courier") == 0)
            gather_ask(g, "courier.status", o->roles[i], NULL, ASK_STATUS_MS_MAX, courier_answered);
        if (!common_worker_number(o->roles[i]))
            continue;
        snprintf(subject, sizeof subject, "%s.status", o->roles[i]);
        gather_ask(g, subject, o->roles[i], NULL, ASK_STATUS_MS_MAX, talk_answered);
    }
    gather_release(g);
}

static void metrics_answered(struct ask *k, enum err e, struct str payload)
{
    struct codec_reader r = codec_open(payload, CODEC_VERSION);
    struct str          text = codec_bytes(&r, BUS_PAYLOAD_BYTES_MAX);

    if (!e && codec_ok(&r))
        json_object_set_new(json_object_get(k->g->answer, "metrics"), k->about, json_stringn(text.p, text.len));
}

static void do_metrics(struct operator *o, struct control_request *rq, const json_t *args)
{
    struct gather *g = gather_new(o, rq);

    json_object_set_new(g->answer, "metrics", json_object());
    for (int i = 0; o->roles[i]; i++) {
        char subject[BUS_SUBJECT_BYTES_MAX];

        snprintf(subject, sizeof subject, "%s.metrics", o->roles[i]);
        gather_ask(g, subject, o->roles[i], NULL, ASK_STATUS_MS_MAX, metrics_answered);
    }
    gather_release(g);
}

/* ---- accounts ---- */

static struct str text_of(const json_t *value)
{
    return str_make(json_string_value(value), json_string_length(value));
}

static void user_failed(struct gather *g, struct str user, enum err e)
{
    json_t *pair = json_array();

    json_array_append_new(pair, json_stringn(user.p, user.len));
    json_array_append_new(pair, json_string(err_info(e)->name));
    json_array_append_new(json_object_get(g->answer, "failed"), pair);
    if (!g->worst)
        g->worst = e;
}

static void user_answered(struct ask *k, enum err e, struct str payload)
{
    if (e)
        user_failed(k->g, str_of(k->about), e);
}

/* subject(user[, password]) */
static void user_ask(struct gather *g, const char *subject, struct str user, struct str password)
{
    struct buf b;
    char      *about = str_dup(user);

    buf_init(&b, 0);
    codec_begin(&b, CODEC_VERSION);
    codec_put_str(&b, user);
    if (password.p)
        codec_put_str(&b, password);
    gather_ask(g, subject, about, &b, ASK_MS_MAX * 60, user_answered);
    if (b.p)
        mem_wipe(b.p, b.len);
    buf_done(&b);
    free(about);
}

static void do_user_add(struct operator *o, struct control_request *rq, const json_t *args)
{
    const json_t  *users = json_object_get(args, "users");
    struct gather *g = gather_new(o, rq);
    const json_t  *pair;
    size_t         i;

    json_object_set_new(g->answer, "failed", json_array());
    if (!json_is_array(users) || json_array_size(users) > OPERATOR_USERS_MAX)
        gather_fail(g, ERR_INVALID, "\"users\" is a list of at most %d names with passwords", OPERATOR_USERS_MAX);
    else
        json_array_foreach(users, i, pair) {
            struct str user = text_of(json_array_get(pair, 0)), password = text_of(json_array_get(pair, 1));

            if (user.p && password.p)
                user_ask(g, "ident.user.add", user, password);
            else
                gather_fail(g, ERR_INVALID, "a name or a password is missing");
        }
    gather_release(g);
}

static void do_user(struct operator *o, struct control_request *rq, const json_t *args, const char *subject, bool with_password)
{
    struct str     user = text_of(json_object_get(args, "user")), password = text_of(json_object_get(args, "password"));
    struct gather *g = gather_new(o, rq);

    json_object_set_new(g->answer, "failed", json_array());
    if (!user.p || (with_password && !password.p))
        gather_fail(g, ERR_INVALID, "a name or a password is missing");
    else
        user_ask(g, subject, user, with_password ? password : STR_NULL);
    gather_release(g);
}

static void do_user_passwd(struct operator *o, struct control_request *rq, const json_t *args)
{
    do_user(o, rq, args, "ident.user.password", true);
}

static void do_user_del(struct operator *o, struct control_request *rq, const json_t *args)
{
    do_user(o, rq, args, "ident.user.delete", false);
}

static void do_user_admin(struct operator *o, struct control_request *rq, const json_t *args)
{
    struct str     user = text_of(json_object_get(args, "user"));
    struct gather *g = gather_new(o, rq);
    struct buf     b;

    json_object_set_new(g->answer, "failed", json_array());
    buf_init(&b, 0);
    codec_begin(&b, CODEC_VERSION);
    codec_put_str(&b, user.p ? user : STR(""));
    codec_put_u64(&b, json_is_true(json_object_get(args, "on")));
    if (user.p)
        gather_ask(g, "talk.admin", user.p, &b, ASK_MS_MAX, user_answered);
    else
        gather_fail(g, ERR_INVALID, "a name is missing");
    buf_done(&b);
    gather_release(g);
}

static void passkeys_answered(struct ask *k, enum err e, struct str payload)
{
    struct passkey_answer a;
    json_t               *all = json_object_get(k->g->answer, "passkeys");

    if (!e)
        e = passkey_answer_read(payload, &a);
    if (e) {
        user_failed(k->g, str_of(k->about), e);
        return;
    }
    json_object_set_new(k->g->answer, "password", json_boolean(a.list.password));
    for (int i = 0; i < a.list.count; i++) {
        const struct passkey_row *p = &a.list.rows[i];

        json_array_append_new(all, json_pack("{s:s%,s:I,s:I}", "name", p->label.p, p->label.len, "created_us", (json_int_t)p->created_us,
                                             "used_us", (json_int_t)p->used_us));
    }
}

static void do_passkeys(struct operator *o, struct control_request *rq, const json_t *args, enum passkey_verb verb)
{
    struct str             user = text_of(json_object_get(args, "user"));
    struct passkey_request q = { .user = user };
    struct gather         *g = gather_new(o, rq);
    struct buf             b = { 0 };

    json_object_set_new(g->answer, "failed", json_array());
    json_object_set_new(g->answer, "passkeys", json_array());
    passkey_request_write(&b, &q);
    if (user.p)
        gather_ask(g, passkey_subject(verb), user.p, &b, ASK_MS_MAX, passkeys_answered);
    else
        gather_fail(g, ERR_INVALID, "a name is missing");
    buf_done(&b);
    gather_release(g);
}

static void do_user_passkeys(struct operator *o, struct control_request *rq, const json_t *args)
{
    do_passkeys(o, rq, args, PASSKEY_OF);
}

static void do_user_passkeys_clear(struct operator *o, struct control_request *rq, const json_t *args)
{
    do_passkeys(o, rq, args, PASSKEY_CLEAR);
}

static void list_answered(struct ask *k, enum err e, struct str payload)
{
    struct codec_reader r = codec_open(payload, CODEC_VERSION);
    json_t             *users = json_object_get(k->g->answer, "users");
    uint64_t            count = e ? 0 : codec_u64(&r);

    if (e)
        gather_fail(k->g, e, "the accounts could not be listed: %s", err_info(e)->sentence);
    for (uint64_t i = 0; i < count && !r.failed; i++) {
        struct str user = codec_str(&r, BUS_PAYLOAD_BYTES_MAX);
        int64_t    created_us = codec_i64(&r);
        bool       disabled = codec_u64(&r) != 0;

        json_array_append_new(users, json_pack("{s:s%,s:I,s:b}", "user", user.p ? user.p : "", user.len, "created_us",
                                               (json_int_t)created_us, "disabled", disabled));
    }
}

static void do_user_list(struct operator *o, struct control_request *rq, const json_t *args)
{
    struct gather *g = gather_new(o, rq);
    struct str     after = text_of(json_object_get(args, "after"));
    struct buf     b;

    json_object_set_new(g->answer, "users", json_array());
    buf_init(&b, 0);
    codec_begin(&b, CODEC_VERSION);
    codec_put_str(&b, after.p ? after : STR(""));
    codec_put_u64(&b, OPERATOR_LIST_MAX);
    gather_ask(g, "ident.user.list", "ident", &b, ASK_MS_MAX, list_answered);
    buf_done(&b);
    gather_release(g);
}

/* ---- backup: messages first, accounts after them, so that everyone in the messages exists, then files, so that what the
 * messages name is there ---- */

struct backup {
    struct gather *g;
    char           dir[4096];
};

static void backup_ask(struct backup *b, const char *role, void (*answered)(struct ask *k, enum err e, struct str payload))
{
    char       subject[BUS_SUBJECT_BYTES_MAX], path[4200];
    struct buf out;

    snprintf(subject, sizeof subject, "%s.backup", role);
    snprintf(path, sizeof path, "%s/%s.db", b->dir, role);
    buf_init(&out, 0);
    codec_begin(&out, CODEC_VERSION);
    codec_put_str(&out, str_of(path));
    gather_ask(b->g, subject, b->dir, &out, BACKUP_MS_MAX, answered);
    buf_done(&out);
}

/* talk sends its sentence bare, ident as a codec text. */
static void backup_failed(struct gather *g, const char *role, enum err e, struct str payload)
{
    struct str says = sentence_of(e, payload);

    gather_fail(g, e, "the backup of %s failed: %.*s", role, STR_ARG(says));
}

static void web_copied(struct ask *k, enum err e, struct str payload)
{
    if (e)
        backup_failed(k->g, "web", e, payload);
    LOG_INFO("backup.done", LF_Z("dir", k->about), LF_ERR(k->g->worst));
}

static void backup_next(struct ask *k, const char *copied, const char *next,
                        void (*answered)(struct ask *k, enum err e, struct str payload), enum err e, struct str payload)
{
    struct backup b = { .g = k->g };

    if (e) {
        backup_failed(k->g, copied, e, payload);
        return;
    }
    snprintf(b.dir, sizeof b.dir, "%s", k->about);
    backup_ask(&b, next, answered);
}

static void ident_copied(struct ask *k, enum err e, struct str payload)
{
    backup_next(k, "ident", "web", web_copied, e, payload);
}

static void talk_copied(struct ask *k, enum err e, struct str payload)
{
    backup_next(k, "talk", "ident", ident_copied, e, payload);
}

/* A fresh folder that the roles' user may write into. */
static enum err backup_dir(struct operator *o, const char *dir)
{
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return err_from_errno(errno);
    if (rmdir(dir) != 0 || mkdir(dir, 0700) != 0)          /* only an empty one goes */
        return errno == ENOTEMPTY || errno == EEXIST ? ERR_EXISTS : err_from_errno(errno);
    return prepare_give(*o->settings, dir);
}

static void do_backup(struct operator *o, struct control_request *rq, const json_t *args)
{
    struct str     dir = text_of(json_object_get(args, "dir"));
    struct gather *g = gather_new(o, rq);
    struct backup  b = { .g = g };
    enum err       e = str_copy(dir, b.dir, sizeof b.dir) && b.dir[0] == '/' ? OK : ERR_INVALID;

    if (!e)
        e = backup_dir(o, b.dir);
    if (e)
        gather_fail(g, e, "could not make the folder \"%s\": %s", b.dir,
                    e == ERR_EXISTS ? "there is something in it already" : err_info(e)->sentence);
    else
        backup_ask(&b, "talk", talk_copied);
    gather_release(g);
}

/* ---- asking all ---- */

struct all {
    struct operator *o;
    const char      *verb;
    int              next;
    operator_all_fn *fn;
    void            *arg;
    enum err         worst;
    struct buf       text;
};

static void all_go_on(struct all *w);

static void all_answered(void *arg, enum err e, struct str payload)
{
    struct all *w = arg;

    if (e) {
        struct str says = sentence_of(e, payload);

        buf_printf(&w->text, "%s%s: %.*s", w->text.len ? "\n" : "", w->o->roles[w->next], STR_ARG(str_trim(says)));
        w->worst = w->worst ? w->worst : e;
    }
    w->next++;
    all_go_on(w);
}

static void all_go_on(struct all *w)
{
    char     subject[BUS_SUBJECT_BYTES_MAX];
    enum err e;

    if (!w->o->roles[w->next]) {
        w->fn(w->arg, w->worst, buf_str(&w->text));
        buf_done(&w->text);
        free(w);
        return;
    }
    snprintf(subject, sizeof subject, "%s.%s", w->o->roles[w->next], w->verb);
    e = bus_ask(w->o->bus, subject, STR_NULL, ASK_MS_MAX, all_answered, w);
    if (e)
        all_answered(w, e, STR_NULL);
}

void operator_ask_all(struct operator *o, const char *verb, operator_all_fn *fn, void *arg)
{
    struct all *w = NEW(struct all);

    *w = (struct all){ .o = o, .verb = verb, .fn = fn, .arg = arg };
    buf_init(&w->text, TEXT_BYTES_MAX);
    all_go_on(w);
}

/* ---- the table ---- */

static void do_reload(struct operator *o, struct control_request *rq, const json_t *args)
{
    o->reload(o->arg, rq);
}

static void do_restart(struct operator *o, struct control_request *rq, const json_t *args)
{
    if (o->restart)
        o->restart(o->arg, rq);
    else
        control_answer(rq, ERR_UNSUPPORTED, json_pack("{s:s}", "text", "all roles are one process here: stop it and start it again"));
}

static void do_stop(struct operator *o, struct control_request *rq, const json_t *args)
{
    control_answer(rq, OK, json_pack("{s:i}", "pid", (int)getpid()));
    o->stop(o->arg);
}

static const struct {
    const char *name;
    void      (*run)(struct operator *o, struct control_request *rq, const json_t *args);
} verbs[] = {
    { "status", do_status },       { "metrics", do_metrics },   { "user.add", do_user_add }, { "user.passwd", do_user_passwd },
    { "user.del", do_user_del },   { "user.admin", do_user_admin }, { "user.list", do_user_list },
    { "user.passkeys", do_user_passkeys }, { "user.passkeys_clear", do_user_passkeys_clear }, { "backup", do_backup },     { "reload", do_reload },
    { "restart", do_restart },     { "stop", do_stop },
};

static void asked(void *arg, struct control_request *rq, const char *command, const json_t *args)
{
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(command, verbs[i].name) == 0) {
            verbs[i].run(arg, rq, args);
            return;
        }
    control_answer(rq, ERR_UNSUPPORTED, json_pack("{s:s}", "text", "this server does not know the command"));
}

enum err operator_listen(struct operator *o, const char *socket_path)
{
    return control_listen(o->loop, socket_path, asked, o, &o->control);
}

void operator_free(struct operator *o)
{
    control_free(&o->control);
}
