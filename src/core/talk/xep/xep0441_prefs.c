/* XEP-0441 Message Archive Management Preferences 0.2.0: what an account wants kept.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/mem.h"
#include "talk/export.h"
#include "talk/feature.h"
#include "talk/import.h"
#include "talk/owned.h"
#include "talk/message.h"
#include "talk/roster.h"
#include <stdlib.h>

#define NS_MAM "urn:xmpp:mam:2"

enum { PREFS_MAX = 500 };       /* JIDs of one account */

static const struct db_migration prefs_migrations[] = {
    { 1, "prefs",
      "CREATE TABLE archive_pref(owner INTEGER NOT NULL, jid TEXT NOT NULL, policy INTEGER NOT NULL,"
      " PRIMARY KEY(owner, jid)) WITHOUT ROWID;" },
    { 0 },
};

static struct db_sql default_select = { "SELECT archive_default FROM person WHERE id = ?1" };
static struct db_sql default_write = { "UPDATE person SET archive_default = ?2 WHERE id = ?1" };
static struct db_sql prefs_select = { "SELECT jid, policy FROM archive_pref WHERE owner = ?1 ORDER BY jid" };
static struct db_sql prefs_delete = { "DELETE FROM archive_pref WHERE owner = ?1" };
static struct db_sql pref_insert = {
    "INSERT INTO archive_pref(owner, jid, policy) VALUES (?1, ?2, ?3) ON CONFLICT(owner, jid) DO UPDATE SET policy = excluded.policy" };

static const char *const policy_names[] = { [ARCHIVE_ALWAYS] = "always", [ARCHIVE_NEVER] = "never", [ARCHIVE_ROSTER] = "roster" };

/* ---- memory ---- */

static void prefs_clear(struct person *p)
{
    for (int i = 0; i < p->pref_count; i++)
        free((char *)p->prefs[i].jid.p);
    free(p->prefs);
    p->prefs = NULL;
    p->pref_count = 0;
}

static void prefs_add(struct person *p, struct str jid, int policy)
{
    p->prefs = mem_resize(p->prefs, sizeof *p->prefs * (size_t)(p->pref_count + 1));
    p->prefs[p->pref_count].jid = str_make(str_dup(jid), jid.len);
    p->prefs[p->pref_count++].policy = (uint8_t)policy;
}

static void prefs_loaded(struct person *p, struct db_conn *c)
{
    struct db_stmt *row;

    if (db_get(c, &row, &default_select, "i", p->id) == OK)
        p->archive_default = (uint8_t)db_i64(row, 0);
    if (row)
        db_done(row);
    row = db_prepare(c, &prefs_select);
    if (!row)
        return;
    db_bind_i64(row, 1, p->id);
    while (db_step(row) == OK)
        prefs_add(p, db_text(row, 0), (int)db_i64(row, 1));
    db_done(row);
}

static void prefs_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &prefs_delete, "i", p->id);
}

/* Lists name bare JIDs here; what was said for one resource is kept for the person. */
bool archive_keeps(struct person *p, struct str peer_bare)
{
    struct roster_item *item;

    for (int i = 0; i < p->pref_count; i++)
        if (str_eq(p->prefs[i].jid, peer_bare))
            return p->prefs[i].policy == ARCHIVE_ALWAYS;
    if (p->archive_default != ARCHIVE_ROSTER)
        return p->archive_default == ARCHIVE_ALWAYS;
    item = person_item(p, peer_bare);
    return item && item->listed;
}

/* ---- one durable change ---- */

struct prefs_op {
    struct change   change;
    struct arena    arena;
    struct person  *person;
    struct iq_later iq;
    int64_t         owner;
    int             policy, count;
    struct { struct str jid; int policy; } *prefs;
};

static enum err prefs_apply(struct db_conn *c, struct change *ch)
{
    struct prefs_op *o = (struct prefs_op *)ch;
    enum err         e = db_run(c, &default_write, "ii", o->owner, (int64_t)o->policy);

    if (!e)
        e = db_run(c, &prefs_delete, "i", o->owner);
    for (int i = 0; i < o->count && !e; i++)
        e = db_run(c, &pref_insert, "isi", o->owner, o->prefs[i].jid, (int64_t)o->prefs[i].policy);
    return e;
}

static void put_list(struct buf *b, const struct person *p, int policy)
{
    buf_printf(b, "<%s>", policy_names[policy]);
    for (int i = 0; i < p->pref_count; i++) {
        if (p->prefs[i].policy != policy)
            continue;
        BUF_LIT(b, "<jid>");
        xml_put_escaped(b, p->prefs[i].jid);
        BUF_LIT(b, "</jid>");
    }
    buf_printf(b, "</%s>", policy_names[policy]);
}

static void put_prefs(struct buf *b, const struct person *p)
{
    buf_printf(b, "<prefs xmlns='" NS_MAM "' default='%s'>", policy_names[p->archive_default <= ARCHIVE_ROSTER ? p->archive_default : 0]);
    put_list(b, p, ARCHIVE_ALWAYS);
    put_list(b, p, ARCHIVE_NEVER);
    BUF_LIT(b, "</prefs>");
}

static void prefs_done(struct talk *t, struct change *ch, enum err e)
{
    struct prefs_op *o = (struct prefs_op *)ch;
    struct buf       b;

    buf_init(&b, 0);
    put_prefs(&b, o->person);
    if (!e)
        person_tell_changed(o->person);
    if (e)
        iq_later_error(t, &o->iq, e);
    else
        iq_later_result(t, &o->iq, buf_str(&b));
    buf_done(&b);
    roster_leave(o->person, e);
    arena_done(&o->arena);
    free(o);
}

/* ---- the protocol ---- */

static bool is_own(const struct session *s, const struct stanza *iq)
{
    return !iq->has_to || str_eq(iq->to.full, s->jid.bare);
}

static enum err prefs_get(struct session *s, const struct stanza *iq)
{
    struct buf *b;

    if (!is_own(s, iq))
        return ERR_DENIED;
    b = talk_scratch(s->talk);
    put_prefs(b, s->person);
    return iq_result_str(s, iq, buf_str(b));
}

static bool read_policy(struct str text, int *out)
{
    for (int i = ARCHIVE_ALWAYS; i <= ARCHIVE_ROSTER; i++)
        if (str_is(text, policy_names[i]))
            return *out = i, true;
    return false;
}

/* NULL: fine */
static const char *read_list(struct prefs_op *o, const struct stanza *iq, int policy)
{
    const struct xml_node *list = xml_child(iq->payload, policy_names[policy], NS_MAM);

    for (const struct xml_node *n = list ? xml_first(list) : NULL; n; n = xml_next(n)) {
        struct jid j;

        if (!xml_is(n, "jid", NS_MAM))
            continue;
        if (o->count == PREFS_MAX)
            return "resource-constraint";
        if (jid_parse(&o->arena, arena_str(&o->arena, str_trim(xml_text(iq->arena, n))), &j) != OK)
            return "jid-malformed";
        o->prefs[o->count].jid = j.bare;
        o->prefs[o->count++].policy = policy;
    }
    return NULL;
}

static enum err prefs_set(struct session *s, const struct stanza *iq)
{
    struct prefs_op *o;
    const char      *fault;
    enum err         e;

    if (!is_own(s, iq))
        return ERR_DENIED;
    o = NEW(struct prefs_op);
    arena_init(&o->arena);
    o->prefs = arena_alloc(&o->arena, sizeof *o->prefs * PREFS_MAX);
    fault = read_policy(xml_attr(iq->payload, "default"), &o->policy) ? NULL : "bad-request";
    if (!fault)
        fault = read_list(o, iq, ARCHIVE_ALWAYS);
    if (!fault)
        fault = read_list(o, iq, ARCHIVE_NEVER);
    if (fault) {
        arena_done(&o->arena);
        free(o);
        return iq_error_condition(s, iq, "modify", fault, NULL);
    }
    o->person = s->person;
    prefs_clear(o->person);
    o->person->archive_default = (uint8_t)o->policy;
    for (int i = 0; i < o->count; i++)
        prefs_add(o->person, o->prefs[i].jid, o->prefs[i].policy);
    roster_enter(o->person);
    o->owner = person_number(o->person);
    o->iq = iq_keep(s, iq);
    o->change.apply = prefs_apply;
    o->change.done = prefs_done;
    e = session_change(s, s->talk, &o->change);
    if (e)
        prefs_done(s->talk, &o->change, e);
    return OK;
}

static const struct iq_handler prefs_iqs[] = {
    { "prefs", NS_MAM, IQ_TO_SELF | IQ_TO_OTHER, prefs_get, prefs_set },
    { 0 },
};

static void prefs_export(struct person_export *x)
{
    struct person p = { .id = x->owner };

    prefs_loaded(&p, x->conn);
    buf_printf(&x->xml, "<prefs xmlns='" NS_MAM "' default='%s'>", policy_names[p.archive_default]);
    for (int policy = ARCHIVE_ALWAYS; policy <= ARCHIVE_NEVER; policy++) {
        buf_printf(&x->xml, "<%s>", policy_names[policy]);
        for (int i = 0; i < p.pref_count; i++)
            if (p.prefs[i].policy == policy) {
                BUF_LIT(&x->xml, "<jid>");
                xml_put_escaped(&x->xml, p.prefs[i].jid);
                BUF_LIT(&x->xml, "</jid>");
                export_count(x, "preferences", 1);
            }
        buf_printf(&x->xml, "</%s>", policy_names[policy]);
    }
    BUF_LIT(&x->xml, "</prefs>\n");
    prefs_clear(&p);
}

static const struct owned xep0441_prefs_owned[] = { { "archive_pref" }, { 0 } };

static enum err prefs_take(struct import *x)
{
    struct str text = xml_attr(x->event->node, "default");
    enum err   e = OK;

    for (int policy = ARCHIVE_ALWAYS; policy <= ARCHIVE_ROSTER; policy++)
        if (str_is(text, policy_names[policy]))
            e = db_run(x->conn, &default_write, "ii", x->owner, (int64_t)policy);
    for (int policy = ARCHIVE_ALWAYS; policy <= ARCHIVE_NEVER; policy++) {
        const struct xml_node *list = xml_child(x->event->node, policy_names[policy], NULL);

        for (const struct xml_node *n = list ? xml_first(list) : NULL; n && !e; n = xml_next(n)) {
            struct jid j;

            if (jid_parse(&x->arena, str_trim(xml_text(&x->arena, n)), &j) == OK)
                e = db_run(x->conn, &pref_insert, "isi", x->owner, j.bare, (int64_t)policy);
        }
    }
    return e;
}

static const struct import_handler xep0441_prefs_imports[] = {
    { "prefs", NULL, NULL, NULL, "archive preferences", prefs_take },
    { 0 },
};

const struct feature xep0441_prefs = {
    .spec = "XEP-0441 0.2.0",
    .title = "Message Archive Management Preferences",
    .iqs = prefs_iqs,
    .migrations = prefs_migrations,
    .person_loaded = prefs_loaded,
    .person_deleted = prefs_deleted,
    .owned = xep0441_prefs_owned,
    .person_export = prefs_export,
    .imports = xep0441_prefs_imports,
};
