/* XEP-0055 Jabber Search 1.3: users.DOMAIN, a directory of those who entered themselves. Nobody is in it otherwise.
 *
 * Entering is in-band registration with the directory (XEP-0077), or the command "Be found in the directory" of one's own account; both
 * show the same form, and both can leave it. What is in an entry was written for the directory: nothing is taken from profiles.
 *
 * A word of one syllable, or of two letters, finds everybody who has it in that field; an e-mail address only whole. Whoever has blocked the
 * asker is not found. Other domains may not search.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/mem.h"
#include "talk/command.h"
#include "talk/feature.h"
#include "talk/owned.h"
#include "talk/host.h"
#include "wire/fold.h"

#define NS_SEARCH   "jabber:iq:search"
#define NS_REGISTER "jabber:iq:register"
#define NS_INFO     "http://jabber.org/protocol/disco#info"
#define NS_ITEMS    "http://jabber.org/protocol/disco#items"
#define NS_ENTRY    "urn:bongsu:directory:0"

enum { FIELDS = 4, EMAIL = 3, FIELD_BYTES_MAX = 200, FOUND_MAX = 50 };

static const struct form_row fields[FIELDS + 1] = {
    { "nick", FORM_TEXT, "Name to be called by", .max = FIELD_BYTES_MAX },
    { "first", FORM_TEXT, "Given name", .max = FIELD_BYTES_MAX },
    { "last", FORM_TEXT, "Family name", .max = FIELD_BYTES_MAX },
    { "email", FORM_TEXT, "E-mail address", .max = FIELD_BYTES_MAX },
    { 0 },
};
static const struct form_row leave_row = { "remove", FORM_BOOL, "Leave the directory" };

static const struct db_migration directory_migrations[] = {
    { 1, "directory",
      "CREATE TABLE directory(owner INTEGER PRIMARY KEY, jid TEXT NOT NULL, nick TEXT NOT NULL, first TEXT NOT NULL, last TEXT NOT NULL,"
      " email TEXT NOT NULL, nick_folded TEXT NOT NULL, first_folded TEXT NOT NULL, last_folded TEXT NOT NULL, email_folded TEXT NOT NULL);" },
    { 0 },
};

/* ---- an entry, and a question: four texts ---- */

struct entry { struct str value[FIELDS]; };

static struct str folded(struct arena *a, struct str s)
{
    struct buf b;
    struct str out;

    buf_init(&b, 0);
    fold_put(&b, str_trim(s));
    out = arena_str(a, buf_str(&b));
    buf_done(&b);
    return out.p ? out : STR("");
}

static bool is_empty(const struct entry *e)
{
    for (int i = 0; i < FIELDS; i++)
        if (e->value[i].len)
            return false;
    return true;
}

/* From the form, or from the elements that clients without forms send. NULL: fine; else what is wrong with it. */
static const char *entry_read(struct arena *a, const struct stanza *iq, const char *ns, struct entry *out)
{
    const struct xml_node *x = xml_child(iq->payload, "x", NS_FORMS);
    struct form            form = { 0 };
    struct str             why;

    if (x && (form_read(a, x, &form) != OK || form.kind != FORM_SUBMIT))
        return "the form cannot be read";
    if (x && form.type.len && !str_is(form.type, ns))
        return "the form is for something else";
    if (x && form_check(a, &form, fields, &why) != OK)
        return why.p;
    for (int i = 0; i < FIELDS; i++) {
        struct str v = x ? form_value(&form, fields[i].var) : xml_child_text(iq->arena, iq->payload, fields[i].var, ns);

        if (v.len > FIELD_BYTES_MAX)
            return "a field is too long";
        out->value[i] = v.p ? arena_str(a, str_trim(v)) : STR("");
    }
    return NULL;
}

static void put_form(struct buf *b, const char *type, const char *instructions, const struct entry *e, bool with_leave)
{
    form_open(b, FORM_EMPTY, type, "Directory", instructions);
    for (int i = 0; i < FIELDS; i++)
        form_put(b, FORM_EMPTY, &fields[i], e && e->value[i].len ? e->value[i] : STR_NULL);
    if (with_leave)
        form_put_int(b, FORM_EMPTY, &leave_row, 0);
    form_close(b);
}

static void put_elements(struct buf *b, const struct entry *e)
{
    for (int i = 0; i < FIELDS; i++) {
        buf_printf(b, "<%s>", fields[i].var);
        if (e)
            xml_put_escaped(b, e->value[i]);
        buf_printf(b, "</%s>", fields[i].var);
    }
}

/* ---- searching ---- */

static struct db_sql find = {
    "SELECT d.jid, d.nick, d.first, d.last, d.email FROM directory d WHERE (?1 = '' OR d.nick_folded LIKE ?1 ESCAPE '!')"
    " AND (?2 = '' OR d.first_folded LIKE ?2 ESCAPE '!') AND (?3 = '' OR d.last_folded LIKE ?3 ESCAPE '!')"
    " AND (?4 = '' OR d.email_folded = ?4) AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.owner = d.owner AND b.jid IN (?5, ?6))"
    " ORDER BY d.jid LIMIT ?7" };

struct searching {
    struct db_read  read;
    struct talk    *t;
    struct iq_later iq;
    struct arena    arena;
    bool            form;
    struct entry    asked;          /* patterns */
    struct str      by, by_domain;
    struct buf      out;
};

/* Whether a word says enough: one letter of a script of syllables or words, two of another. */
static bool says_enough(struct str s)
{
    size_t at = 0;

    if (s.len == 0)
        return true;
    return fold_next(s, &at) >= 0x1100 || at < s.len;
}

static struct str pattern(struct arena *a, struct str s)
{
    struct buf b;
    struct str out;

    if (s.len == 0)
        return s;
    buf_init(&b, 0);
    buf_put_c(&b, '%');
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '%' || s.p[i] == '_' || s.p[i] == '!')
            buf_put_c(&b, '!');
        buf_put_c(&b, s.p[i]);
    }
    buf_put_c(&b, '%');
    out = arena_str(a, buf_str(&b));
    buf_done(&b);
    return out;
}

static void put_found(struct buf *b, bool form, struct str jid, const struct entry *e)
{
    if (!form) {
        BUF_LIT(b, "<item");
        xml_put_attr(b, "jid", jid);
        buf_put_c(b, '>');
        put_elements(b, e);
        BUF_LIT(b, "</item>");
        return;
    }
    BUF_LIT(b, "<item>");
    form_put_value(b, "jid", jid);
    for (int i = 0; i < FIELDS; i++)
        form_put_value(b, fields[i].var, e->value[i]);
    BUF_LIT(b, "</item>");
}

static void open_results(struct buf *b, bool form)
{
    static const struct form_row columns[] = {
        { "jid", FORM_JID, "Address" }, { "nick", FORM_TEXT, "Name" }, { "first", FORM_TEXT, "Given name" },
        { "last", FORM_TEXT, "Family name" }, { "email", FORM_TEXT, "E-mail" }, { 0 },
    };

    BUF_LIT(b, "<query xmlns='" NS_SEARCH "'>");
    if (!form)
        return;
    form_open(b, FORM_RESULT, NS_SEARCH, NULL, NULL);
    form_put_reported(b, columns);
}

static enum err search_work(struct db_conn *c, struct db_read *self)
{
    struct searching *q = (struct searching *)self;
    struct db_stmt   *s = db_prepare(c, &find);
    enum err          e;

    if (!s)
        return ERR_BUG;
    for (int i = 0; i < FIELDS; i++)
        db_bind_str(s, i + 1, q->asked.value[i]);
    db_bind_str(s, 5, q->by);
    db_bind_str(s, 6, q->by_domain);
    db_bind_i64(s, 7, FOUND_MAX);
    open_results(&q->out, q->form);
    while ((e = db_step(s)) == OK) {
        struct entry found;

        for (int i = 0; i < FIELDS; i++)
            found.value[i] = db_text(s, i + 1);
        put_found(&q->out, q->form, db_text(s, 0), &found);
    }
    db_done(s);
    if (q->form)
        form_close(&q->out);
    BUF_LIT(&q->out, "</query>");
    return e == ERR_NOT_FOUND ? OK : e;
}

static void search_done_reading(struct db_read *self, enum err e)
{
    struct searching *q = (struct searching *)self;

    if (e)
        iq_later_error(q->t, &q->iq, e);
    else
        iq_later_result(q->t, &q->iq, buf_str(&q->out));
    buf_done(&q->out);
    arena_done(&q->arena);
    free(q);
}

static enum err search_set(struct session *s, const struct stanza *iq)
{
    struct searching *q;
    struct entry      asked;
    const char       *fault = entry_read(iq->arena, iq, NS_SEARCH, &asked);

    if (!s->person)
        return ERR_DENIED;
    if (!fault && is_empty(&asked))
        fault = "fill in at least one field";
    for (int i = 0; i < FIELDS && !fault; i++)
        if (!says_enough(asked.value[i] = folded(iq->arena, asked.value[i])))
            fault = "one letter is not enough";
    if (fault)
        return iq_error_condition(s, iq, "modify", "not-acceptable", fault);
    q = NEW(struct searching);
    q->t = s->talk;
    q->iq = iq_keep(s, iq);
    arena_init(&q->arena);
    buf_init(&q->out, 0);
    q->form = xml_child(iq->payload, "x", NS_FORMS) != NULL;
    for (int i = 0; i < FIELDS; i++)
        q->asked.value[i] = i == EMAIL ? arena_str(&q->arena, asked.value[i]) : pattern(&q->arena, asked.value[i]);
    q->by = arena_str(&q->arena, s->jid.bare);
    q->by_domain = arena_str(&q->arena, s->jid.domain);
    q->read = (struct db_read){ .work = search_work, .done = search_done_reading, .class = DB_READ_PATIENT };
    if (db_read_start(s->talk->db, &q->read) != OK)
        search_done_reading(&q->read, ERR_LIMIT);
    return OK;
}

static enum err search_get(struct session *s, const struct stanza *iq)
{
    static const char help[] = "Fill in one field or more. Those who entered themselves and have it are found.";
    struct buf       *b;

    if (!s->person)
        return ERR_DENIED;
    b = talk_scratch(s->talk);
    buf_printf(b, "<query xmlns='" NS_SEARCH "'><instructions>%s</instructions>", help);
    put_elements(b, NULL);
    put_form(b, NS_SEARCH, help, NULL, false);
    BUF_LIT(b, "</query>");
    return iq_result_str(s, iq, buf_str(b));
}

/* ---- one's own entry ---- */

static struct db_sql entry_select = { "SELECT nick, first, last, email FROM directory WHERE owner = ?1" };
static struct db_sql entry_put = {
    "INSERT INTO directory(owner, jid, nick, first, last, email, nick_folded, first_folded, last_folded, email_folded)"
    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT(owner) DO UPDATE SET jid = excluded.jid, nick = excluded.nick,"
    " first = excluded.first, last = excluded.last, email = excluded.email, nick_folded = excluded.nick_folded,"
    " first_folded = excluded.first_folded, last_folded = excluded.last_folded, email_folded = excluded.email_folded" };
static struct db_sql entry_delete = { "DELETE FROM directory WHERE owner = ?1" };

struct entering {
    struct change       change;
    struct db_read      read;
    struct talk        *t;
    struct iq_later     iq;         /* or: */
    struct command_run *run;
    struct arena        arena;
    int64_t             owner;
    struct str          jid;
    bool                leave, there;
    struct entry        entry, folded;
};

static struct entering *entering_new(struct talk *t, struct person *p)
{
    struct entering *g = NEW(struct entering);

    g->t = t;
    arena_init(&g->arena);
    g->owner = person_number(p);
    g->jid = arena_str(&g->arena, p->jid.bare);
    return g;
}

static void entering_free(struct entering *g)
{
    arena_done(&g->arena);
    free(g);
}

static enum err enter_apply(struct db_conn *c, struct change *ch)
{
    struct entering  *g = LIST_ITEM(ch, struct entering, change);
    const struct str *v = g->entry.value, *f = g->folded.value;

    if (g->leave)
        return db_run(c, &entry_delete, "i", g->owner);
    return db_run(c, &entry_put, "isssssssss", g->owner, g->jid, v[0], v[1], v[2], v[3], f[0], f[1], f[2], f[3]);
}

static void entered(struct talk *t, struct change *ch, enum err e)
{
    struct entering *g = LIST_ITEM(ch, struct entering, change);

    if (g->run && e)
        command_error(g->run, e);
    else if (g->run)
        command_done(g->run, STR_NULL, g->leave ? "You are not in the directory any more." : "You can be found in the directory now.");
    else if (e)
        iq_later_error(t, &g->iq, e);
    else
        iq_later_result(t, &g->iq, STR_NULL);
    entering_free(g);
}

static void enter(struct entering *g, struct session *s)
{
    for (int i = 0; i < FIELDS; i++)
        g->folded.value[i] = folded(&g->arena, g->entry.value[i]);
    g->change = (struct change){ .apply = enter_apply, .done = entered };
    if (session_change(s, g->t, &g->change) != OK)
        entered(g->t, &g->change, ERR_LIMIT);
}

static enum err entry_work(struct db_conn *c, struct db_read *read)
{
    struct entering *g = LIST_ITEM(read, struct entering, read);
    struct db_stmt  *s;
    enum err         e = db_get(c, &s, &entry_select, "i", g->owner);

    g->there = e == OK;
    for (int i = 0; i < FIELDS && !e; i++)
        g->entry.value[i] = arena_str(&g->arena, db_text(s, i));
    if (s)
        db_done(s);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void show_entry(struct entering *g, enum err e)
{
    static const char help[] = "Whoever has an account here can find you by what you write. Leave out what nobody shall see.";
    struct buf        b;

    buf_init(&b, 0);
    if (g->run && e) {
        command_error(g->run, e);
    } else if (g->run) {
        put_form(&b, NS_ENTRY, help, &g->entry, g->there);
        command_ask(g->run, buf_str(&b), true);
    } else if (e) {
        iq_later_error(g->t, &g->iq, e);
    } else {
        buf_printf(&b, "<query xmlns='" NS_REGISTER "'>%s<instructions>%s</instructions>", g->there ? "<registered/>" : "", help);
        put_elements(&b, &g->entry);
        put_form(&b, NS_REGISTER, help, &g->entry, false);
        BUF_LIT(&b, "</query>");
        iq_later_result(g->t, &g->iq, buf_str(&b));
    }
    buf_done(&b);
    entering_free(g);
}

static void entry_read_done(struct db_read *read, enum err e)
{
    show_entry(LIST_ITEM(read, struct entering, read), e);
}

static void entry_show(struct entering *g)
{
    g->read = (struct db_read){ .work = entry_work, .done = entry_read_done };
    if (db_read_start(g->t->db, &g->read) != OK)
        show_entry(g, ERR_LIMIT);
}

static enum err register_get(struct session *s, const struct stanza *iq)
{
    struct entering *g;

    if (!s->person)
        return ERR_DENIED;
    g = entering_new(s->talk, s->person);
    g->iq = iq_keep(s, iq);
    entry_show(g);
    return OK;
}

static enum err register_set(struct session *s, const struct stanza *iq)
{
    struct entering *g;
    const char      *fault;

    if (!s->person)
        return ERR_DENIED;
    g = entering_new(s->talk, s->person);
    g->leave = xml_child(iq->payload, "remove", NS_REGISTER) != NULL;
    fault = g->leave ? NULL : entry_read(&g->arena, iq, NS_REGISTER, &g->entry);
    if (!fault && !g->leave && is_empty(&g->entry))
        fault = "fill in at least one field";
    if (fault) {
        enum err e = iq_error_condition(s, iq, "modify", "not-acceptable", fault);

        entering_free(g);
        return e;
    }
    g->iq = iq_keep(s, iq);
    enter(g, s);
    return OK;
}

/* ---- the same as a command ---- */

static void entry_step(struct command_run *r)
{
    struct session  *s = session_find(r->talk, r->session_id);
    struct entering *g;
    struct str       why;

    if (!s || !s->person) {
        command_error(r, ERR_DENIED);
        return;
    }
    if (r->stage && form_check(&r->arena, &r->form, fields, &why) != OK) {
        command_again(r, why);
        return;
    }
    g = entering_new(r->talk, s->person);
    g->run = r;
    if (!r->stage) {
        entry_show(g);
        return;
    }
    g->leave = form_bool(&r->form, leave_row.var, false);
    for (int i = 0; i < FIELDS; i++) {
        struct str v = form_value(&r->form, fields[i].var);

        g->entry.value[i] = v.p ? arena_str(&g->arena, str_trim(v)) : STR("");
    }
    if (!g->leave && is_empty(&g->entry)) {
        entering_free(g);
        command_again(r, STR("fill in at least one field"));
        return;
    }
    enter(g, NULL);
}

static const struct command directory_commands[] = {
    { NS_ENTRY "#entry", "Be found in the directory", COMMAND_ON_SERVER | COMMAND_ON_ACCOUNT, false, entry_step, NULL },
    { 0 },
};

/* ---- the host ---- */

static enum err info_get(struct session *s, const struct stanza *iq)
{
    if (xml_attr(iq->payload, "node").len)
        return ERR_NOT_FOUND;
    return iq_result(s, iq, "<query xmlns='" NS_INFO "'><identity category='directory' type='user' name='People'/>"
                            "<feature var='" NS_INFO "'/><feature var='" NS_SEARCH "'/><feature var='" NS_REGISTER "'/>"
                            "<feature var='" NS_FORMS "'/></query>");
}

static enum err items_get(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq, "<query xmlns='" NS_ITEMS "'/>");
}

static const struct iq_handler directory_iqs[] = {
    { "query", NS_INFO, IQ_TO_SERVER, info_get, NULL },
    { "query", NS_ITEMS, IQ_TO_SERVER, items_get, NULL },
    { "query", NS_SEARCH, IQ_TO_SERVER, search_get, search_set },
    { "query", NS_REGISTER, IQ_TO_SERVER, register_get, register_set },
    { 0 },
};

static void directory_take(struct session *from, const struct stanza *st)
{
    if (st->kind == STANZA_IQ)
        host_iq(from, st, directory_iqs);
    else if (st->kind == STANZA_MESSAGE)
        session_bounce(from, st, "cancel", "service-unavailable", NULL);
}

static void directory_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &entry_delete, "i", p->id);
}

static const struct owned xep0055_directory_owned[] = { { "directory" }, { 0 } };

const struct feature xep0055_directory = {
    .spec = "XEP-0055 1.3",
    .title = "Jabber Search",
    .note = "users.DOMAIN: those who entered themselves, by XEP-0077 or by command",
    .host = &(const struct host){ "users", "directory", "user", "People", directory_take },
    .migrations = directory_migrations,
    .commands = directory_commands,
    .person_deleted = directory_deleted,
    .owned = xep0055_directory_owned,
};
