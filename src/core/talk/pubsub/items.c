/* items.c: what is asked of a node without changing it: items (XEP-0060 §6.5), and one's own subscriptions and affiliations (§5.6, §5.7).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include "talk/pubsub/inner.h"
#include "talk/xep/xep0402_bookmarks.h"

static struct db_sql page_forwards = { "SELECT sequence, us, id, publisher, xml FROM pubsub_item WHERE node = "
                                       "?1 AND us >= ?2 AND sequence > ?3 AND sequence < ?4"
                                       " ORDER BY sequence LIMIT ?5" };
static struct db_sql page_backwards = { "SELECT sequence, us, id, publisher, xml FROM pubsub_item WHERE node "
                                        "= ?1 AND us >= ?2 AND sequence > ?3 AND sequence < ?4"
                                        " ORDER BY sequence DESC LIMIT ?5" };
static struct db_sql sequence_select = { "SELECT sequence FROM pubsub_item WHERE node = ?1 AND id = ?2" };
static struct db_sql count_before = { "SELECT count(*) FROM pubsub_item WHERE node = ?1 AND us >= ?2 AND sequence < ?3" };
static struct db_sql my_subscriptions = {
    "SELECT n.name, s.jid, s.state FROM pubsub_subscription s CROSS JOIN pubsub_node n ON n.id = s.node"
    " WHERE s.bare = ?1 AND n.owner = ?2 ORDER BY n.name, s.jid"
};
static struct db_sql my_affiliations = { "SELECT n.name, a.affiliation FROM pubsub_affiliation a CROSS JOIN pubsub_node n ON n.id = a.node"
                                         " WHERE a.jid = ?1 AND n.owner = ?2 ORDER BY n.name" };
static struct db_sql own_nodes = { "SELECT name FROM pubsub_node WHERE owner = ?1 ORDER BY name" };

static const struct fault bad_max = { "bad-request", NULL, NULL, "max_items is no number" };
static const struct fault no_persistence = { "feature-not-implemented", "unsupported", "persistent-items", NULL };

/* ---- which ones ---- */

struct page {
    int64_t after, before, max; /* sequences, exclusive */
    bool    backwards, rsm;
};

static bool read_number(struct str text, int64_t *out)
{
    return str_to_i64(str_trim(text), out) && *out >= 0;
}

/* The sequence of an item that a page starts behind or before; item-not-found when it is gone (XEP-0059
 * §2.4). */
static enum err border(struct job *j, struct db_conn *c, const struct node *n, struct str id, int64_t *out)
{
    struct db_stmt *row = NULL;
    enum err        e = db_get(c, &row, &sequence_select, "is", n->id, id);

    if (!e)
        *out = db_i64(row, 0);
    if (row)
        db_done(row);
    return e == ERR_NOT_FOUND ? job_fail(j, &fault_not_found) : e;
}

static enum err read_rsm(struct job *j, struct db_conn *c, const struct node *n, const struct xml_node *set, struct page *p)
{
    struct str max = xml_child_text(&j->work, set, "max", NS_RSM), after = xml_child_text(&j->work, set, "after", NS_RSM),
               before = xml_child_text(&j->work, set, "before", NS_RSM);
    enum err e = OK;

    p->rsm = true;
    if (max.p && !read_number(max, &p->max))
        return job_fail(j, &bad_max);
    p->backwards = before.p != NULL;
    if (after.len)
        e = border(j, c, n, after, &p->after);
    if (!e && before.len)
        e = border(j, c, n, before, &p->before);
    return e;
}

static enum err read_page(struct job *j, struct db_conn *c, const struct node *n, struct page *p)
{
    const struct xml_node *set = xml_child(j->payload, "set", NS_RSM);
    struct str             max = xml_attr(j->verb, "max_items");

    *p = (struct page){ .before = INT64_MAX, .max = PUBSUB_ITEMS_MAX };
    if (set)
        return read_rsm(j, c, n, set, p);
    if (max.p) {
        if (!read_number(max, &p->max))
            return job_fail(j, &bad_max);
        p->backwards = true;
    }
    return OK;
}

/* ---- writing them ---- */

struct shown {
    int64_t    sequence;
    struct str id;
    size_t     at, end;
};

struct listing {
    struct buf    text; /* items, as they came */
    int           count, cap;
    struct shown *items;
    bool          cut; /* there are more, but no more room */
};

static void listing_add(struct job *j, struct listing *l, const struct item *i)
{
    if (l->count == l->cap) {
        struct shown *more;

        l->cap = l->cap ? l->cap * 2 : 16;
        more = arena_alloc(&j->work, sizeof *more * (size_t)l->cap);
        if (l->count)
            memcpy(more, l->items, sizeof *more * (size_t)l->count);
        l->items = more;
    }
    l->items[l->count] = (struct shown){ .sequence = i->sequence, .id = i->id, .at = l->text.len };
    item_put(&l->text, i, true, shows_publisher(j, i));
    l->items[l->count++].end = l->text.len;
}

static enum err list_items(struct job *j, struct db_conn *c, const struct node *n, const struct page *p, struct listing *l)
{
    struct db_stmt *row = db_prepare(c, p->backwards ? &page_backwards : &page_forwards);
    struct item     i;
    enum err        e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, n->id);
    db_bind_i64(row, 2, node_oldest_us(n));
    db_bind_i64(row, 3, p->after);
    db_bind_i64(row, 4, p->before);
    db_bind_i64(row, 5, p->max);
    while ((e = db_step(row)) == OK) {
        if (l->count && l->text.len + db_text(row, 4).len > PUBSUB_PAGE_BYTES_MAX) {
            l->cut = true;
            break;
        }
        item_fill(j, row, &i);
        listing_add(j, l, &i);
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static void put_listing(struct buf *b, const struct listing *l, bool backwards)
{
    for (int k = 0; k < l->count; k++) {
        const struct shown *s = &l->items[backwards ? l->count - 1 - k : k];

        buf_put(b, l->text.p + s->at, s->end - s->at);
    }
}

/* XEP-0059: where this page lies among all. */
static enum err put_set(struct job *j, struct db_conn *c, const struct node *n, const struct page *p, const struct listing *l)
{
    const struct shown *first = l->count ? &l->items[p->backwards ? l->count - 1 : 0] : NULL,
                       *last = l->count ? &l->items[p->backwards ? 0 : l->count - 1] : NULL;
    struct db_stmt *row = NULL;
    int64_t         index = 0;
    enum err        e = OK;

    BUF_LIT(&j->out, "<set xmlns='" NS_RSM "'>");
    if (first) {
        e = db_get(c, &row, &count_before, "iii", n->id, node_oldest_us(n), first->sequence);
        if (!e)
            index = db_i64(row, 0);
        if (row)
            db_done(row);
        buf_printf(&j->out, "<first index='%lld'>", (long long)index);
        xml_put_escaped(&j->out, first->id);
        BUF_LIT(&j->out, "</first><last>");
        xml_put_escaped(&j->out, last->id);
        BUF_LIT(&j->out, "</last>");
    }
    buf_printf(&j->out, "<count>%lld</count></set>", (long long)n->items);
    return e;
}

static enum err answer_page(struct job *j, struct db_conn *c, const struct node *n)
{
    struct page    p;
    struct listing l = { 0 };
    enum err       e = read_page(j, c, n, &p);

    if (e || j->fault)
        return e;
    buf_init(&l.text, 0);
    e = list_items(j, c, n, &p, &l);
    put_listing(&j->out, &l, p.backwards);
    BUF_LIT(&j->out, "</items>");
    if (!e && (p.rsm || l.cut))
        e = put_set(j, c, n, &p, &l);
    buf_done(&l.text);
    return e;
}

/* Those that are asked for by id; who does not exist is not there (§6.5.9.11). */
static enum err answer_ids(struct job *j, struct db_conn *c, const struct node *n)
{
    for (const struct xml_node *x = xml_first(j->verb); x; x = xml_next(x)) {
        struct item i;
        enum err    e;

        if (!xml_is(x, "item", NS_PUBSUB))
            continue;
        e = item_get(j, c, n, xml_attr(x, "id"), &i);
        if (e && e != ERR_NOT_FOUND)
            return e;
        if (!e && j->out.len + i.xml.len <= PUBSUB_PAGE_BYTES_MAX + PUBSUB_PAGE_BYTES_MAX / 2)
            item_put(&j->out, &i, true, shows_publisher(j, &i));
    }
    BUF_LIT(&j->out, "</items>");
    return OK;
}

enum err items_as_they_are(struct job *j, struct db_conn *c)
{
    struct str          name = xml_attr(j->verb, "node");
    const struct fault *why;
    struct node         n;
    enum err            e = node_find(j, c, name, false, &n);

    if (e || j->fault)
        return e;
    e = access_to(j, c, &n, &why);
    if (e || why)
        return e ? e : job_fail(j, why);
    if (!n.config.persist)
        return job_fail(j, &no_persistence);
    BUF_LIT(&j->out, "<pubsub xmlns='" NS_PUBSUB "'><items");
    xml_put_attr(&j->out, "node", name);
    buf_put_c(&j->out, '>');
    e = xml_child(j->verb, "item", NS_PUBSUB) ? answer_ids(j, c, &n) : answer_page(j, c, &n);
    BUF_LIT(&j->out, "</pubsub>");
    return e;
}

enum err verb_items(struct job *j, struct db_conn *c)
{
    struct str name = xml_attr(j->verb, "node");

    if (!name_fits(name))
        return job_fail(j, &fault_nodeid_required);
    if (j->service.pep && str_is(name, NS_STORAGE))
        return bookmarks_node_items(j, c);
    return shows_profile(&j->service, name) ? profile_items(j, c) : items_as_they_are(j, c);
}

/* ---- one's own ---- */

static void put_subscriptions(struct job *j, struct db_stmt *row, struct str node, enum err *e)
{
    while ((*e = db_step(row)) == OK) {
        if (node.len && !str_eq(node, db_text(row, 0)))
            continue;
        BUF_LIT(&j->out, "<subscription");
        xml_put_attr(&j->out, "node", db_text(row, 0));
        xml_put_attr(&j->out, "jid", db_text(row, 1));
        xml_put_attr(&j->out, "subscription", str_of(sub_state_name((enum sub_state)db_i64(row, 2))));
        BUF_LIT(&j->out, "/>");
    }
}

static enum err list_mine(struct job *j, struct db_conn *c, struct db_sql *sql, const char *element,
                          void (*put)(struct job *j, struct db_stmt *row, struct str node, enum err *e))
{
    struct str      node = xml_attr(j->verb, "node");
    struct db_stmt *row = db_prepare(c, sql);
    enum err        e;

    if (!row)
        return ERR_IO;
    db_bind_str(row, 1, j->asker.bare);
    db_bind_i64(row, 2, j->service.owner);
    buf_printf(&j->out, "<pubsub xmlns='" NS_PUBSUB "'><%s", element);
    if (node.len)
        xml_put_attr(&j->out, "node", node);
    buf_put_c(&j->out, '>');
    put(j, row, node, &e);
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err verb_subscriptions(struct job *j, struct db_conn *c)
{
    enum err e = list_mine(j, c, &my_subscriptions, "subscriptions", put_subscriptions);

    BUF_LIT(&j->out, "</subscriptions></pubsub>");
    return e;
}

static void put_affiliation(struct job *j, struct str node, enum affiliation a)
{
    BUF_LIT(&j->out, "<affiliation");
    xml_put_attr(&j->out, "node", node);
    xml_put_attr(&j->out, "affiliation", str_of(pubsub_affiliation_name(a)));
    BUF_LIT(&j->out, "/>");
}

static void put_affiliations(struct job *j, struct db_stmt *row, struct str node, enum err *e)
{
    while ((*e = db_step(row)) == OK)
        if (!node.len || str_eq(node, db_text(row, 0)))
            put_affiliation(j, db_text(row, 0), (enum affiliation)db_i64(row, 1));
}

/* One owns all of one's own account. */
static enum err put_owned(struct job *j, struct db_conn *c)
{
    struct str      node = xml_attr(j->verb, "node");
    struct db_stmt *row = db_prepare(c, &own_nodes);
    enum err        e;

    if (!row)
        return ERR_IO;
    db_bind_i64(row, 1, j->service.owner);
    while ((e = db_step(row)) == OK)
        if (!node.len || str_eq(node, db_text(row, 0)))
            put_affiliation(j, db_text(row, 0), AFFILIATION_OWNER);
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err verb_affiliations(struct job *j, struct db_conn *c)
{
    enum err e = list_mine(j, c, &my_affiliations, "affiliations", put_affiliations);

    if (!e && j->asker.self)
        e = put_owned(j, c);
    BUF_LIT(&j->out, "</affiliations></pubsub>");
    return e;
}

/* §6.4: there are no subscription options. */
enum err verb_default(struct job *j, struct db_conn *c)
{
    static const struct fault none = { "feature-not-implemented", "unsupported", "retrieve-default-sub", NULL };

    (void)c;
    return job_fail(j, &none);
}
