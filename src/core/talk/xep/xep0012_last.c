/* XEP-0012 Last Activity 2.0: for how long an account has been away, and the server up.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0012_last.h"
#include "base/clock.h"
#include "base/mem.h"
#include "talk/devices.h"
#include "talk/feature.h"
#include "talk/owned.h"
#include <stdlib.h>

#define NS_LAST "jabber:iq:last"

static const struct db_migration last_migrations[] = {
    { 1, "last", "CREATE TABLE last(owner INTEGER PRIMARY KEY, at INTEGER NOT NULL, status TEXT);" },
    { 0 },
};

static struct db_sql last_write = {
    "INSERT INTO last(owner, at, status) VALUES (?1, ?2, ?3)"
    " ON CONFLICT(owner) DO UPDATE SET at = excluded.at, status = excluded.status" };
static struct db_sql last_select = { "SELECT at, status FROM last WHERE owner = ?1" };
static struct db_sql last_delete = { "DELETE FROM last WHERE owner = ?1" };

struct last_op {
    struct change change;
    int64_t       owner, at_us;
    char         *status;
};

static enum err last_apply(struct db_conn *c, struct change *ch)
{
    struct last_op *o = (struct last_op *)ch;

    return db_run(c, &last_write, "iis", o->owner, o->at_us, str_of(o->status));
}

static void last_done(struct talk *t, struct change *ch, enum err e)
{
    (void)t;
    (void)e;    /* a courtesy: the next time is as good */
    free(((struct last_op *)ch)->status);
    free(ch);
}

static bool anyone_available(struct person *p)
{
    if (devices_reach(p))
        return true;
    LIST_EACH(it, &p->sessions)
        if (session_available(LIST_ITEM(it, struct session, in_person)))
            return true;
    return false;
}

void last_unavailable(struct session *s, struct str status)
{
    struct last_op *o;

    if (anyone_available(s->person) || s->person->deleted)
        return;
    o = NEW(struct last_op);
    o->change.apply = last_apply;
    o->change.done = last_done;
    o->owner = person_number(s->person);
    o->at_us = clock_us();
    o->status = status.len && status.len <= LAST_STATUS_BYTES_MAX ? str_dup(status) : NULL;
    if (session_change(NULL, s->talk, &o->change) != OK)
        last_done(s->talk, &o->change, ERR_LIMIT);
}

static void put_answer(struct buf *b, int64_t since_us, struct str status)
{
    int64_t seconds = since_us ? (clock_us() - since_us) / 1000000 : 0;

    buf_printf(b, "<query xmlns='" NS_LAST "' seconds='%lld'>", (long long)(seconds > 0 ? seconds : 0));
    xml_put_escaped(b, status);
    BUF_LIT(b, "</query>");
}

static enum err answer(struct session *s, const struct stanza *iq, int64_t since_us)
{
    struct buf *b = talk_scratch(s->talk);

    put_answer(b, since_us, STR_NULL);
    return iq_result_str(s, iq, buf_str(b));
}

/* Read inside the batch, behind a row that may just be on its way. */
struct last_ask {
    struct change   change;
    struct iq_later iq;
    int64_t         owner, at_us;
    char           *status;
};

static enum err ask_apply(struct db_conn *c, struct change *ch)
{
    struct last_ask *o = (struct last_ask *)ch;
    struct db_stmt  *row;
    enum err         e = db_get(c, &row, &last_select, "i", o->owner);

    o->at_us = e ? 0 : db_i64(row, 0);
    free(o->status);
    o->status = e ? NULL : str_dup(db_text(row, 1));
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void ask_done(struct talk *t, struct change *ch, enum err e)
{
    struct last_ask *o = (struct last_ask *)ch;
    struct buf       b;

    buf_init(&b, 0);
    if (e || !o->at_us) {
        iq_later_error(t, &o->iq, e ? e : ERR_NOT_FOUND);
    } else {
        put_answer(&b, o->at_us, str_of(o->status));
        iq_later_result(t, &o->iq, buf_str(&b));
    }
    buf_done(&b);
    free(o->status);
    free(o);
}

static enum err last_of_person(struct session *s, const struct stanza *iq, struct person *p)
{
    struct last_ask *o;

    if (!person_may_see(p, s->jid.bare))
        return ERR_DENIED;          /* §4: no presence leak */
    if (anyone_available(p))
        return answer(s, iq, 0);
    o = NEW(struct last_ask);
    o->change.apply = ask_apply;
    o->change.done = ask_done;
    o->owner = p->id;
    o->iq = iq_keep(s, iq);
    if (session_change(NULL, s->talk, &o->change) != OK)
        ask_done(s->talk, &o->change, ERR_LIMIT);
    return OK;
}

static enum err last_get(struct session *s, const struct stanza *iq)
{
    struct person *p;

    if (!iq->has_to)
        return last_of_person(s, iq, s->person);
    if (iq->to.local.len == 0)
        return answer(s, iq, s->talk->started_us);
    p = person_known(s->talk, iq->to.local);
    return p ? last_of_person(s, iq, p) : ERR_NOT_FOUND;
}

/* §5: a client may be asked only by those who may see the presence of its account. */
static enum verdict last_guard(struct person *to, struct session *from, const struct stanza *st)
{
    if (st->kind != STANZA_IQ || st->type != TYPE_GET || st->to.resource.len == 0 || !str_is(st->payload->ns, NS_LAST) ||
        person_may_see(to, from->jid.bare))
        return PASS;
    iq_error(from, st, ERR_DENIED);
    return STOP;
}

static void last_deleted(struct person *p, struct db_conn *c)
{
    db_run(c, &last_delete, "i", p->id);
}

static const struct iq_handler last_iqs[] = {
    { "query", NS_LAST, IQ_TO_SERVER | IQ_TO_SELF | IQ_TO_OTHER | IQ_FROM_GUEST, last_get, NULL },
    { 0 },
};
static const char *const last_disco[] = { NS_LAST, NULL };

static const struct owned xep0012_last_owned[] = { { "last" }, { 0 } };

const struct feature xep0012_last = {
    .spec = "XEP-0012 2.0",
    .title = "Last Activity",
    .disco_server = last_disco,
    .disco_account = last_disco,
    .iqs = last_iqs,
    .migrations = last_migrations,
    .stanza_in = last_guard,
    .person_deleted = last_deleted,
    .owned = xep0012_last_owned,
};
