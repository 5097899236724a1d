/* xep0115_guests.c: see xep0115_guests.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0115_guests.h"
#include "base/mem.h"
#include "base/metric.h"
#include "crypto/digest.h"
#include "talk/federate.h"
#include "talk/xep/xep0115_clients.h"
#include "talk/xep/xep0163_guests.h"
#include "wire/base64.h"
#include <stdio.h>
#include <stdlib.h>

#define NS_CAPS "http://jabber.org/protocol/caps"

METRIC_COUNTER(asked_count, "bongsu_talk_caps_guests_asked", "Devices at other servers asked what they can do.");
METRIC_COUNTER(unanswered, "bongsu_talk_caps_guests_unanswered", "Of them, those that gave no result.");

enum { LOOK_FIRST_MS = 1000, LOOKS_PER_SECOND = 50, DOMAIN_REST_FIRST_MS = 15 * 1000, VERSION_BYTES_MAX = 100, NODE_BYTES_MAX = 512 };

struct version {
    struct talk *talk;
    struct caps *caps;
    struct list devices;      /* guest_device.in_version */
    struct list in_unknown;   /* versions.unknown, until it is known */
    int looks, tries;
    int64_t look_ms;
    bool asking;
    char key[];
};

struct question {
    struct list link;
    int64_t id, asked_ms;
    char *version, *to;
};

struct domain {
    int asking, failures, in_minute;
    int64_t rests_ms, minute_ms; /* it is asked nothing before */
    char name[];
};

struct versions {
    struct strmap by_key, domains;
    struct list unknown, questions;
    int question_count;
};

static struct versions *versions_of(struct talk *t)
{
    struct versions *all = t->versions;

    if (all)
        return all;
    all = t->versions = NEW(struct versions);
    strmap_init(&all->by_key);
    strmap_init(&all->domains);
    list_init(&all->unknown);
    list_init(&all->questions);
    return all;
}

/* ---- what a presence says ---- */

bool version_is_provable(struct str version)
{
    struct str rest = version, name = str_split(&rest, ' ');
    enum digest_kind kind;

    if (!rest.p || version.len > VERSION_BYTES_MAX || !caps_algorithm(name, &kind) || rest.len != (digest_bytes(kind) + 2) / 3 * 4)
        return false;
    for (size_t i = 0; i < rest.len; i++)
        if (!memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=", rest.p[i], 65))
            return false;
    return true;
}

struct str version_told(struct arena *a, const struct xml_node *presence, struct str *node)
{
    const struct xml_node *c = xml_child(presence, "c", NS_CAPS);
    struct str version;

    if (!c)
        return STR_NULL;
    *node = xml_attr(c, "node");
    if (xml_attr(c, "hash").len + xml_attr(c, "ver").len > VERSION_BYTES_MAX || node->len > NODE_BYTES_MAX || str_find(*node, '\n') >= 0)
        return STR_NULL;
    version = arena_printf(a, "%.*s %.*s", STR_ARG(xml_attr(c, "hash")), STR_ARG(xml_attr(c, "ver")));
    return version_is_provable(version) ? version : STR_NULL;
}

/* ---- versions ---- */

struct str version_key(const struct version *v)
{
    return str_of(v->key);
}

struct str version_wants(const struct version *v)
{
    return caps_wanted(v->caps);
}

static void look_later(struct version *v, int64_t ms)
{
    struct versions *all = v->talk->versions;

    v->look_ms = loop_now_ms(v->talk->loop) + (ms < VERSION_REST_MS ? ms : VERSION_REST_MS);
    list_remove(&v->in_unknown);
    list_append(&all->unknown, &v->in_unknown);
}

static struct version *version_new(struct talk *t, struct str key)
{
    struct version *v = mem_new(sizeof *v + key.len + 1);

    *v = (struct version){.talk = t};
    memcpy(v->key, key.p, key.len);
    v->key[key.len] = 0;
    list_init(&v->devices);
    list_init(&v->in_unknown);
    strmap_put(&t->versions->by_key, str_of(v->key), v);
    v->caps = caps_take(t, key);
    if (!version_wants(v).p)
        look_later(v, LOOK_FIRST_MS);
    return v;
}

struct version *version_join(struct talk *t, struct str key, struct list *link)
{
    struct versions *all = versions_of(t);
    struct version *v = strmap_get(&all->by_key, key);

    if (!v)
        v = version_new(t, key);
    list_append(&v->devices, link);
    return v;
}

void version_leave(struct version *v, struct list *link)
{
    list_remove(link);
    if (!list_empty(&v->devices))
        return;
    strmap_del(&v->talk->versions->by_key, str_of(v->key));
    list_remove(&v->in_unknown);
    caps_unref(v->caps);
    free(v);
}

/* ---- whom we may ask ---- */

static bool domain_is_idle(const struct domain *d, int64_t now)
{
    return !d->asking && now - d->minute_ms >= 60 * 1000 && now - d->rests_ms >= VERSION_REST_MS;
}

static void forget_idle(struct versions *all, int64_t now)
{
    struct str key;
    void *value;

    for (size_t it = 0; strmap_next(&all->domains, &it, &key, &value);)
        if (domain_is_idle(value, now)) {
            strmap_del(&all->domains, key);
            free(value);
        }
}

static struct domain *domain_of(struct talk *t, struct str name)
{
    struct versions *all = t->versions;
    struct domain *d = strmap_get(&all->domains, name);

    if (d)
        return d;
    if (all->domains.count >= VERSION_DOMAINS_MAX)
        forget_idle(all, loop_now_ms(t->loop));
    if (all->domains.count >= VERSION_DOMAINS_MAX)
        return NULL;
    d = mem_new(sizeof *d + name.len + 1);
    *d = (struct domain){0};
    memcpy(d->name, name.p, name.len);
    d->name[name.len] = 0;
    strmap_put(&all->domains, str_of(d->name), d);
    return d;
}

static bool may_be_asked(struct domain *d, int64_t now)
{
    if (now - d->minute_ms >= 60 * 1000) {
        d->minute_ms = now;
        d->in_minute = 0;
    }
    return now >= d->rests_ms && d->asking < VERSIONS_ASKED_OF_DOMAIN_MAX && d->in_minute < VERSIONS_OF_DOMAIN_PER_MINUTE;
}

static void domain_answered(struct talk *t, struct str to, bool fine)
{
    struct str rest = to, local = str_split(&rest, '@'), name = str_split(&rest, '/');
    struct domain *d = strmap_get(&t->versions->domains, name);
    int64_t pause = DOMAIN_REST_FIRST_MS;

    (void)local;
    if (!d)
        return;
    d->asking--;
    d->failures = fine ? 0 : d->failures + 1;
    for (int i = 1; i < d->failures && pause < VERSION_REST_MS; i++)
        pause *= 2;
    if (!fine)
        d->rests_ms = loop_now_ms(t->loop) + (pause < VERSION_REST_MS ? pause : VERSION_REST_MS);
}

/* ---- asking ---- */

static void send_question(struct talk *t, const struct question *q, const struct guest_question *who)
{
    struct str ver = str_of(q->version);
    struct buf b;

    str_split(&ver, ' ');
    buf_init(&b, 0);
    BUF_LIT(&b, "<iq");
    xml_put_attr(&b, "from", who->from);
    xml_put_attr(&b, "to", str_of(q->to));
    buf_printf(&b, " id='caps%lld' type='get'><query xmlns='http://jabber.org/protocol/disco#info' node='", (long long)q->id);
    xml_put_escaped(&b, who->node);
    buf_put_c(&b, '#');
    xml_put_escaped(&b, ver);
    BUF_LIT(&b, "'/></iq>");
    federate_send(t, buf_str(&b));
    buf_done(&b);
}

/* False: that one cannot be asked now. */
static bool ask(struct version *v, const struct guest_question *who)
{
    struct versions *all = v->talk->versions;
    int64_t now = loop_now_ms(v->talk->loop);
    struct domain *d = all->question_count < VERSIONS_ASKED_MAX ? domain_of(v->talk, who->to->domain) : NULL;
    struct question *q;

    if (!d || !may_be_asked(d, now))
        return false;
    d->asking++;
    d->in_minute++;
    q = NEW(struct question);
    *q = (struct question){.id = talk_log_id(v->talk), .asked_ms = now, .version = str_dup(str_of(v->key)), .to = str_dup(who->to->full)};
    list_append(&all->questions, &q->link);
    all->question_count++;
    v->asking = true;
    v->tries++;
    metric_add(&asked_count, 1);
    send_question(v->talk, q, who);
    return true;
}

static void ask_somebody(struct version *v)
{
    if (v->asking || v->tries >= VERSION_TRIES)
        return;
    LIST_EACH(it, &v->devices) {
        struct guest_question who;

        if (!guest_device_may_ask(it, &who) || !ask(v, &who))
            continue;
        list_remove(it); /* another one is asked next time */
        list_append(&v->devices, it);
        return;
    }
}

void version_may_ask(struct version *v)
{
    /* else the database is being looked at, and says so itself */
    if (v->looks && !version_wants(v).p)
        ask_somebody(v);
}

/* With no result: another device, or another time. */
static void ended(struct talk *t, struct question *q, bool result)
{
    struct version *v = strmap_get(&t->versions->by_key, str_of(q->version));

    metric_add(&unanswered, !result);
    domain_answered(t, str_of(q->to), result);
    if (v)
        v->asking = false;
    t->versions->question_count--;
    list_remove(&q->link);
    free(q->version);
    free(q->to);
    free(q);
}

bool version_answered(struct session *s, const struct stanza *iq)
{
    struct versions *all = s->talk->versions;
    struct str number = iq->id;
    int64_t id;

    if (!all || !str_starts(number, STR("caps")) || !str_to_i64(str_make(number.p + 4, number.len - 4), &id))
        return false;
    LIST_EACH(it, &all->questions) {
        struct question *q = LIST_ITEM(it, struct question, link);
        struct version *v = strmap_get(&all->by_key, str_of(q->version));

        if (q->id != id || !str_is(s->jid.full, q->to))
            continue;
        ended(s->talk, q, iq->type == TYPE_RESULT);
        if (v && !version_wants(v).p && !caps_prove(v->caps, iq) && iq->type == TYPE_RESULT)
            v->tries = VERSION_TRIES; /* the others that have it would say the same */
        return true;
    }
    return false;
}

/* ---- known, or not ---- */

void versions_known(struct talk *t, struct str key)
{
    struct version *v = t->versions ? strmap_get(&t->versions->by_key, key) : NULL;

    if (!v)
        return;
    list_remove(&v->in_unknown);
    LIST_EACH(it, &v->devices)
        guest_device_known(it);
}

void versions_unknown(struct talk *t, struct str key)
{
    struct version *v = t->versions ? strmap_get(&t->versions->by_key, key) : NULL;

    if (!v || version_wants(v).p)
        return;
    look_later(v, (int64_t)LOOK_FIRST_MS << (v->looks < 12 ? v->looks : 12));
    v->looks++;
    ask_somebody(v);
}

void versions_tick(struct talk *t)
{
    struct versions *all = t->versions;
    int64_t now = loop_now_ms(t->loop);
    int n = 0;

    if (!all)
        return;
    LIST_EACH(it, &all->questions) {
        struct question *q = LIST_ITEM(it, struct question, link);

        if (now - q->asked_ms >= VERSION_ASK_MS)
            ended(t, q, false);
    }
    LIST_EACH(it, &all->unknown) {
        struct version *v = LIST_ITEM(it, struct version, in_unknown);

        if (n >= LOOKS_PER_SECOND)
            return;
        if (now < v->look_ms || v->asking)
            continue;
        n++;
        if (v->tries >= VERSION_TRIES && v->looks > 12)
            v->tries = VERSION_TRIES - 1; /* once more, after an hour */
        look_later(v, (int64_t)LOOK_FIRST_MS << (v->looks < 12 ? v->looks : 12));
        caps_look_again(v->caps);
    }
}

void versions_done(struct talk *t)
{
    struct versions *all = t->versions;
    struct str key;
    void *value;

    if (!all)
        return;
    LIST_EACH(it, &all->questions)
        ended(t, LIST_ITEM(it, struct question, link), true);
    for (size_t it = 0; strmap_next(&all->domains, &it, &key, &value);)
        free(value);
    strmap_done(&all->domains);
    strmap_done(&all->by_key);
    free(all);
    t->versions = NULL;
}
