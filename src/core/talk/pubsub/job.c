/* job.c: the life of a request: which verb it is, where it runs, and its answer.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/xep/xep0398_avatars.h"
#include <stdlib.h>

METRIC_COUNTER(questions, "bongsu_talk_pubsub_reads", "PubSub requests that only read.");
METRIC_COUNTER(changes, "bongsu_talk_pubsub_changes", "PubSub requests that change something.");
METRIC_COUNTER(refusals, "bongsu_talk_pubsub_refused", "PubSub requests answered with an error.");

const struct fault fault_bad_request = { "bad-request", NULL, NULL, NULL };
const struct fault fault_not_found = { "item-not-found", NULL, NULL, NULL };
const struct fault fault_forbidden = { "forbidden", NULL, NULL, NULL };
const struct fault fault_conflict = { "conflict", NULL, NULL, NULL };
const struct fault fault_limit = { "resource-constraint", NULL, NULL, "a limit of this account was reached" };
const struct fault fault_nodeid_required = { "bad-request", "nodeid-required", NULL, NULL };
const struct fault fault_item_required = { "bad-request", "item-required", NULL, NULL };
const struct fault fault_too_big = { "not-acceptable", "payload-too-big", NULL, NULL };

static const struct {
    const char *name, *ns;
    bool        set;
    verb_fn    *run;
} verbs[] = {
    { "items", NS_PUBSUB, false, verb_items },
    { "subscriptions", NS_PUBSUB, false, verb_subscriptions },
    { "affiliations", NS_PUBSUB, false, verb_affiliations },
    { "default", NS_PUBSUB, false, verb_default },
    { "options", NS_PUBSUB, false, verb_options },
    { "options", NS_PUBSUB, true, verb_options },
    { "publish", NS_PUBSUB, true, verb_publish },
    { "retract", NS_PUBSUB, true, verb_retract },
    { "create", NS_PUBSUB, true, verb_create },
    { "subscribe", NS_PUBSUB, true, verb_subscribe },
    { "unsubscribe", NS_PUBSUB, true, verb_unsubscribe },
    { "configure", NS_PUBSUB_OWNER, false, verb_configure_get },
    { "configure", NS_PUBSUB_OWNER, true, verb_configure_set },
    { "default", NS_PUBSUB_OWNER, false, verb_owner_default },
    { "delete", NS_PUBSUB_OWNER, true, verb_delete },
    { "purge", NS_PUBSUB_OWNER, true, verb_purge },
    { "subscriptions", NS_PUBSUB_OWNER, false, verb_owner_subscriptions_get },
    { "subscriptions", NS_PUBSUB_OWNER, true, verb_owner_subscriptions_set },
    { "affiliations", NS_PUBSUB_OWNER, false, verb_owner_affiliations_get },
    { "affiliations", NS_PUBSUB_OWNER, true, verb_owner_affiliations_set },
    { 0 },
};

/* ---- life ---- */

struct job *job_new(struct talk *t, const struct service *at)
{
    struct job *j = NEW(struct job);

    j->talk = t;
    j->service = *at;
    arena_init(&j->arena);
    arena_init(&j->work);
    j->service.bare = arena_str(&j->arena, at->bare);
    if (j->service.person)
        person_ref(j->service.person);
    buf_init(&j->out, 0);
    buf_init(&j->fault_extra, 0);
    j->notes_end = &j->notes;
    return j;
}

void job_free(struct job *j)
{
    if (j->service.person)
        person_unref(j->service.person);
    free(j->iq.id);
    free(j->iq.to);
    buf_done(&j->out);
    buf_done(&j->fault_extra);
    arena_done(&j->arena);
    arena_done(&j->work);
    free(j);
}

void job_asker(struct job *j, struct str bare, struct str full, bool local)
{
    j->asker.bare = arena_str(&j->arena, bare);
    j->asker.full = arena_str(&j->arena, full);
    j->asker.local = local;
    j->asker.self = j->service.pep && str_eq(bare, j->service.bare);
}

enum err job_payload(struct job *j, struct str xml)
{
    struct xml_node *n;

    if (xml_parse(&j->arena, arena_str(&j->arena, xml), NULL, &n) != XML_FINE)
        return ERR_INVALID;
    j->payload = n;
    j->payload_bytes = xml.len;
    j->verb = xml_first(n);
    return OK;
}

struct service service_of(struct person *p)
{
    return (struct service){ .owner = person_number(p), .pep = true, .bare = p->jid.bare, .person = p };
}

struct job *job_ask(struct session *s, const struct stanza *iq, const struct service *at, verb_fn *run)
{
    struct job *j = job_new(s->talk, at);
    struct buf *b = talk_scratch(s->talk);

    job_asker(j, s->jid.bare, s->jid.full, str_eq(s->jid.domain, s->talk->domain));
    xml_put_node(b, iq->payload, STR_NULL);
    if (job_payload(j, buf_str(b)) != OK) {
        job_free(j);
        return NULL;
    }
    j->iq = iq_keep(s, iq);
    j->run = run;
    return j;
}

enum err job_fail(struct job *j, const struct fault *f)
{
    j->fault = f;
    return OK;
}

static const enum err UNDONE = ERR_INVALID; /* of the batch: this operation alone leaves no trace */

enum err job_undo(struct job *j, const struct fault *f)
{
    j->fault = f;
    return UNDONE;
}

/* ---- the answer ---- */

static const char *type_of(const char *condition)
{
    static const struct {
        const char *condition, *type;
    } types[] = {
        { "bad-request", "modify" },  { "not-acceptable", "modify" },    { "jid-malformed", "modify" },  { "forbidden", "auth" },
        { "not-authorized", "auth" }, { "resource-constraint", "wait" }, { "policy-violation", "wait" }, { NULL, NULL },
    };

    for (int i = 0; types[i].condition; i++)
        if (strcmp(types[i].condition, condition) == 0)
            return types[i].type;
    return "cancel";
}

static void put_fault(struct buf *b, const struct fault *f)
{
    /* Profanity makes a first OMEMO device list only if it is told by a number of before RFC 6120 that there
     * is none (XEP-0086). */
    buf_printf(b, "<error%s type='%s'><%s xmlns='" NS_STANZA_ERRORS "'/>", f == &fault_not_found ? " code='404'" : "",
               type_of(f->condition), f->condition);
    if (f->text)
        buf_printf(b, "<text xmlns='" NS_STANZA_ERRORS "' xml:lang='en'>%s</text>", f->text);
    if (f->specific && f->feature)
        buf_printf(b, "<%s xmlns='" NS_PUBSUB_ERRORS "' feature='%s'/>", f->specific, f->feature);
    else if (f->specific)
        buf_printf(b, "<%s xmlns='" NS_PUBSUB_ERRORS "'/>", f->specific);
    BUF_LIT(b, "</error>");
}

static void answer(struct job *j, enum err e)
{
    struct buf b;

    if (!j->iq.id)
        return;
    if (e && !(e == UNDONE && j->fault)) {
        iq_later_error(j->talk, &j->iq, e);
        return;
    }
    if (!j->fault) {
        iq_later_result(j->talk, &j->iq, buf_str(&j->out));
        return;
    }
    metric_add(&refusals, 1);
    buf_init(&b, 0);
    buf_put_str(&b, buf_str(&j->fault_extra));
    put_fault(&b, j->fault);
    iq_later_answer(j->talk, &j->iq, "error", buf_str(&b));
    buf_done(&b);
}

/* ---- running ---- */

static enum err run(struct job *j, struct db_conn *c)
{
    arena_reset(&j->work);
    buf_clear(&j->out);
    buf_clear(&j->fault_extra);
    j->fault = NULL;
    j->notes = NULL;
    j->notes_end = &j->notes;
    return j->run(j, c);
}

static enum err read_work(struct db_conn *c, struct db_read *self)
{
    struct job *j = LIST_ITEM(self, struct job, read);
    enum err    e = run(j, c);

    return e ? e : db_conn_state(c);
}

static void finish(struct job *j, enum err e)
{
    struct session *s = session_find(j->talk, j->iq.session_id);

    timer_stop(j->talk->loop, &j->patience);
    answer(j, e);
    if (!e && !j->fault)
        notes_send(j);
    if (j->done)
        j->done(j, e);
    if (j->held && s && s->state != SESSION_CLOSED)
        session_continue(s);
    job_free(j);
}

static void read_done(struct db_read *self, enum err e)
{
    finish(LIST_ITEM(self, struct job, read), e);
}

static void read_start(struct talk *t, void *arg)
{
    struct job *j = arg;

    if (db_read_start(t->db, &j->read) != OK)
        finish(j, ERR_LIMIT);
}

static enum err change_work(struct db_conn *c, struct change *self)
{
    return run(LIST_ITEM(self, struct job, change), c);
}

static void change_done(struct talk *t, struct change *self, enum err e)
{
    (void)t;
    finish(LIST_ITEM(self, struct job, change), e);
}

void job_read(struct job *j, struct session *s)
{
    metric_add(&questions, 1);
    j->newest = !j->talk->shared;
    j->read = (struct db_read){ .work = read_work, .done = read_done };
    if (!s) {
        read_start(j->talk, j);
        return;
    }
    if (s->conn) { /* one question at a time: its answer may be large */
        j->held = true;
        session_hold(s);
    }
    session_after_commits(s, read_start, j);
}

static void too_late(struct timer *timer)
{
    struct job *j = LIST_ITEM(timer, struct job, patience);
    struct buf  b;

    buf_init(&b, 0);
    j->late(j, &b);
    iq_later_result(j->talk, &j->iq, buf_str(&b)); /* and nothing more when it is known */
    buf_done(&b);
}

void job_change(struct job *j, struct session *s)
{
    enum err e;

    j->newest = true;
    if (j->late)
        timer_start(j->talk->loop, &j->patience, PROFILE_PATIENCE_MS, too_late);
    metric_add(&changes, 1);
    j->change.apply = change_work;
    j->change.done = change_done;
    e = session_change(s, j->talk, &j->change);
    if (e)
        finish(j, e);
}

void job_view(struct job *j, struct session *s, void (*late)(const struct job *j, struct buf *out))
{
    if (!j->talk->shared || j->asker.self) {
        job_read(j, s);
        return;
    }
    j->late = late;
    job_change(j, s);
}

/* ---- a request of a client ---- */

static int verb_of(const struct stanza *iq)
{
    const struct xml_node *x = xml_first(iq->payload);

    for (int i = 0; x && verbs[i].name; i++)
        if (xml_is(x, verbs[i].name, verbs[i].ns) && verbs[i].set == (iq->type == TYPE_SET) && str_is(iq->payload->ns, verbs[i].ns))
            return i;
    return -1;
}

enum err pubsub_ask(struct session *s, const struct stanza *iq, const struct service *at)
{
    int         v = verb_of(iq);
    struct job *j;
    bool        profile;

    if (v < 0)
        return iq_error_condition(s, iq, "modify", "bad-request", "a pubsub request that is not known");
    j = job_ask(s, iq, at, verbs[v].run);
    if (!j)
        return ERR_INVALID;
    profile = shows_profile(at, xml_attr(j->verb, "node"));
    if (verbs[v].set) {
        j->done = profile ? avatar_changed : NULL;
        job_change(j, s);
    } else if (profile && j->run == verb_items) {
        job_view(j, s, profile_items_late);
    } else {
        job_read(j, s);
    }
    return OK;
}
