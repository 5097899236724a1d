/* xep0163_last.c: see xep0163_last.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0163_last.h"
#include "base/mem.h"
#include "talk/pubsub/inner.h"
#include "talk/xep/xep0115_clients.h"
#include <stdlib.h>

/* ---- news while last items are being read: what was read may be older ---- */

enum { NEWS_MAX = 32, LAST_ROUNDS = 8 };

struct pep_news {
    uint64_t serial; /* of the reader's time: what was read for an earlier one is nobody's */
    int reads;       /* under way */
    int count;       /* over NEWS_MAX: any node */
    char *nodes[NEWS_MAX];
    bool settled[NEWS_MAX];
};

void pep_news_note(struct pep_news *n, struct str node, bool settled)
{
    if (n && n->count < NEWS_MAX) {
        n->settled[n->count] = settled;
        n->nodes[n->count++] = str_dup(node);
    } else if (n) {
        n->count = NEWS_MAX + 1;
    }
}

enum told { NOTHING, SETTLED, OTHERWISE };

/* The newest counts. */
static enum told told_since(const struct pep_news *n, int from, struct str node)
{
    if (n->count > NEWS_MAX)
        return OTHERWISE;
    for (int i = n->count - 1; i >= from; i--)
        if (str_eq(str_of(n->nodes[i]), node))
            return n->settled[i] ? SETTLED : OTHERWISE;
    return NOTHING;
}

void pep_news_free(struct pep_news **n)
{
    for (int i = 0; *n && i < (*n)->count && i < NEWS_MAX; i++)
        free((*n)->nodes[i]);
    free(*n);
    *n = NULL;
}

/* ---- which nodes ---- */

struct wanted {
    int64_t owner;
    struct str bare, node;
};

void last_want(struct job *j, struct last *l, int64_t owner, struct str bare, struct str node)
{
    bool profile = profile_is_node(node) && !str_eq(bare, l->bare);

    if (!caps_list_has(l->wants, node) || (l->only.len && !str_eq(l->only, bare)) ||
        !(profile ? l->profiles : l->ordinary))
        return;
    if (l->count == l->cap) {
        struct wanted *more;

        l->cap = l->cap ? l->cap * 2 : 16;
        more = arena_alloc(&j->work, sizeof *more * (size_t)l->cap);
        if (l->count)
            memcpy(more, l->wanted, sizeof *more * (size_t)l->count);
        l->wanted = more;
    }
    l->wanted[l->count++] = (struct wanted){owner, arena_str(&j->work, bare), arena_str(&j->work, node)};
}

static bool is_wanted(const struct last *l, struct str bare, struct str node)
{
    for (int i = 0; i < l->count; i++)
        if (str_eq(l->wanted[i].bare, bare) && str_eq(l->wanted[i].node, node))
            return true;
    return false;
}

void last_want_profile(struct job *j, struct last *l, int64_t owner, struct str bare)
{
    for (int i = 0; profile_news[i]; i++)
        if (!is_wanted(l, bare, str_of(profile_news[i])))
            last_want(j, l, owner, bare, str_of(profile_news[i]));
}

/* ---- reading ---- */

static enum err add_item(struct job *j, struct last *l, const struct node *n, const struct item *i)
{
    struct buf b;

    buf_init(&b, 0);
    last_item_put(&b, j, n, i, l->full);
    ids_add(&j->work, &l->messages, buf_str(&b));
    ids_add(&j->work, &l->nodes, n->name);
    buf_done(&b);
    return OK;
}

static enum err add_basic(struct job *j, struct db_conn *c, struct last *l, const struct wanted *w)
{
    struct node n;
    struct item i;
    enum err e = item_last_seen(j, c, w->node, &n, &i);

    if (e || i.us < l->since_us || n.config.send_last != LAST_ON_SUB_AND_PRESENCE || !n.config.notifications ||
        !n.config.persist)
        return e == ERR_NOT_FOUND ? OK : e;
    return add_item(j, l, &n, &i);
}

/* Of who shows us another profile than the basic one, or perhaps does, that one (profile.h). */
static enum err add_profile(struct job *j, struct db_conn *c, struct last *l, const struct wanted *w)
{
    struct profile_view v = profile_of_job(j, c);
    struct node n = {.name = w->node, .config.payloads = true};
    int before = l->messages.count;
    struct item i;
    enum err e;

    if (v.kind == PROFILE_BASIC) {
        e = add_basic(j, c, l, w);
        if (e || profile_still(c, &v))
            return e;
        l->messages.count = l->nodes.count = before;
        v.kind = PROFILE_MINIMAL;
    }
    return profile_item(j, c, &v, w->node, &i) == OK ? add_item(j, l, &n, &i) : OK;
}

static enum err add_message(struct job *j, struct db_conn *c, struct last *l, const struct wanted *w)
{
    j->service = (struct service){.owner = w->owner, .pep = true, .bare = w->bare};
    j->asker.self = str_eq(w->bare, l->bare);
    return !j->asker.self && profile_is_node(w->node) ? add_profile(j, c, l, w) : add_basic(j, c, l, w);
}

static enum err last_run(struct job *j, struct db_conn *c)
{
    struct last *l = j->arg;
    enum err e;

    l->count = l->cap = 0;
    l->messages = l->nodes = (struct ids){0};
    e = l->reader->find(j, c, l);
    for (int i = 0; i < l->count && !e; i++)
        e = add_message(j, c, l, &l->wanted[i]);
    return e;
}

/* ---- telling ---- */

static void start(struct talk *t, const struct last *l);

/* The nodes that were told of meanwhile, once more. */
static void read_again(struct talk *t, const struct last *l, const struct pep_news *news)
{
    struct last again = *l;
    struct buf nodes;

    buf_init(&nodes, 0);
    for (int i = 0; i < l->nodes.count; i++)
        if (told_since(news, l->news_from, l->nodes.ids[i]) == OTHERWISE && !caps_list_has(buf_str(&nodes), l->nodes.ids[i])) {
            buf_put_str(&nodes, l->nodes.ids[i]);
            buf_put_c(&nodes, '\n');
        }
    again.wants = buf_str(&nodes);
    again.round++;
    start(t, &again);
    buf_done(&nodes);
}

/* NULL: the reader has gone, and if it has come again, it reads again. */
static struct pep_news **news_of(struct talk *t, const struct last *l)
{
    struct pep_news **news = l->reader->news(t, l);

    return news && *news && (*news)->serial == l->serial ? news : NULL;
}

/* True: it goes on. */
static bool tell(struct talk *t, const struct last *l)
{
    struct pep_news **news = news_of(t, l);
    bool stale = false;

    for (int i = 0; news && i < l->messages.count; i++) {
        enum told told = l->round < LAST_ROUNDS ? told_since(*news, l->news_from, l->nodes.ids[i]) : NOTHING;

        if (told == OTHERWISE)
            stale = true;
        else if (told == NOTHING)
            l->reader->send(t, l, l->messages.ids[i]);
        news = news_of(t, l);
    }
    if (!news)
        return false;
    if (stale)
        read_again(t, l, *news);
    if (--(*news)->reads == 0)
        pep_news_free(news);
    return stale;
}

static void last_done(struct job *j, enum err e)
{
    struct last *l = j->arg;

    if (e)
        l->messages.count = 0;
    if (!tell(j->talk, l) && l->reader->ended)
        l->reader->ended(j->talk, l);
}

static struct last *copy(struct job *j, const struct last *what)
{
    struct talk *t = j->talk;
    struct last *l = arena_zalloc(&j->arena, sizeof *l);

    *l = *what;
    l->bare = j->asker.bare;
    l->full = j->asker.full;
    l->wants = arena_str(&j->arena, what->wants);
    l->only = arena_str(&j->arena, what->only);
    l->domain = arena_str(&j->arena, t->domain);
    l->suffix = arena_printf(&j->arena, "@%.*s", STR_ARG(t->domain));
    return l;
}

static void start(struct talk *t, const struct last *what)
{
    struct pep_news **news = what->reader->news(t, what);
    struct service at = {.pep = true, .bare = what->bare};
    struct job *j;
    struct last *l;

    if (!*news) {
        *news = NEW(struct pep_news);
        (*news)->serial = (uint64_t)talk_log_id(t);
    }
    (*news)->reads++;
    j = job_new(t, &at);
    job_asker(j, what->bare, what->full, !what->owner);
    l = copy(j, what);
    l->serial = (*news)->serial;
    l->news_from = (*news)->count;
    j->arg = l;
    j->run = last_run;
    j->done = last_done;
    if (l->profiles && t->shared)
        job_change(j, NULL); /* where the newest is seen */
    else
        job_read(j, NULL);
}

static bool wants_profiles(struct str list)
{
    while (list.len)
        if (profile_is_node(str_split(&list, '\n')))
            return true;
    return false;
}

int last_items(struct talk *t, const struct last *what)
{
    struct last l = *what;
    bool profiles = wants_profiles(l.wants);

    l.ordinary = true;
    l.profiles = profiles && !t->shared;
    start(t, &l);
    if (!profiles || !t->shared)
        return 1;
    l.ordinary = false;
    l.profiles = true;
    start(t, &l);
    return 2;
}
