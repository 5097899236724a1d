/* XEP-0054 vcard-temp 1.3.0: one's own card to write, everyone's to read: what each reader gets is talk/profile.h's to say. The
 * picture of the card is the account's avatar (xep0398_avatars.c) and is kept only there.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/export.h"
#include "talk/import.h"
#include "talk/owned.h"
#include "talk/pubsub/inner.h"
#include "talk/xep/xep0398_avatars.h"

#define NS_VCARD "vcard-temp"

enum { VCARD_BYTES_MAX = 128 * 1024 };      /* with the picture */

static const struct db_migration vcard_migrations[] = {
    { 1, "vcard", "CREATE TABLE vcard(owner INTEGER PRIMARY KEY, xml TEXT NOT NULL);" },
    { 0 },
};

static struct db_sql vcard_write = {
    "INSERT INTO vcard(owner, xml) VALUES (?1, ?2) ON CONFLICT(owner) DO UPDATE SET xml = excluded.xml" };
static struct db_sql vcard_select = { "SELECT xml FROM vcard WHERE owner = ?1" };
static struct db_sql vcard_delete = { "DELETE FROM vcard WHERE owner = ?1" };

/* ---- reading ---- */

static void put_without_photo(struct buf *b, const struct xml_node *card, bool keep_photo)
{
    BUF_LIT(b, "<vCard xmlns='" NS_VCARD "'>");
    for (const struct xml_node *x = xml_first(card); x; x = xml_next(x))
        if (keep_photo || !xml_is(x, "PHOTO", NS_VCARD))
            xml_put_node(b, x, STR(NS_VCARD));
}

/* The basic card: what is kept, and the avatar if the reader may see that (its node's access model). Cards from before the avatar
 * was kept apart still have their picture inside. */
static enum err basic_card(struct job *j, struct db_conn *c)
{
    struct db_stmt  *row = NULL;
    struct xml_node *card = NULL;
    struct avatar    av;
    bool             there;
    enum err         e = avatar_read(j, c, &av, &there);

    if (e)
        return e;
    e = db_get(c, &row, &vcard_select, "i", j->service.owner);
    if (!e && xml_parse(&j->work, arena_str(&j->work, db_text(row, 0)), NULL, &card) != XML_FINE)
        card = NULL;
    if (row)
        db_done(row);
    if (e && e != ERR_NOT_FOUND)
        return e;
    if (!card && !av.data.len && !j->asker.self)
        return job_fail(j, &fault_not_found);
    if (card)
        put_without_photo(&j->out, card, !there);
    else
        BUF_LIT(&j->out, "<vCard xmlns='" NS_VCARD "'>");
    if (av.data.len)
        avatar_put_photo(&j->out, &av);
    BUF_LIT(&j->out, "</vCard>");
    return OK;
}

static enum err verb_card(struct job *j, struct db_conn *c)
{
    struct profile_view v = profile_of_job(j, c);
    struct profile      p;
    enum err            e;

    if (v.kind == PROFILE_OWN || v.kind == PROFILE_BASIC) {
        e = basic_card(j, c);
        if (e || profile_still(c, &v))
            return e;
        buf_clear(&j->out);
        j->fault = NULL;
        v.kind = PROFILE_MINIMAL;
    }
    profile_read(c, &j->work, &v, &p);
    profile_put_vcard(&j->out, &p);
    return OK;
}

static void card_late(const struct job *j, struct buf *out)
{
    struct profile p = { .name = profile_local(j->service.bare) };

    profile_put_vcard(out, &p);
}

static enum err vcard_get(struct session *s, const struct stanza *iq)
{
    struct person *p = iq->has_to ? person_known(s->talk, iq->to.local) : s->person;
    struct service at;
    struct job    *j;

    if (!p)
        return ERR_NOT_FOUND;
    at = service_of(p);
    j = job_ask(s, iq, &at, verb_card);
    if (!j)
        return ERR_INVALID;
    job_view(j, s, card_late);
    return OK;
}

/* ---- writing ---- */

static enum err verb_write(struct job *j, struct db_conn *c)
{
    struct buf b;
    enum err   e;

    buf_init(&b, 0);
    put_without_photo(&b, j->payload, false);
    BUF_LIT(&b, "</vCard>");
    e = db_run(c, &vcard_write, "is", j->service.owner, buf_str(&b));
    buf_done(&b);
    if (!e)
        e = avatar_from_card(j, c, xml_child(j->payload, "PHOTO", NS_VCARD));
    return e || !j->fault ? e : job_undo(j, j->fault);
}

static enum err vcard_set(struct session *s, const struct stanza *iq)
{
    struct service at;
    struct job    *j;

    if (!s->person || (iq->has_to && !str_eq(iq->to.full, s->jid.bare)))
        return ERR_DENIED;      /* §3.3 */
    at = service_of(s->person);
    j = job_ask(s, iq, &at, verb_write);
    if (!j)
        return ERR_INVALID;
    if (j->payload_bytes > VCARD_BYTES_MAX) {
        job_free(j);
        return iq_error_condition(s, iq, "modify", "resource-constraint", "the card is larger than 128 KiB");
    }
    j->done = avatar_changed;
    job_change(j, s);
    return OK;
}

static void vcard_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &vcard_delete, "i", p->id);
}

static const struct iq_handler vcard_iqs[] = {
    { "vCard", NS_VCARD, IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, vcard_get, vcard_set },
    { 0 },
};
static const char *const vcard_disco[] = { NS_VCARD, NULL };

/* The parts of a card that are text, a line for each. */
static void put_readable_card(struct person_export *x, const struct xml_node *n)
{
    for (const struct xml_node *c = xml_first(n); c; c = xml_next(c)) {
        struct str text = str_trim(xml_text(x->arena, c));

        if (str_is(c->name, "PHOTO") || str_is(c->name, "LOGO"))
            continue;
        if (text.len) {
            BUF_LIT(&x->html, "<tr><th>");
            export_put_text(&x->html, c->name);
            BUF_LIT(&x->html, "</th><td>");
            export_put_text(&x->html, text);
            BUF_LIT(&x->html, "</td></tr>\n");
        }
        put_readable_card(x, c);
    }
}

static void vcard_export(struct person_export *x)
{
    struct db_stmt  *row;
    struct xml_node *n;
    enum err         e = db_get(x->conn, &row, &vcard_select, "i", x->owner);

    if (!e) {
        buf_put_str(&x->xml, db_text(row, 0));
        buf_put_c(&x->xml, '\n');
        export_count(x, "cards", 1);
        export_heading(x, "Card", "명함");
        BUF_LIT(&x->html, "<table>\n");
        if (xml_parse(x->arena, arena_str(x->arena, db_text(row, 0)), NULL, &n) == XML_FINE)
            put_readable_card(x, n);
        BUF_LIT(&x->html, "</table>\n");
    }
    if (row)
        db_done(row);
    if (e && e != ERR_NOT_FOUND)
        export_fail(x, e);
}

static const struct owned xep0054_vcard_owned[] = { { "vcard" }, { 0 } };

static enum err vcard_take(struct import *x)
{
    static struct db_sql insert = { "INSERT INTO vcard(owner, xml) VALUES (?1, ?2) ON CONFLICT DO NOTHING" };
    struct buf           b;
    enum err             e;

    buf_init(&b, 0);
    xml_put_node(&b, x->event->node, STR_NULL);
    if (b.len > VCARD_BYTES_MAX) {
        x->why = STR("it is too large");
        e = ERR_INVALID;
    } else {
        e = db_run(x->conn, &insert, "is", x->owner, buf_str(&b));
    }
    buf_done(&b);
    return e ? e : db_changes(x->conn) ? OK : ERR_EXISTS;
}

static const struct import_handler xep0054_vcard_imports[] = {
    { "vCard", NS_VCARD, NULL, NULL, "cards", vcard_take },
    { 0 },
};

const struct feature xep0054_vcard = {
    .spec = "XEP-0054 1.3.0",
    .title = "vcard-temp",
    .disco_server = vcard_disco,
    .disco_account = vcard_disco,
    .iqs = vcard_iqs,
    .migrations = vcard_migrations,
    .person_deleted = vcard_deleted,
    .owned = xep0054_vcard_owned,
    .person_export = vcard_export,
    .imports = xep0054_vcard_imports,
};
