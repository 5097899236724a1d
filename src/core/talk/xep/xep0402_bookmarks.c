/* XEP-0402 PEP Native Bookmarks 1.2.0, with XEP-0048 and the conversion of XEP-0411: see xep0402_bookmarks.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0402_bookmarks.h"
#include "talk/pubsub/inner.h"

#define NS_PRIVATE "jabber:iq:private"
#define PRIVATE_KEY "storage storage:bookmarks"

/* What else the old element holds (URLs) stays in the row of the private storage. */
static struct db_sql private_select = {"SELECT xml FROM private WHERE owner = ?1 AND element = ?2"};
static struct db_sql private_write = {"INSERT INTO private(owner, element, xml) VALUES (?1, ?2, ?3) ON "
                                      "CONFLICT(owner, element) DO UPDATE SET xml = excluded.xml"};
static struct db_sql items_select = {"SELECT id, xml FROM pubsub_item WHERE node = ?1 ORDER BY sequence"};

struct bookmark {
    struct str jid;
    const struct xml_node *conference;
};
struct bookmarks {
    bool there; /* the node is */
    struct node node;
    int count, cap;
    struct bookmark *list;
};

static void add(struct job *j, struct bookmarks *l, struct str jid, const struct xml_node *conference)
{
    if (l->count == l->cap) {
        struct bookmark *more;

        l->cap = l->cap ? l->cap * 2 : 16;
        more = arena_alloc(&j->work, sizeof *more * (size_t)l->cap);
        if (l->count)
            memcpy(more, l->list, sizeof *more * (size_t)l->count);
        l->list = more;
    }
    l->list[l->count++] = (struct bookmark){jid, conference};
}

static const struct bookmark *find(const struct bookmarks *l, struct str jid)
{
    for (int i = 0; i < l->count; i++)
        if (str_eq(l->list[i].jid, jid))
            return &l->list[i];
    return NULL;
}

static enum err read_items(struct job *j, struct db_conn *c, bool take, struct bookmarks *l)
{
    struct db_stmt *row;
    struct xml_node *x;
    enum err e;

    *l = (struct bookmarks){0};
    e = node_read(j, c, STR(NODE_BOOKMARKS), take, &l->node);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    l->there = true;
    row = db_prepare(c, &items_select);
    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, l->node.id);
    while ((e = db_step(row)) == OK)
        if (xml_parse(&j->work, arena_str(&j->work, db_text(row, 1)), NULL, &x) == XML_FINE)
            add(j, l, arena_str(&j->work, db_text(row, 0)), x);
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

/* ---- new to old ---- */

static bool is_true(struct str s)
{
    return str_is(s, "true") || str_is(s, "1");
}

static void put_child(struct job *j, struct buf *b, const struct xml_node *n, const char *name,
                      const char *ns)
{
    struct str text = xml_child_text(&j->work, n, name, ns);

    if (!text.p)
        return;
    buf_printf(b, "<%s>", name);
    xml_put_escaped(b, text);
    buf_printf(b, "</%s>", name);
}

static void put_old(struct job *j, struct buf *b, const struct bookmark *k)
{
    BUF_LIT(b, "<conference");
    xml_put_attr(b, "jid", k->jid);
    xml_put_attr(b, "name", xml_attr(k->conference, "name"));
    xml_put_attr(b, "autojoin", is_true(xml_attr(k->conference, "autojoin")) ? STR("true") : STR("false"));
    buf_put_c(b, '>');
    put_child(j, b, k->conference, "nick", NODE_BOOKMARKS);
    put_child(j, b, k->conference, "password", NODE_BOOKMARKS);
    BUF_LIT(b, "</conference>");
}

/* `node_there`: the items are the truth about conferences. */
static enum err put_rest(struct job *j, struct db_conn *c, struct buf *b, bool node_there)
{
    struct db_stmt *row = NULL;
    struct xml_node *x;
    enum err e = db_get(c, &row, &private_select, "is", j->service.owner, STR(PRIVATE_KEY));

    if (!e && xml_parse(&j->work, arena_str(&j->work, db_text(row, 0)), NULL, &x) == XML_FINE)
        for (const struct xml_node *n = xml_first(x); n; n = xml_next(n))
            if (!node_there || !xml_is(n, "conference", NS_STORAGE))
                xml_put_node(b, n, STR(NS_STORAGE));
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err bookmarks_put(struct job *j, struct db_conn *c, struct buf *b)
{
    struct bookmarks l;
    enum err e = read_items(j, c, false, &l);

    BUF_LIT(b, "<storage xmlns='" NS_STORAGE "'>");
    for (int i = 0; i < l.count; i++)
        put_old(j, b, &l.list[i]);
    if (!e)
        e = put_rest(j, c, b, l.there);
    BUF_LIT(b, "</storage>");
    return e;
}

/* ---- old to new ---- */

static bool same_text(struct job *j, const struct xml_node *old, const struct xml_node *new, const char *name)
{
    struct str a = xml_child_text(&j->work, old, name, NS_STORAGE),
               b = xml_child_text(&j->work, new, name, NODE_BOOKMARKS);

    return (a.p != NULL) == (b.p != NULL) && str_eq(a, b);
}

static bool unchanged(struct job *j, const struct xml_node *old, const struct xml_node *new)
{
    return str_eq(xml_attr(old, "name"), xml_attr(new, "name")) && same_text(j, old, new, "nick") &&
           same_text(j, old, new, "password") &&
           is_true(xml_attr(old, "autojoin")) == is_true(xml_attr(new, "autojoin"));
}

/* What the old form cannot say is kept (§3.4: extensions). */
static void put_new(struct job *j, struct buf *b, const struct xml_node *old, const struct xml_node *before)
{
    const struct xml_node *extensions = before ? xml_child(before, "extensions", NODE_BOOKMARKS) : NULL;

    BUF_LIT(b, "<conference xmlns='" NODE_BOOKMARKS "'");
    xml_put_attr(b, "name", xml_attr(old, "name"));
    xml_put_attr(b, "autojoin", is_true(xml_attr(old, "autojoin")) ? STR("true") : STR("false"));
    buf_put_c(b, '>');
    put_child(j, b, old, "nick", NS_STORAGE);
    put_child(j, b, old, "password", NS_STORAGE);
    if (extensions)
        xml_put_node(b, extensions, STR(NODE_BOOKMARKS));
    BUF_LIT(b, "</conference>");
}

static enum err take_one(struct job *j, struct db_conn *c, const struct bookmarks *l, struct str jid,
                         const struct xml_node *old)
{
    const struct bookmark *before = find(l, jid);
    struct str xml;
    struct buf b;

    if (before && unchanged(j, old, before->conference))
        return OK;
    buf_init(&b, 0);
    put_new(j, &b, old, before ? before->conference : NULL);
    xml = arena_str(&j->work, buf_str(&b));
    buf_done(&b);
    return publish_own(j, c, STR(NODE_BOOKMARKS), jid, xml, ACCESS_WHITELIST);
}

static enum err write_rest(struct job *j, struct db_conn *c, const struct xml_node *storage)
{
    struct buf b;
    enum err e;

    buf_init(&b, 0);
    BUF_LIT(&b, "<storage xmlns='" NS_STORAGE "'>");
    for (const struct xml_node *x = xml_first(storage); x; x = xml_next(x))
        if (!xml_is(x, "conference", NS_STORAGE))
            xml_put_node(&b, x, STR(NS_STORAGE));
    BUF_LIT(&b, "</storage>");
    e = db_run(c, &private_write, "iss", j->service.owner, STR(PRIVATE_KEY), buf_str(&b));
    buf_done(&b);
    return e;
}

enum err bookmarks_take(struct job *j, struct db_conn *c, const struct xml_node *storage)
{
    struct bookmarks l, wanted = {0};
    enum err e = read_items(j, c, true, &l);

    for (const struct xml_node *x = xml_first(storage); x && !e && !j->fault; x = xml_next(x)) {
        struct jid room;

        if (!xml_is(x, "conference", NS_STORAGE) || jid_parse(&j->work, xml_attr(x, "jid"), &room) != OK ||
            find(&wanted, room.full))
            continue;
        add(j, &wanted, room.full, x);
        e = take_one(j, c, &l, room.full, x);
    }
    if (!e && !j->fault && l.there)
        e = node_read(j, c, STR(NODE_BOOKMARKS), true, &l.node); /* what was published has changed its sums */
    for (int i = 0; i < l.count && !e && !j->fault; i++)
        if (!find(&wanted, l.list[i].jid))
            e = retract_own(j, c, &l.node, l.list[i].jid, true);
    if (e || j->fault)
        return e ? e : job_undo(j, j->fault);
    return write_rest(j, c, storage);
}

enum err bookmarks_tell(struct job *j, struct db_conn *c)
{
    struct node n = {.name = STR(NS_STORAGE)};
    struct note *note;
    struct buf b;
    enum err e;

    buf_init(&b, 0);
    BUF_LIT(&b, "<items node='" NS_STORAGE "'><item id='current'>");
    e = bookmarks_put(j, c, &b);
    BUF_LIT(&b, "</item></items>");
    note = note_new(j, &n);
    note->contacts = false;
    note->own = true;
    note->event = arena_str(&j->work, buf_str(&b));
    buf_done(&b);
    return e;
}

/* ---- private XML ---- */

static enum err verb_private_get(struct job *j, struct db_conn *c)
{
    enum err e;

    BUF_LIT(&j->out, "<query xmlns='" NS_PRIVATE "'>");
    e = bookmarks_put(j, c, &j->out);
    BUF_LIT(&j->out, "</query>");
    return e;
}

static enum err verb_private_set(struct job *j, struct db_conn *c)
{
    enum err e = bookmarks_take(j, c, j->verb);

    return e || j->fault ? e : bookmarks_tell(j, c);
}

enum err bookmarks_private_get(struct session *s, const struct stanza *iq)
{
    struct service at = service_of(s->person);
    struct job *j = job_ask(s, iq, &at, verb_private_get);

    if (!j)
        return ERR_INVALID;
    job_read(j, s);
    return OK;
}

enum err bookmarks_private_set(struct session *s, const struct stanza *iq)
{
    struct service at = service_of(s->person);
    struct job *j = job_ask(s, iq, &at, verb_private_set);

    if (!j)
        return ERR_INVALID;
    job_change(j, s);
    return OK;
}

/* ---- the old node: nobody's but the owner's ---- */

enum err bookmarks_node_items(struct job *j, struct db_conn *c)
{
    enum err e;

    if (!j->asker.self)
        return job_fail(j, &fault_not_found);
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB "'><items node='" NS_STORAGE "'><item id='current'>");
    e = bookmarks_put(j, c, &j->out);
    BUF_LIT(&j->out, "</item></items></pubsub>");
    return e;
}

enum err bookmarks_node_publish(struct job *j, struct db_conn *c)
{
    const struct xml_node *item = xml_child(j->verb, "item", NS_PUBSUB),
                          *storage = item ? xml_child(item, "storage", NS_STORAGE) : NULL;
    enum err e;

    if (!j->asker.self)
        return job_fail(j, &fault_forbidden);
    if (!storage)
        return job_fail(j, item ? &fault_bad_request : &fault_item_required);
    e = bookmarks_take(j, c, storage);
    if (e || j->fault)
        return e;
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB "'><publish node='" NS_STORAGE
                     "'><item id='current'/></publish></pubsub>");
    return bookmarks_tell(j, c);
}

static const char *const bookmarks_disco[] = {"urn:xmpp:bookmarks:1#compat",
                                              "urn:xmpp:bookmarks:1#compat-pep",
                                              "urn:xmpp:bookmarks-conversion:0", NULL};

const struct feature xep0402_bookmarks = {
    .spec = "XEP-0402 1.2.0",
    .title = "PEP Native Bookmarks",
    .disco_account = bookmarks_disco,
};
const struct feature xep0048_bookmarks = {.spec = "XEP-0048 1.2", .title = "Bookmarks"};
const struct feature xep0411_conversion = {.spec = "XEP-0411 1.1.0", .title = "Bookmarks Conversion"};
/* What needs nothing but a node that is somebody's own, or everybody's, with the defaults of config.c: */
const struct feature xep0222_public = {.spec = "XEP-0222 1.0",
                                       .title = "Persistent Storage of Public Data via PubSub"};
const struct feature xep0223_private = {.spec = "XEP-0223 1.1.1",
                                        .title = "Persistent Storage of Private Data via PubSub"};
const struct feature xep0384_omemo = {
    .spec = "XEP-0384 0.9.1", .title = "OMEMO Encryption", .note = "device lists and bundles"};
const struct feature xep0490_displayed = {.spec = "XEP-0490 1.0.1",
                                          .title = "Message Displayed Synchronization"};
