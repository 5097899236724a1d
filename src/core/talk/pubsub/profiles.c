/* profiles.c: the doors of talk/profile.h in pubsub: items of profile nodes, their ids, and who hears of them.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/inner.h"
#include "base/clock.h"

bool shows_profile(const struct service *at, struct str node)
{
    return at->pep && profile_is_node(node);
}

struct profile_view profile_of_job(struct job *j, struct db_conn *c)
{
    return profile_for(c, j->newest, j->service.owner, j->service.bare, j->asker.bare);
}

/* ---- items ---- */

static bool asked_for(const struct job *j, struct str id)
{
    const struct xml_node *x = xml_child(j->verb, "item", NS_PUBSUB);

    for (; x; x = xml_next(x))
        if (str_eq(xml_attr(x, "id"), id))
            return true;
    return !xml_child(j->verb, "item", NS_PUBSUB);
}

static void put_view(struct buf *b, const struct job *j, struct arena *a, const struct profile *p)
{
    struct str  node = xml_attr(j->verb, "node");
    struct item i = { 0 };

    BUF_LIT(b, "<pubsub xmlns='" NS_PUBSUB "'><items");
    xml_put_attr(b, "node", node);
    buf_put_c(b, '>');
    if (profile_put_item(a, p, node, &i.id, &i.xml) && asked_for(j, i.id))
        item_put(b, &i, true, false);
    BUF_LIT(b, "</items></pubsub>");
}

enum err profile_items(struct job *j, struct db_conn *c)
{
    struct profile_view v = profile_of_job(j, c);
    struct profile      p;
    enum err            e;

    if (v.kind == PROFILE_OWN)
        return items_as_they_are(j, c);
    if (v.kind == PROFILE_BASIC) {
        e = items_as_they_are(j, c);
        if (e || profile_still(c, &v))
            return e;
        buf_clear(&j->out); /* it has been seen by nobody */
        j->fault = NULL;
        v.kind = PROFILE_MINIMAL;
    }
    profile_read(c, &j->work, &v, &p);
    put_view(&j->out, j, &j->work, &p);
    return OK;
}

void profile_items_late(const struct job *j, struct buf *out)
{
    struct profile p = { .name = profile_local(j->service.bare) };
    struct arena   a;

    arena_init(&a);
    put_view(out, j, &a, &p);
    arena_done(&a);
}

enum err profile_item(struct job *j, struct db_conn *c, struct profile_view *v, struct str node, struct item *out)
{
    struct profile p;

    profile_read(c, &j->work, v, &p);
    *out = (struct item){ .us = clock_us(), .publisher = j->service.bare };
    return profile_put_item(&j->work, &p, node, &out->id, &out->xml) ? OK : ERR_NOT_FOUND;
}

enum err item_last_for(struct job *j, struct db_conn *c, const struct node *n, struct str viewer, struct item *out)
{
    struct profile_view v;
    enum err            e;

    if (!shows_profile(&j->service, n->name))
        return item_last(j, c, n, out);
    v = profile_for(c, j->newest, j->service.owner, j->service.bare, viewer);
    if (v.kind == PROFILE_OWN || v.kind == PROFILE_BASIC) {
        e = item_last(j, c, n, out);
        if (e || profile_still(c, &v))
            return e;
        v.kind = PROFILE_MINIMAL;
    }
    return profile_item(j, c, &v, n->name, out);
}

/* ---- news ---- */

static struct str bare_of(struct str jid)
{
    return str_split(&jid, '/');
}

static bool is_viewer(const struct profile_viewer *v, int count, struct str bare)
{
    for (int i = 0; i < count; i++)
        if (str_eq(v[i].jid, bare))
            return true;
    return false;
}

/* The news of a basic profile are not for those who see another one. */
enum err profile_except(struct job *j, struct db_conn *c, struct note *note)
{
    struct profile_viewer *v;
    int                    count, kept = 0;
    enum err               e = j->talk->shared ? profile_lock(c, j->service.owner) : OK;

    if (!e)
        e = profile_viewers(c, &j->work, j->service.owner, &count, &v);
    if (e) { /* then to nobody but the owner: who it is for cannot be known */
        note->contacts = false;
        note->count = 0;
        return db_conn_state(c);
    }
    for (int i = 0; i < note->count; i++)
        if (!is_viewer(v, count, bare_of(note->to[i])))
            note->to[kept++] = note->to[i];
    note->count = kept;
    note->except = arena_alloc(&j->work, sizeof *note->except * (size_t)(count + 1));
    for (int i = 0; i < count; i++)
        note->except[i] = v[i].jid;
    note->except_count = count;
    return OK;
}

/* One item, to the devices of one account that want its node. */
void profile_tell_item(struct job *j, struct str viewer, const struct node *n, const struct item *i)
{
    struct note *note = note_new(j, n);
    struct ids   to = { 0 };
    struct buf   b;

    buf_init(&b, 0);
    items_event_put(&b, n->name, i, true, false);
    note->own = note->contacts = false;
    note->interested = true;
    note->event = arena_str(&j->work, buf_str(&b));
    buf_done(&b);
    ids_add(&j->work, &to, viewer);
    note->to = to.ids;
    note->count = 1;
}

/* What viewers of another profile hear of it. */
void profile_tell(struct job *j, struct str viewer, const struct profile *p)
{
    for (int i = 0; profile_news[i]; i++) {
        struct node n = { .name = str_of(profile_news[i]) };
        struct item item = { .publisher = j->service.bare };

        if (profile_put_item(&j->work, p, n.name, &item.id, &item.xml))
            profile_tell_item(j, viewer, &n, &item);
    }
}
