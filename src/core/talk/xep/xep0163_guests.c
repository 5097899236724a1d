/* xep0163_guests.c: see xep0163_guests.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0163_guests.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/federate.h"
#include "talk/nodes.h"
#include "talk/profile.h"
#include "talk/pubsub/inner.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0115_guests.h"
#include "talk/xep/xep0163_last.h"
#include "talk/xep/xep0191_blocking.h"
#include <stdlib.h>

METRIC_GAUGE(known_count, "bongsu_talk_pubsub_guests", "Devices at other servers that may be told of accounts' nodes.");
METRIC_GAUGE(due_count, "bongsu_talk_pubsub_guests_due", "Of them, those that wait for the last items.");

enum { LIST_BYTES_MAX = 64 * 1024, LINE_MORE_BYTES = 128 };

struct contact {
    struct list devices; /* the oldest first */
    int count;
    char bare[];
};

struct guest_device {
    struct list in_contact, by_age, in_version, in_due;
    struct person *person;
    struct contact *contact;
    struct version *version;
    uint64_t number; /* another one each time it comes */
    bool here;   /* its presence came to this messenger: it asks, and sends the last items */
    bool missed; /* there was news here before it was known what it wants: then this one does that too */
    struct jid jid;
    char *node; /* of its client; behind the address */
    char text[];
};

struct guest_contacts {
    struct strmap by_bare;
    struct pep_news *news;
};

struct guest_devices {
    struct list by_age, due;
    int count, due_count, running;
    int left; /* that may be begun in this second */
    uint64_t last_number;
};

static struct guest_devices *all_of(struct talk *t)
{
    struct guest_devices *all = t->guest_devices;

    if (all)
        return all;
    all = t->guest_devices = NEW(struct guest_devices);
    list_init(&all->by_age);
    list_init(&all->due);
    all->left = GUEST_LASTS_PER_SECOND;
    return all;
}

/* ---- the lists ---- */

static struct contact *contact_of(const struct person *me, struct str bare)
{
    return me->guests ? strmap_get(&me->guests->by_bare, bare) : NULL;
}

static struct guest_device *device_of(const struct person *me, const struct jid *jid)
{
    struct contact *k = contact_of(me, jid->bare);

    if (!k)
        return NULL;
    LIST_EACH(it, &k->devices) {
        struct guest_device *d = LIST_ITEM(it, struct guest_device, in_contact);

        if (str_eq(d->jid.full, jid->full))
            return d;
    }
    return NULL;
}

static void not_due(struct guest_devices *all, struct guest_device *d)
{
    if (!list_linked(&d->in_due))
        return;
    list_remove(&d->in_due);
    metric_set(&due_count, --all->due_count);
}

static void forget(struct guest_device *d)
{
    struct guest_devices *all = d->person->talk->guest_devices;
    struct contact *k = d->contact;

    not_due(all, d);
    version_leave(d->version, &d->in_version);
    list_remove(&d->by_age);
    list_remove(&d->in_contact);
    metric_set(&known_count, --all->count);
    if (--k->count == 0) {
        strmap_del(&d->person->guests->by_bare, str_of(k->bare));
        free(k);
    }
    free(d);
}

static void forget_contact(struct person *me, struct str bare)
{
    struct contact *k = contact_of(me, bare);

    for (int n = k ? k->count : 0; n > 0; n--)
        forget(LIST_ITEM(k->devices.next, struct guest_device, in_contact));
}

void guest_contacts_free(struct person *p)
{
    struct str key;
    void *value;

    if (!p->guests)
        return;
    for (size_t it = 0; strmap_next(&p->guests->by_bare, &it, &key, &value);)
        forget_contact(p, key);
    strmap_done(&p->guests->by_bare);
    pep_news_free(&p->guests->news);
    free(p->guests);
    p->guests = NULL;
}

static struct guest_contacts *contacts_of(struct person *me)
{
    if (!me->guests) {
        me->guests = NEW(struct guest_contacts);
        strmap_init(&me->guests->by_bare);
    }
    return me->guests;
}

static struct contact *contact_make(struct person *me, struct str bare)
{
    struct contact *k = contact_of(me, bare);

    if (k)
        return k;
    k = mem_new(sizeof *k + bare.len + 1);
    memcpy(k->bare, bare.p, bare.len);
    list_init(&k->devices);
    strmap_put(&contacts_of(me)->by_bare, str_of(k->bare), k);
    return k;
}

static struct str within(const struct guest_device *d, const struct jid *from, struct str part)
{
    return part.len ? str_make(d->text + (part.p - from->full.p), part.len) : STR_NULL;
}

static void make_room(struct person *me, struct str bare)
{
    struct guest_devices *all = all_of(me->talk);
    struct contact *k = contact_of(me, bare);

    if (k && k->count >= GUEST_DEVICES_OF_CONTACT_MAX)
        forget(LIST_ITEM(k->devices.next, struct guest_device, in_contact));
    if (all->count >= GUEST_DEVICES_MAX)
        forget(LIST_ITEM(all->by_age.next, struct guest_device, by_age));
}

static struct guest_device *device_new(struct person *me, const struct jid *from, struct str node)
{
    struct guest_device *d;
    struct guest_devices *all = all_of(me->talk);

    make_room(me, from->bare);
    d = mem_new(sizeof *d + from->full.len + 1 + node.len + 1);
    memcpy(d->text, from->full.p, from->full.len);
    d->node = d->text + from->full.len + 1;
    if (node.len)
        memcpy(d->node, node.p, node.len);
    d->jid = (struct jid){.full = str_make(d->text, from->full.len),
                          .bare = str_make(d->text, from->bare.len),
                          .local = within(d, from, from->local),
                          .domain = within(d, from, from->domain),
                          .resource = within(d, from, from->resource)};
    d->person = me;
    d->number = ++all->last_number;
    d->contact = contact_make(me, from->bare);
    d->contact->count++;
    list_init(&d->in_due);
    list_append(&d->contact->devices, &d->in_contact);
    list_append(&all->by_age, &d->by_age);
    metric_set(&known_count, ++all->count);
    return d;
}

/* ---- who may hear ---- */

static bool may_hear(struct person *me, const struct jid *who)
{
    struct roster_item *item = person_item(me, who->bare);

    return !me->deleted && item && (item->subscription & SUB_FROM) && !blocking_has(me, who);
}

int guest_devices_wanting(struct person *me, struct str bare, struct str node, const struct jid *out[GUEST_DEVICES_OF_CONTACT_MAX])
{
    struct contact *k = contact_of(me, bare);
    int n = 0;

    if (!k)
        return 0;
    LIST_EACH(it, &k->devices) {
        struct guest_device *d = LIST_ITEM(it, struct guest_device, in_contact);

        if (!may_hear(me, &d->jid))
            continue;
        if (!version_wants(d->version).p)
            d->missed = true;
        else if (caps_list_has(version_wants(d->version), node))
            out[n++] = &d->jid;
    }
    return n;
}

void guest_devices_told(struct person *me, struct str node)
{
    if (me->guests)
        pep_news_note(me->guests->news, node, false);
}

/* ---- the last items ---- */

/* The nodes of ?1, for the contact ?2 (?3: the device, ?4: its domain, ?5: an entry of the block list for domain/resource). */
#define SEES " r.jid = ?2 AND (r.subscription & 2) <> 0 AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.owner = ?1 AND b.jid IN (?2, ?3, ?4, ?5))"
static struct db_sql nodes_for = {"SELECT n.name FROM roster r CROSS JOIN pubsub_node n ON n.owner = r.owner AND n.items > 0"
                                  " WHERE r.owner = ?1 AND" SEES " ORDER BY n.name"};
static struct db_sql shown_for = {"SELECT '' FROM roster r CROSS JOIN profile_viewer v ON v.owner = r.owner AND v.jid = r.jid"
                                  " WHERE r.owner = ?1 AND" SEES};

static enum err find(struct job *j, struct db_conn *c, struct last *l, struct db_sql *sql)
{
    struct str resource = l->full, bare = str_split(&resource, '/'), domain = bare;
    struct db_stmt *row = db_prepare(c, sql);
    struct str owner = l->owner->jid.bare; /* does not change */
    enum err e;

    if (!row)
        return ERR_IO;
    str_split(&domain, '@');
    domain = domain.p ? domain : bare;
    db_bind_i64(row, 1, l->person);
    db_bind_str(row, 2, bare);
    db_bind_str(row, 3, l->full);
    db_bind_str(row, 4, domain);
    db_bind_str(row, 5, arena_printf(&j->work, "%.*s/%.*s", STR_ARG(domain), STR_ARG(resource)));
    while ((e = db_step(row)) == OK) {
        if (sql == &shown_for)
            last_want_profile(j, l, l->person, owner);
        else
            last_want(j, l, l->person, owner, db_text(row, 0));
    }
    db_done(row);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err find_nodes(struct job *j, struct db_conn *c, struct last *l)
{
    enum err e = find(j, c, l, &nodes_for);

    return e || !l->profiles ? e : find(j, c, l, &shown_for);
}

static struct pep_news **news_of(struct talk *t, const struct last *l)
{
    (void)t;
    return l->owner->guests ? &l->owner->guests->news : NULL;
}

static void send_one(struct talk *t, const struct last *l, struct str message)
{
    struct guest_device *d;
    struct arena a;
    struct jid to;

    arena_init(&a);
    d = jid_parse(&a, l->full, &to) == OK ? device_of(l->owner, &to) : NULL;
    if (d && d->number == l->session_id && may_hear(l->owner, &to))
        federate_send(t, message);
    arena_done(&a);
}

static void go(struct talk *t);

static void ended(struct talk *t, const struct last *l)
{
    t->guest_devices->running--;
    person_unref(l->owner);
    go(t);
}

static const struct last_reader reader = {.find = find_nodes, .news = news_of, .send = send_one, .ended = ended};

static void begin(struct guest_device *d)
{
    struct person *me = d->person;
    struct talk *t = me->talk;
    struct last what = {.reader = &reader, .session_id = d->number, .person = me->id, .owner = me, .bare = d->jid.bare, .full = d->jid.full,
                        .wants = version_wants(d->version)};

    if (!what.wants.len || !may_hear(me, &d->jid))
        return;
    t->guest_devices->left--;
    t->guest_devices->running += 2; /* it may be two reads, and one may have ended when last_items returns */
    person_ref(me);
    person_ref(me);
    if (last_items(t, &what) == 1)
        ended(t, &(struct last){.owner = me});
}

static void go(struct talk *t)
{
    struct guest_devices *all = t->guest_devices;

    while (!list_empty(&all->due) && all->left > 0 && all->running < GUEST_LASTS_AT_ONCE && !t->stopping) {
        struct guest_device *d = LIST_ITEM(all->due.next, struct guest_device, in_due);

        not_due(all, d);
        d->missed = false;
        begin(d);
    }
}

static void make_due(struct guest_device *d)
{
    struct guest_devices *all = d->person->talk->guest_devices;

    if (list_linked(&d->in_due))
        return;
    list_append(&all->due, &d->in_due);
    metric_set(&due_count, ++all->due_count);
    go(d->person->talk);
}

/* It is new, or may see what it could not before. */
static void catch_up(struct guest_device *d)
{
    if (version_wants(d->version).p && (d->here || d->missed))
        make_due(d);
    else if (d->here)
        version_may_ask(d->version);
}

bool guest_device_may_ask(struct list *link, struct guest_question *q)
{
    struct guest_device *d = LIST_ITEM(link, struct guest_device, in_version);

    *q = (struct guest_question){.from = d->person->jid.bare, .to = &d->jid, .node = str_of(d->node)};
    return d->here && may_hear(d->person, &d->jid);
}

void guest_device_known(struct list *link)
{
    catch_up(LIST_ITEM(link, struct guest_device, in_version));
}

static void show_now(struct talk *t, struct person *me, void *arg)
{
    struct contact *k = me ? contact_of(me, str_of(arg)) : NULL;

    (void)t;
    for (struct list *it = k ? k->devices.next : NULL; k && it != &k->devices; it = it->next)
        catch_up(LIST_ITEM(it, struct guest_device, in_contact));
    free(arg);
}

void guest_devices_show(struct person *me, struct str bare)
{
    char *text;

    if (!contact_of(me, bare))
        return;
    text = str_dup(bare);
    if (person_when_read(me, show_now, text) != OK)
        show_now(me->talk, me, text);
}

void guest_devices_tick(struct talk *t)
{
    versions_tick(t);
    if (!t->guest_devices)
        return;
    t->guest_devices->left = GUEST_LASTS_PER_SECOND;
    go(t);
}

void guest_devices_done(struct talk *t)
{
    versions_done(t);
    free(t->guest_devices);
    t->guest_devices = NULL;
}

/* ---- what comes ---- */

static void put(struct person *me, const struct jid *from, struct str version, struct str node, bool here)
{
    struct guest_device *d = device_of(me, from);

    if (d && str_eq(version_key(d->version), version)) {
        d->here = here;
        list_remove(&d->by_age);
        list_append(&all_of(me->talk)->by_age, &d->by_age);
        return;
    }
    if (d)
        forget(d);
    d = device_new(me, from, node);
    d->here = here;
    d->version = version_join(me->talk, version, &d->in_version);
    catch_up(d);
}

/* Of those who are in the contact list: a person in a room, say, shows itself too. */
static bool is_contact(struct person *me, struct str bare)
{
    struct roster_item *item = person_item(me, bare);

    return item && item->subscription != SUB_NONE;
}

static void put_line(struct buf *b, struct str jid, struct str version, struct str node)
{
    buf_printf(b, "%.*s\n%.*s\n%.*s\n", STR_ARG(jid), STR_ARG(version), STR_ARG(node));
}

/* The others that have the account in memory: this is how the device is now. */
static void tell_others(struct person *me, struct str jid, struct str version, struct str node)
{
    struct buf b;

    if (!me->talk->shared)
        return;
    buf_init(&b, 0);
    put_line(&b, jid, version, node);
    event_send(me->talk, &(struct event){.kind = EVENT_GUESTS, .local = me->jid.local, .text = buf_str(&b)});
    buf_done(&b);
}

static void gone(struct person *me, const struct jid *who)
{
    struct guest_device *d = device_of(me, who);

    if (!who->resource.len)
        forget_contact(me, who->bare);
    else if (d)
        forget(d);
}

void guest_device_presence(struct person *to, const struct stanza *p)
{
    struct str node, version = STR_NULL;

    if ((p->type != TYPE_AVAILABLE && p->type != TYPE_UNAVAILABLE) || !is_contact(to, p->from.bare))
        return;
    contacts_of(to);
    if (p->type == TYPE_AVAILABLE && p->from.resource.len)
        version = version_told(p->arena, p->node, &node);
    if (version.p) {
        tell_others(to, p->from.full, version, node); /* before the last items are read: what is news from then on, they tell */
        put(to, &p->from, version, node, true);
    } else if (p->type == TYPE_UNAVAILABLE || p->from.resource.len) {
        gone(to, &p->from);
        tell_others(to, p->from.full, STR(""), STR(""));
    }
}

/* ---- to and from other messengers ---- */

void guest_devices_tell(struct person *p)
{
    struct buf b;
    struct str key;
    void *value;

    if (!p->guests || p->guests->by_bare.count == 0)
        return;
    buf_init(&b, LIST_BYTES_MAX);
    for (size_t it = 0; strmap_next(&p->guests->by_bare, &it, &key, &value);) {
        struct contact *k = value;

        LIST_EACH(at, &k->devices) {
            struct guest_device *d = LIST_ITEM(at, struct guest_device, in_contact);

            if (b.len + d->jid.full.len + strlen(d->node) + LINE_MORE_BYTES <= LIST_BYTES_MAX)
                put_line(&b, d->jid.full, version_key(d->version), str_of(d->node));
        }
    }
    event_send(p->talk, &(struct event){.kind = EVENT_GUESTS, .local = p->jid.local, .flags = EVENT_AGAIN, .text = buf_str(&b)});
    buf_done(&b);
}

/* Whether it is a contact's, that messenger has judged: its list may be newer. `again`: an answer, perhaps older than what is here. */
static void take_line(struct person *me, struct str jid, struct str version, struct str node, bool again)
{
    struct arena a;
    struct jid who;

    arena_init(&a);
    if (jid_parse(&a, jid, &who) != OK || !federate_reaches(me->talk, who.domain))
        ;
    else if (version.len == 0)
        gone(me, &who);
    else if (version_is_provable(version) && who.resource.len && !(again && device_of(me, &who)))
        put(me, &who, version, node, false);
    arena_done(&a);
}

void guest_devices_take(struct person *me, struct str list, bool again)
{
    contacts_of(me);
    while (list.len) {
        struct str jid = str_split(&list, '\n'), version = str_split(&list, '\n'), node = str_split(&list, '\n');

        take_line(me, jid, version, node, again);
    }
}
