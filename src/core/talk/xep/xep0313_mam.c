/* XEP-0313 Message Archive Management 1.1.3: asking one's own log. What is in it is written by
 * talk/message.c; here are the rule of what is worth keeping, and the queries.
 *
 * A query becomes one read on a worker, which also writes the whole page out as text; the loop
 * then only passes the pieces on. The client's next stanza waits for it, so one client has at
 * most one page in memory.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/archive.h"
#include "talk/archive_id.h"
#include "talk/feature.h"
#include "talk/import.h"
#include "talk/jids.h"
#include "talk/message.h"
#include "talk/rooms/room_author.h"
#include "talk/xep/xep0313_mam.h"
#include "talk/search.h"
#include "talk/xep/xep0431_fulltext.h"
#include <stdlib.h>

#define NS_MAM  "urn:xmpp:mam:2"
#define NS_DATA "jabber:x:data"
#define NS_RSM  "http://jabber.org/protocol/rsm"

METRIC_COUNTER(pages_read, "bongsu_talk_archive_pages", "Pages of history read.");
METRIC_COUNTER(messages_read, "bongsu_talk_archive_messages_read", "Messages sent from the archive.");

enum { QUERYID_BYTES_MAX = 256 };

/* ---- what is worth keeping (§5.1.1) ---- */

bool archive_wanted(const struct stanza *m)
{
    if (m->type != TYPE_CHAT && m->type != TYPE_NORMAL)
        return false;
    for (const struct xml_node *n = xml_first(m->node); n; n = xml_next(n))
        if (xml_is(n, "body", NS_CLIENT) || (features_payload(n->name, n->ns) & PAYLOAD_KEPT))
            return true;
    return false;
}

/* ---- one query ---- */

struct query {
    struct db_read        read;
    struct talk          *talk;
    struct iq_later       iq;
    struct arena          arena;
    struct archive_filter filter;
    struct search_query   search;
    int                   max;
    bool                  backwards, flip, only_count;
    struct str            queryid;      /* p NULL: none */
    struct str            bare, full;   /* copies: whose archive it is, and who asks */
    bool                  room, sees;   /* xep0313_mam.h */
    struct archive_page   page;
    struct room_author   *authors;      /* of the page, as far as they have been looked up */
    int64_t               count;
    struct buf            out;          /* the result messages, one behind the other… */
    size_t               *ends;         /* …and where each ends */
};

static struct query *query_new(struct session *s, const struct stanza *iq, const struct mam_archive *of)
{
    struct query *q = NEW(struct query);

    q->talk = s->talk;
    q->iq = iq_keep(s, iq);
    q->max = ARCHIVE_PAGE_DEFAULT;
    arena_init(&q->arena);
    buf_init(&q->out, 0);
    q->bare = arena_str(&q->arena, of->bare);
    q->full = arena_str(&q->arena, s->jid.full);
    q->filter.owner = of->owner;
    q->room = of->room;
    q->sees = of->sees;
    return q;
}

static void query_free(struct query *q)
{
    free(q->iq.id);
    free(q->iq.to);
    arena_done(&q->arena);
    buf_done(&q->out);
    free(q);
}

/* ---- reading what is asked ---- */

struct fault { const char *type, *condition, *text; };
static const struct fault fine = { 0 };

static struct fault bad(const char *text) { return (struct fault){ "modify", "bad-request", text }; }
static const struct fault not_found = { "cancel", "item-not-found", NULL };

/* Anything but an id that we gave out is not in the archive. */
static bool read_id(struct str text, int64_t *id)
{
    return archive_id_parse(text, id);
}

/* Form and RSM may both set a border: the nearer one counts. */
static bool border_after(struct query *q, struct str text)
{
    int64_t id;

    if (!read_id(text, &id))
        return false;
    if (id > q->filter.after_id)
        q->filter.after_id = id;
    return true;
}

static bool border_before(struct query *q, struct str text)
{
    int64_t id;

    if (!read_id(text, &id))
        return false;
    if (!q->filter.before_id || id < q->filter.before_id)
        q->filter.before_id = id;
    return true;
}

static struct fault field_with(struct query *q, struct session *s, struct str value)
{
    struct jid j;

    if (jid_parse(&q->arena, arena_str(&q->arena, value), &j) != OK)
        return (struct fault){ "modify", "jid-malformed", NULL };
    if (q->room && str_eq(j.bare, q->bare) && j.resource.len) {     /* an occupant: by the nickname they had */
        q->filter.peer_full = j.full;
        return fine;
    }
    if (q->room && !q->sees) {
        q->filter.peer = -1;            /* who is behind which nickname is not told this way either */
        return fine;
    }
    if (s->talk->shared)
        q->filter.peer_bare = j.bare;       /* found on the worker */
    else
        q->filter.peer = jids_known(s->talk, j.bare);
    if (q->filter.peer == 0 && !s->talk->shared)
        q->filter.peer = -1;
    if (j.resource.len && !q->room)
        q->filter.peer_full = j.full;
    return fine;
}

static struct fault field_ids(struct query *q, const struct stanza *iq, const struct xml_node *field)
{
    struct archive_filter *f = &q->filter;

    for (const struct xml_node *v = xml_first(field); v; v = xml_next(v)) {
        if (!xml_is(v, "value", NS_DATA))
            continue;
        if (f->id_count == ARCHIVE_PAGE_MAX)
            return (struct fault){ "modify", "policy-violation", "at most 250 ids" };
        if (!read_id(xml_text(iq->arena, v), &f->ids[f->id_count++]))
            return not_found;
    }
    return fine;
}

static struct fault field_text(struct query *q, struct session *s, struct str value)
{
    enum err e = search_query_read(&q->arena, value, s->talk->origin_key, &q->search);

    if (e == ERR_LIMIT)
        return (struct fault){ "modify", "policy-violation", "at most 16 words in 512 bytes" };
    if (!e)
        q->filter.search = &q->search;
    return fine;        /* nothing to look for: everything fits (XEP-0431 §2.2) */
}

static struct fault read_field(struct query *q, struct session *s, const struct stanza *iq, const struct xml_node *field)
{
    struct str var = xml_attr(field, "var");
    struct str value = xml_child_text(iq->arena, field, "value", NS_DATA);
    int64_t   *time = NULL;

    if (str_is(var, "FORM_TYPE"))
        return str_is(value, NS_MAM) ? fine : bad("the form has another FORM_TYPE");
    if (str_is(var, "ids"))
        return field_ids(q, iq, field);
    if (str_is(var, "include-groupchat"))
        return fine;                /* rooms keep their own archives; there is none to include */
    if (str_is(var, "with"))
        return value.len ? field_with(q, s, value) : fine;
    if (fulltext_is_field(var))
        return field_text(q, s, value);
    if (str_is(var, "before-id"))
        return border_before(q, value) ? fine : not_found;
    if (str_is(var, "after-id"))
        return border_after(q, value) ? fine : not_found;
    if (str_is(var, "start"))
        time = &q->filter.start_us;
    else if (str_is(var, "end"))
        time = &q->filter.end_us;
    if (!time)
        return (struct fault){ "cancel", "feature-not-implemented", "an unknown field" };    /* §4.1.5 */
    return clock_parse(value, time) ? fine : bad("not a time as XEP-0082 writes it");
}

static struct fault read_form(struct query *q, struct session *s, const struct stanza *iq)
{
    const struct xml_node *form = xml_child(iq->payload, "x", NS_DATA);
    bool                   typed = false;

    for (const struct xml_node *n = form ? xml_first(form) : NULL; n; n = xml_next(n)) {
        struct fault f;

        if (!xml_is(n, "field", NS_DATA))
            continue;
        typed |= str_is(xml_attr(n, "var"), "FORM_TYPE");
        f = read_field(q, s, iq, n);
        if (f.condition)
            return f;
    }
    return form && !typed ? bad("the form has no FORM_TYPE") : fine;
}

static struct fault read_rsm(struct query *q, const struct stanza *iq)
{
    const struct xml_node *set = xml_child(iq->payload, "set", NS_RSM);
    struct str             max, after, before;
    uint64_t               n;

    if (!set)
        return fine;
    if (xml_child(set, "index", NS_RSM))
        return (struct fault){ "cancel", "feature-not-implemented", "pages are found by id, not by number" };
    max = xml_child_text(iq->arena, set, "max", NS_RSM);
    after = xml_child_text(iq->arena, set, "after", NS_RSM);
    before = xml_child_text(iq->arena, set, "before", NS_RSM);
    if (max.p) {
        if (!str_to_u64(str_trim(max), &n))
            return bad("max is no number");
        q->max = n > ARCHIVE_PAGE_MAX ? ARCHIVE_PAGE_MAX : (int)n;
        q->only_count = n == 0;     /* XEP-0059 §2.7 */
    }
    if (after.p && !border_after(q, after))
        return not_found;
    q->backwards = xml_child(set, "before", NS_RSM) != NULL;
    if (before.len && !border_before(q, before))
        return not_found;
    return fine;
}

static struct fault read_query(struct query *q, struct session *s, const struct stanza *iq)
{
    struct str   queryid = xml_attr(iq->payload, "queryid");
    struct fault f;

    if (xml_attr(iq->payload, "node").p)
        return not_found;           /* nodes are of pubsub archives */
    if (queryid.len > QUERYID_BYTES_MAX)
        return bad("the queryid is too long");
    if (queryid.p)
        q->queryid = arena_str(&q->arena, queryid);
    q->flip = xml_child(iq->payload, "flip-page", NS_MAM) != NULL;
    f = read_form(q, s, iq);
    return f.condition ? f : read_rsm(q, iq);
}

/* ---- on the worker ---- */

/* "<message …><result … id='": the same for every message of the page. */
static void put_head(struct buf *b, const struct query *q)
{
    BUF_LIT(b, "<message");
    xml_put_attr(b, "from", q->bare);
    xml_put_attr(b, "to", q->full);
    BUF_LIT(b, "><result xmlns='" NS_MAM "'");
    xml_put_attr(b, "queryid", q->queryid);
    BUF_LIT(b, " id='");
}

static void write_page(struct query *q, struct db_conn *c)
{
    struct buf head, more;
    int        n = q->page.count;

    buf_init(&head, 0);
    buf_init(&more, 0);
    put_head(&head, q);
    q->ends = arena_alloc(&q->arena, sizeof *q->ends * (size_t)(n + 1));
    for (int i = 0; i < n; i++) {
        const struct archive_row *row = &q->page.rows[q->flip ? n - 1 - i : i];

        buf_put(&q->out, head.p, head.len);
        archive_id_put(&q->out, row->shown);
        BUF_LIT(&q->out, "'>");
        message_put_forwarded(&q->out, q->room && q->sees ? room_with_author(c, &q->arena, &q->authors, q->filter.owner, row, &more) : row->stanza,
                              q->bare, row->id, false);
        BUF_LIT(&q->out, "</result></message>");
        q->ends[i] = q->out.len;
    }
    buf_done(&more);
    buf_done(&head);
}

static enum err query_work(struct db_conn *c, struct db_read *self)
{
    struct query *q = (struct query *)self;
    enum err      e;

    if (q->only_count)
        return archive_count(c, &q->filter, &q->count);
    e = archive_read(c, &q->arena, &q->filter, q->max, q->backwards, &q->page);
    if (e)
        return e;
    if (q->page.missing)
        return ERR_NOT_FOUND;
    write_page(q, c);
    return q->out.overflow ? ERR_LIMIT : OK;
}

/* ---- the answer ---- */

/* The next page begins exactly there, also behind what was shown before it was stored: then the place says where. */
static int64_t border(const struct archive_row *row) { return row->went_ahead ? row->id : row->shown; }

static void put_fin(struct buf *b, const struct query *q)
{
    const struct archive_page *p = &q->page;

    buf_put_z(b, p->complete || (q->only_count && q->count == 0) ? "<fin xmlns='" NS_MAM "' complete='true'>" : "<fin xmlns='" NS_MAM "'>");
    BUF_LIT(b, "<set xmlns='" NS_RSM "'>");
    if (p->count) {
        BUF_LIT(b, "<first>");
        archive_id_put(b, border(&p->rows[0]));
        BUF_LIT(b, "</first><last>");
        archive_id_put(b, border(&p->rows[p->count - 1]));
        BUF_LIT(b, "</last>");
    }
    if (q->only_count)
        buf_printf(b, "<count>%lld</count>", (long long)q->count);
    BUF_LIT(b, "</set></fin>");
}

static void query_done(struct db_read *self, enum err e)
{
    struct query   *q = (struct query *)self;
    struct talk    *t = q->talk;
    struct session *s = session_find(t, q->iq.session_id);
    uint64_t        id = q->iq.session_id;
    size_t          at = 0;
    struct buf      fin;

    metric_add(&pages_read, 1);
    for (int i = 0; s && !e && i < q->page.count; i++) {
        session_send(s, str_make(q->out.p + at, q->ends[i] - at));
        at = q->ends[i];
    }
    metric_add(&messages_read, q->page.count);
    buf_init(&fin, 0);
    put_fin(&fin, q);
    if (e)
        iq_later_error(t, &q->iq, e);
    else
        iq_later_result(t, &q->iq, buf_str(&fin));
    buf_done(&fin);
    if (q->search.broken)
        search_mend(t, q->filter.owner, q->search.broken);
    else if (q->search.tail >= SEARCH_TAIL_LONG)
        search_ask(t, q->filter.owner);
    query_free(q);
    s = session_find(t, id);
    if (s && s->state != SESSION_CLOSED)
        session_continue(s);
}

static void query_start(struct talk *t, void *arg)
{
    struct query *q = arg;
    enum err      e = db_read_start(t->db, &q->read);

    if (e)
        query_done(&q->read, e);
}

static bool is_own(const struct session *s, const struct stanza *iq)
{
    return !iq->has_to || str_eq(iq->to.full, s->jid.bare);
}

enum err mam_query(struct session *s, const struct stanza *iq, const struct mam_archive *of)
{
    struct query *q = query_new(s, iq, of);
    struct fault  f = read_query(q, s, iq);

    if (f.condition) {
        query_free(q);
        return iq_error_condition(s, iq, f.type, f.condition, f.text);
    }
    q->read = (struct db_read){ .work = query_work, .done = query_done, .class = DB_READ_PATIENT };
    session_hold(s);
    if (s->talk->shared)        /* what it has sent is in the answer; what others have on its way comes live (follow.h) */
        session_after_commits(s, query_start, q);
    else
        session_after_all(s, query_start, q);
    return OK;
}

static struct mam_archive own(const struct session *s) { return (struct mam_archive){ .owner = s->person->id, .bare = s->jid.bare }; }

static enum err query_set(struct session *s, const struct stanza *iq)
{
    struct mam_archive mine = own(s);

    return is_own(s, iq) ? mam_query(s, iq, &mine) : ERR_DENIED;
}

enum err mam_form(struct session *s, const struct stanza *iq)
{
    return iq_result(s, iq,
        "<query xmlns='" NS_MAM "'><x xmlns='" NS_DATA "' type='form'>"
        "<field type='hidden' var='FORM_TYPE'><value>" NS_MAM "</value></field>"
        "<field type='jid-single' var='with'/><field type='text-single' var='start'/><field type='text-single' var='end'/>"
        "<field type='text-single' var='before-id'/><field type='text-single' var='after-id'/>"
        "<field type='list-multi' var='ids'><validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'>"
        "<open/></validate></field><field type='boolean' var='include-groupchat'/>" FULLTEXT_FIELDS "</x></query>");
}

static enum err form_get(struct session *s, const struct stanza *iq) { return is_own(s, iq) ? mam_form(s, iq) : ERR_DENIED; }

/* ---- metadata (§5) ---- */

static void put_end(struct buf *b, const char *name, int64_t id, int64_t us)
{
    char time[CLOCK_TEXT_BYTES];

    buf_printf(b, "<%s id='", name);
    archive_id_put(b, id);
    BUF_LIT(b, "' timestamp='");
    buf_put_str(b, clock_format(us, time));
    BUF_LIT(b, "'/>");
}

static enum err put_metadata(struct session *s, const struct stanza *iq, int64_t first, int64_t first_us, int64_t last, int64_t last_us)
{
    struct buf *b = talk_scratch(s->talk);

    BUF_LIT(b, "<metadata xmlns='" NS_MAM "'>");
    if (first) {
        put_end(b, "start", first, first_us);
        put_end(b, "end", last, last_us);
    }
    BUF_LIT(b, "</metadata>");
    return iq_result_str(s, iq, buf_str(b));
}

static enum err metadata_get(struct session *s, const struct stanza *iq)
{
    struct person *p = s->person;
    int64_t        first, last;
    enum err       e;

    if (!is_own(s, iq))
        return ERR_DENIED;
    e = archive_ends_of(p, &first, &last);
    if (e)
        return e;
    return put_metadata(s, iq, first, s->talk->shared ? p->log_first : first, last, s->talk->shared ? p->log_last : last);
}

/* Of an archive that is not in memory. */
enum err mam_metadata(struct session *s, const struct stanza *iq, const struct mam_archive *of)
{
    struct db_conn *c = db_loop_conn(s->talk->db);
    int64_t         first, last;
    enum err        e = archive_ends(c, of->owner, &first, &last);

    if (e)
        return e;
    return put_metadata(s, iq, archive_shown(c, first), first, archive_shown(c, last), last);
}

static const struct iq_handler mam_iqs[] = {
    { "query", NS_MAM, IQ_TO_SELF | IQ_TO_OTHER, form_get, query_set },
    { "metadata", NS_MAM, IQ_TO_SELF | IQ_TO_OTHER, metadata_get, NULL },
    { 0 },
};
static const char *const mam_disco[] = { NS_MAM, NS_MAM "#extended", NS_MAM "#groupchat-field", NULL };

/* XEP-0227 1.1: <result/> as in an answer. */
static enum err archive_take(struct import *x)
{
    const struct xml_node *n = x->event->node, *forwarded = xml_child(n, "forwarded", "urn:xmpp:forward:0");
    const struct xml_node *delay = forwarded ? xml_child(forwarded, "delay", "urn:xmpp:delay") : NULL;
    const struct xml_node *message = forwarded ? xml_child(forwarded, "message", NULL) : NULL;

    if (!message) {
        x->why = STR("there is no message in it");
        return ERR_INVALID;
    }
    return import_message(x, message, delay ? xml_attr(delay, "stamp") : STR_NULL, xml_attr(n, "id"), false);
}

static const struct import_handler xep0313_mam_imports[] = {
    { "result", NULL, "archive", NS_PIE_MAM, "archived messages", archive_take },
    { 0 },
};

const struct feature xep0313_mam = {
    .spec = "XEP-0313 1.1.3",
    .title = "Message Archive Management",
    .disco_server = mam_disco,      /* XEP-0313 §8 asks for the account only; Profanity 0.13 looks here */
    .disco_account = mam_disco,
    .iqs = mam_iqs,
    .imports = xep0313_mam_imports,
};
