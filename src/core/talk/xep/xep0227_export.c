/* XEP-0227 Portable Import/Export Format 1.1: the owner's own export, through a command of the account: made on a worker, packed
 * into one file, and a link to it sent as a message. Web serves it from data_dir/exports for EXPORT_KEEP_S, until the account asks
 * for another one, or until it is deleted.
 *
 *   command ─told: it is being made─▶ begun ─▶ files, by web ─▶ step, step … (export.h) ─▶ packed ─▶ message with the link
 *
 * Without web there are no files in it, and the message says so: what is said does not wait for what was uploaded.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "files/client.h"
#include "talk/command.h"
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/import.h"
#include "talk/message.h"
#include "talk/xep/xep0227_export.h"
#include "talk/zip.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXPORTS_MAX = 20 /* under way */, EXPORT_KEEP_S = 24 * 3600, TOKEN_CHARS = 43, WHOSE_CHARS = 16 /* of them */, SWEEP_S = 600 };

struct making {
    struct db_read  read;
    struct list     in_talk;
    struct talk    *talk;
    char           *user;
    char            token[TOKEN_CHARS + 1];
    char            folder[4096], dir[4200], packed[4200];
    struct export   export;
    struct arena    arena;
    struct str      why;
    bool            open, asked, done, is_packed, unwanted, without_files;
};

#define FILES "files"       /* the folder in the export */

static void folder_of(const struct talk *t, char out[4096])
{
    snprintf(out, 4096, "%s/exports", settings_text(t->settings, "data_dir"));
}

/* Each file below the folder, one level deep. Anything but OK ends it. */
typedef enum err file_fn(void *arg, const char *path, const char *name);

static enum err each_file(const char *dir, const char *prefix, file_fn *fn, void *arg)
{
    DIR           *d = opendir(dir);
    struct dirent *entry;
    char           path[4600], name[600];
    struct stat    st;
    enum err       e = OK;

    while (d && !e && (entry = readdir(d))) {
        if (entry->d_name[0] == '.' || snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path)
            continue;
        snprintf(name, sizeof name, "%s%s", prefix, entry->d_name);
        if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
            e = *prefix ? OK : each_file(path, FILES "/", fn, arg);
        else
            e = fn(arg, path, name);
    }
    if (d)
        closedir(d);
    return e;
}

static enum err remove_one(void *arg, const char *path, const char *name)
{
    unlink(path);
    return OK;
}

static void remove_folder(const char *dir)
{
    char files[4600];

    each_file(dir, "", remove_one, NULL);
    if (snprintf(files, sizeof files, "%s/" FILES "/.copying", dir) < (int)sizeof files) {
        unlink(files);          /* of a copy that was cut off */
        files[strlen(files) - sizeof "/.copying" + 1] = '\0';
        rmdir(files);
    }
    rmdir(dir);
}

/* ---- files: a name begins with whose it is, as nobody else can tell, and goes on with what nobody can guess ---- */

static void put_whose(const struct talk *t, struct str user, char out[WHOSE_CHARS + 1])
{
    snprintf(out, WHOSE_CHARS + 1, "%016" PRIx64, hash_bytes_keyed(t->origin_key, user.p, user.len));
}

static void token_make(const struct talk *t, struct str user, char out[TOKEN_CHARS + 1])
{
    put_whose(t, user, out);
    random_token(out + WHOSE_CHARS, TOKEN_CHARS - WHOSE_CHARS);
}

/* Those whose names begin and end so, and that nobody has written to since. */
static void files_remove(const struct talk *t, const char *begin, const char *end, int64_t since_s)
{
    char           folder[4096], path[4600];
    DIR           *d;
    struct dirent *entry;
    struct stat    st;

    folder_of(t, folder);
    d = opendir(folder);
    while (d && (entry = readdir(d))) {
        struct str name = str_of(entry->d_name);

        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (name.p[0] == '.' || !str_starts(name, str_of(begin)) || !str_ends(name, str_of(end)) || lstat(path, &st) != 0 ||
            st.st_mtime > since_s)
            continue;
        if (S_ISDIR(st.st_mode))
            remove_folder(path);
        else
            unlink(path);
    }
    if (d)
        closedir(d);
}

/* ---- on the worker ---- */

static enum err pack_one(void *arg, const char *path, const char *name)
{
    return zip_add(arg, path, name);
}

static enum err pack(struct making *m)
{
    struct zip *z;
    enum err    e = zip_begin(m->packed, &z);

    if (!e)
        e = each_file(m->dir, "", pack_one, z);
    e = zip_end(&z, e);
    remove_folder(m->dir);
    return e;
}

static enum err begin(struct making *m, struct db_conn *c)
{
    char     files[4300];
    enum err e;

    snprintf(files, sizeof files, "%s/" FILES, m->dir);
    if ((mkdir(m->folder, 0700) != 0 && errno != EEXIST) || mkdir(m->dir, 0700) != 0)
        return err_from_errno(errno);
    m->open = true;
    e = export_open(&m->export, c, m->dir, str_of(m->user), m->talk->domain, &m->arena, &m->why);
    return !e && mkdir(files, 0700) != 0 ? err_from_errno(errno) : e;
}

/* One part at a time, so that nobody's history waits for long. */
static enum err making_work(struct db_conn *c, struct db_read *self)
{
    struct making *m = (struct making *)self;

    if (m->done) {
        m->is_packed = true;
        return pack(m);
    }
    if (!m->open)
        return begin(m, c);
    m->export.conn = c;
    return export_step(&m->export, &m->done);
}

/* ---- in the loop ---- */

static void making_free(struct making *m)
{
    list_remove(&m->in_talk);
    if (m->open)
        export_close(&m->export);
    arena_done(&m->arena);
    free(m->user);
    free(m);
}

/* "https://town.example:5280/exports/" */
static void put_url(struct buf *b, const struct talk *t)
{
    const char *given = settings_text(t->settings, "talk.exports_url");
    struct str  listen = str_of(settings_text(t->settings, "web.listen")), first = str_trim(str_split(&listen, ','));
    size_t      port = first.len;

    if (*given) {
        buf_put_z(b, given);
        return;
    }
    while (port > 0 && first.p[port - 1] != ':')
        port--;
    buf_printf(b, "https://%.*s:%.*s/exports/", STR_ARG(t->domain), (int)(first.len - port), first.p + port);
}

static void post(struct talk *t, struct person *p, enum err e, void *arg)
{
    struct buf      *text = arg;
    struct xml_node *n = NULL;
    struct stanza    st;
    const char      *condition;

    arena_reset(&t->round);
    if (!e && p && xml_parse(&t->round, buf_str(text), NULL, &n) == XML_FINE && stanza_read(&t->round, n, &t->server, &st, &condition) == OK)
        message_post(p, &st, NULL, NULL);
    buf_done(text);
    free(text);
}

/* What became of it, to the owner, wherever they are. */
static void tell(struct making *m, enum err e)
{
    struct buf *b = NEW(struct buf);
    struct buf  url;

    buf_init(b, 0);
    buf_init(&url, 0);
    put_url(&url, m->talk);
    buf_printf(&url, "%s", m->token);
    BUF_LIT(b, "<message xmlns='" NS_CLIENT "' type='normal'");
    xml_put_attr(b, "to", arena_printf(&m->arena, "%s@%.*s", m->user, STR_ARG(m->talk->domain)));
    BUF_LIT(b, "><subject>내 데이터 · Your data</subject><body>");
    if (e) {
        buf_printf(b, "내 데이터를 내보내지 못했습니다. The export of your data could not be made: %s.", err_info(e)->sentence);
    } else {
        BUF_LIT(b, "이 계정에 보관된 모든 것, 24시간 동안 · Everything that is kept of your account, for 24 hours: ");
        xml_put_escaped(b, buf_str(&url));
        if (m->without_files)
            BUF_LIT(b, "\n올린 파일은 지금 읽을 수 없어 들어 있지 않습니다. 나중에 다시 내보내세요. · "
                       "The files that you uploaded could not be read now and are not in it. Export again later.");
    }
    BUF_LIT(b, "</body>");
    if (!e) {
        BUF_LIT(b, "<x xmlns='jabber:x:oob'><url>");
        xml_put_escaped(b, buf_str(&url));
        BUF_LIT(b, "</url></x>");
    }
    BUF_LIT(b, "</message>");
    buf_done(&url);
    person_find(m->talk, str_of(m->user), post, b);
}

static void making_end(struct making *m, enum err e)
{
    if (e)
        remove_folder(m->dir);
    if (m->unwanted)
        unlink(m->packed);
    LOG_INFO("account.exported", LF_Z("user", m->user), LF_ERR(e));
    if (!m->talk->stopping)
        tell(m, e);
    making_free(m);
}

static void making_stepped(struct db_read *self, enum err e);

static void making_next(struct making *m)
{
    enum err e;

    m->read = (struct db_read){ .work = making_work, .done = making_stepped };
    e = db_read_start(m->talk->db, &m->read);
    if (e)
        making_end(m, e);
}

static void files_came(void *arg, enum err e, int64_t count, int64_t bytes)
{
    struct making *m = arg;

    m->without_files = e != OK;
    if (e)
        LOG_WARN("account.export_without_files", LF_Z("user", m->user), LF_ERR(e));
    making_next(m);
}

static void ask_for_files(struct making *m)
{
    struct str dir = arena_printf(&m->arena, "%s/" FILES, m->dir);
    enum err   e = files_export_ask(m->talk->bus, str_of(m->user), dir, files_came, m);

    if (e)
        files_came(m, e, 0, 0);
}

static void making_stepped(struct db_read *self, enum err e)
{
    struct making *m = (struct making *)self;
    bool           begun = m->open && !m->asked;

    if (e || m->is_packed) {
        making_end(m, e);
    } else if (begun) {
        m->asked = true;
        ask_for_files(m);
    } else {
        making_next(m);
    }
}

/* What is being made for the account; NULL: nothing. How many are, for whomever. */
static struct making *under_way(struct talk *t, struct str user, int *count)
{
    struct making *found = NULL;

    *count = 0;
    LIST_EACH(it, &t->exports) {
        struct making *m = LIST_ITEM(it, struct making, in_talk);

        if (str_is(user, m->user))
            found = m;
        ++*count;
    }
    return found;
}

void exports_forget(struct talk *t, struct str user)
{
    char           whose[WHOSE_CHARS + 1];
    int            count;
    struct making *m = under_way(t, user, &count);

    if (m)
        m->unwanted = true;     /* what its worker still writes goes when it is through */
    put_whose(t, user, whose);
    files_remove(t, whose, "", INT64_MAX);
}

static void export_now(struct command_run *r, struct session *s)
{
    struct making *m = NEW(struct making);
    char           whose[WHOSE_CHARS + 1];
    enum err       e;

    put_whose(r->talk, s->jid.local, whose);
    files_remove(r->talk, whose, ".zip", INT64_MAX);
    m->read = (struct db_read){ .work = making_work, .done = making_stepped };
    m->talk = r->talk;
    m->user = str_dup(s->jid.local);
    arena_init(&m->arena);
    token_make(r->talk, s->jid.local, m->token);
    folder_of(r->talk, m->folder);
    snprintf(m->dir, sizeof m->dir, "%s/%s.d", m->folder, m->token);
    snprintf(m->packed, sizeof m->packed, "%s/%s.zip", m->folder, m->token);
    list_append(&r->talk->exports, &m->in_talk);
    e = db_read_start(r->talk->db, &m->read);
    if (!e) {
        command_done(r, STR_NULL, "It is being made. A message with the link follows.");
        return;
    }
    making_free(m);
    command_error(r, e);
}

static void ask(struct command_run *r)
{
    struct buf b;

    buf_init(&b, 0);
    form_open(&b, FORM_EMPTY, NULL, "Export my data",
              "Everything that is kept of your account, as one file: readable, and in a form that other servers take (XEP-0227)."
              " You are sent a link that is good for 24 hours, or until you ask for another one; whoever has it can read the file.");
    form_close(&b);
    command_ask(r, buf_str(&b), true);
    buf_done(&b);
}

static void export_command(struct command_run *r)
{
    struct session *s = session_find(r->talk, r->session_id);
    int             count;

    if (r->stage == 0) {
        ask(r);
        return;
    }
    if (!s) {
        command_error(r, ERR_CLOSED);
        return;
    }
    if (under_way(r->talk, s->jid.local, &count))
        command_failed(r, "an export of your data is being made already");
    else if (count >= EXPORTS_MAX)
        command_error(r, ERR_LIMIT);
    else
        export_now(r, s);
}

static void export_tick(struct talk *t)
{
    if (t->exports_sweep_in_s-- > 0)
        return;
    t->exports_sweep_in_s = SWEEP_S;
    files_remove(t, "", "", clock_us() / 1000000 - EXPORT_KEEP_S);
}

static void export_init(struct talk *t)
{
    list_init(&t->exports);
}

/* ---- what of an export XEP-0227 has no word for, when it comes back ---- */

static enum err rooms_take(struct import *x)
{
    x->why = STR("a room says itself who belongs to it");
    return ERR_INVALID;
}

static enum err files_take(struct import *x)
{
    x->why = STR("links to files stay as they are: upload again what shall be here");
    return ERR_INVALID;
}

static enum err service_take(struct import *x)
{
    x->why = STR("nodes of the public service belong to their server");
    return ERR_INVALID;
}

static const struct import_handler export_imports[] = {
    { "rooms", NS_EXPORT, NULL, NULL, "rooms", rooms_take },
    { "files", NS_EXPORT, NULL, NULL, "lists of files", files_take },
    { "service", NS_EXPORT, NULL, NULL, "nodes of the public service", service_take },
    { 0 },
};

static const struct command export_commands[] = {
    { "urn:bongsu:own:0#export", "Export my data", COMMAND_ON_ACCOUNT, false, export_command, NULL },
    { 0 },
};

const struct feature xep0227_export = {
    .spec = "XEP-0227 1.1",
    .title = "Portable Import/Export Format for XMPP-IM Servers",
    .note = "`bongsu user export`, `bongsu import`, and a command for people's own data",
    .commands = export_commands,
    .imports = export_imports,
    .tick = export_tick,
    .init = export_init,
};
