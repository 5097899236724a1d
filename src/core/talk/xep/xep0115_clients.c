/* XEP-0115 Entity Capabilities 1.6.0, of the clients: see xep0115_clients.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/xep/xep0115_clients.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metric.h"
#include "talk/feature.h"
#include "talk/xep/xep0115_guests.h"
#include "talk/xep/xep0163_pep.h"
#include "wire/base64.h"
#include <stdlib.h>

#define NS_CAPS "http://jabber.org/protocol/caps"
#define NS_INFO "http://jabber.org/protocol/disco#info"
#define NS_FORM "jabber:x:data"

METRIC_COUNTER(caps_asked, "bongsu_talk_caps_asked", "Clients asked what they can do.");
METRIC_COUNTER(caps_false, "bongsu_talk_caps_false", "Answers of clients that did not fit their hash.");

static const struct db_migration caps_migrations[] = {
    {1, "caps", "CREATE TABLE caps(version TEXT PRIMARY KEY, wants TEXT NOT NULL, us INTEGER NOT NULL);"},
    {0},
};

static struct db_sql caps_select = {"SELECT wants FROM caps WHERE version = ?1"};
static struct db_sql caps_insert = {"INSERT INTO caps(version, wants, us) SELECT ?1, ?2, ?3 WHERE (SELECT "
                                    "count(*) FROM caps) < ?4 ON CONFLICT DO NOTHING"};

/* ---- the hash (§5.1) ---- */

struct texts {
    int count;
    struct str *at;
};

static int by_text(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted; false when two are the same (§5.4.3.3) or one holds what separates them. */
static bool put_sorted(struct buf *b, struct texts *t)
{
    qsort(t->at, (size_t)t->count, sizeof *t->at, by_text);
    for (int i = 0; i < t->count; i++) {
        if ((i && str_eq(t->at[i - 1], t->at[i])) || str_find(t->at[i], '<') >= 0)
            return false;
        buf_put_str(b, t->at[i]);
        buf_put_c(b, '<');
    }
    return true;
}

/* Its own xml:lang: a server on the way may have put one on the stanza around it (RFC 6120 §8.1.5), which was not hashed. */
static struct str own_lang(const struct xml_node *x)
{
    for (int i = 0; i < x->attr_count; i++)
        if (str_is(x->attrs[i].name, "lang") && str_is(x->attrs[i].ns, "http://www.w3.org/XML/1998/namespace"))
            return x->attrs[i].value;
    return STR("");
}

static struct str identity_text(struct arena *a, const struct xml_node *x)
{
    struct str name = xml_attr(x, "name");

    return arena_printf(a, "%.*s/%.*s/%.*s/%.*s", STR_ARG(xml_attr(x, "category")),
                        STR_ARG(xml_attr(x, "type")), STR_ARG(own_lang(x)), STR_ARG(name));
}

static bool collect(struct arena *a, const struct xml_node *query, const char *name, struct texts *t)
{
    t->count = 0;
    t->at = arena_alloc(a, sizeof *t->at * (CAPS_FEATURES_MAX + 1));
    for (const struct xml_node *x = xml_first(query); x; x = xml_next(x)) {
        if (!xml_is(x, name, NS_INFO))
            continue;
        if (t->count == CAPS_FEATURES_MAX)
            return false;
        t->at[t->count++] = name[0] == 'i' ? identity_text(a, x) : xml_attr(x, "var");
    }
    return true;
}

/* "var<value<value<"; its values sorted. */
static bool field_text(struct arena *a, const struct xml_node *field, struct str *out)
{
    struct texts values = {0};
    struct buf b;
    int n = 0;

    for (const struct xml_node *v = xml_first(field); v; v = xml_next(v))
        n++;
    values.at = arena_alloc(a, sizeof *values.at * (size_t)(n + 1));
    for (const struct xml_node *v = xml_first(field); v; v = xml_next(v)) {
        if (!xml_is(v, "value", NS_FORM))
            continue;
        if (str_find(xml_text(a, v), '<') >= 0)
            return false;
        values.at[values.count++] = xml_text(a, v);
    }
    qsort(values.at, (size_t)values.count, sizeof *values.at, by_text);
    buf_init(&b, 0);
    buf_put_str(&b, xml_attr(field, "var"));
    buf_put_c(&b, '<');
    for (int i = 0; i < values.count; i++) {
        buf_put_str(&b, values.at[i]);
        buf_put_c(&b, '<');
    }
    *out = arena_str(a, buf_str(&b));
    buf_done(&b);
    return str_find(xml_attr(field, "var"), '<') < 0;
}

/* One form's part. *counts is false for a form without a hidden FORM_TYPE, which is left out (§5.4.3.6). */
static bool form_text(struct arena *a, const struct xml_node *x, struct str *out, struct str *type,
                      bool *counts)
{
    struct texts fields = {.at = arena_alloc(a, sizeof *fields.at * (CAPS_FEATURES_MAX + 1))};
    struct buf b;

    *counts = false;
    for (const struct xml_node *f = xml_first(x); f; f = xml_next(f)) {
        if (!xml_is(f, "field", NS_FORM))
            continue;
        if (str_is(xml_attr(f, "var"), "FORM_TYPE")) {
            *counts = str_is(xml_attr(f, "type"), "hidden");
            *type = xml_child_text(a, f, "value", NS_FORM);
            if (!type->p || str_find(*type, '<') >= 0)
                return false;
        } else if (fields.count == CAPS_FEATURES_MAX || !field_text(a, f, &fields.at[fields.count++])) {
            return false;
        }
    }
    if (!*counts)
        return true;
    qsort(fields.at, (size_t)fields.count, sizeof *fields.at, by_text);
    buf_init(&b, 0);
    buf_put_str(&b, *type);
    buf_put_c(&b, '<');
    for (int i = 0; i < fields.count; i++)
        buf_put_str(&b, fields.at[i]);
    *out = arena_str(a, buf_str(&b));
    buf_done(&b);
    return true;
}

enum { FORMS_MAX = 16, CAPS_KEY_BYTES_MAX = 512, CAPS_WANTS_BYTES_MAX = 16 * 1024 };

static bool put_forms(struct arena *a, const struct xml_node *query, struct buf *text)
{
    struct str parts[FORMS_MAX], types[FORMS_MAX];
    int n = 0;

    for (const struct xml_node *x = xml_first(query); x; x = xml_next(x)) {
        bool counts;

        if (!xml_is(x, "x", NS_FORM))
            continue;
        if (n == FORMS_MAX || !form_text(a, x, &parts[n], &types[n], &counts))
            return false;
        for (int i = 0; i < n && counts; i++)
            if (str_eq(types[i], types[n]))
                return false;
        n += counts;
    }
    qsort(parts, (size_t)n, sizeof *parts, by_text);
    for (int i = 0; i < n; i++)
        buf_put_str(text, parts[i]);
    return true;
}

bool caps_read(struct arena *a, const struct xml_node *query, struct buf *text, struct caps_wants *out)
{
    static const struct str suffix = {"+notify", 7};
    struct texts identities, vars;

    out->count = 0;
    if (!xml_is(query, "query", NS_INFO) || !collect(a, query, "identity", &identities) ||
        !collect(a, query, "feature", &vars))
        return false;
    if (!put_sorted(text, &identities) || !put_sorted(text, &vars) || !put_forms(a, query, text))
        return false;
    for (int i = 0; i < vars.count && out->count < CAPS_WANTS_MAX; i++)
        if (str_ends(vars.at[i], suffix) && vars.at[i].len > suffix.len)
            out->nodes[out->count++] = str_make(vars.at[i].p, vars.at[i].len - suffix.len);
    return true;
}

bool caps_algorithm(struct str name, enum digest_kind *out)
{
    static const struct {
        const char *name;
        enum digest_kind kind;
    } all[] = {{"sha-1", DIGEST_SHA1}, {"sha-256", DIGEST_SHA256}, {"sha-512", DIGEST_SHA512}};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        *out = all[i].kind;
        if (str_is(name, all[i].name))
            return true;
    }
    return false;
}

/* ---- one version ---- */

struct caps {
    struct db_read read;
    struct talk *talk;
    char *key; /* "sha-1 ver"; NULL: one session's own, which nobody has proved */
    int refs;  /* sessions, who took it, and the read under way */
    bool known, asking, reading;
    char *wants;      /* '\n' behind each node */
    struct str found; /* of the read */
    struct arena arena;
};

void caps_unref(struct caps *k)
{
    if (!k || --k->refs > 0)
        return;
    if (k->key)
        strmap_del(&k->talk->caps, str_of(k->key));
    free(k->key);
    free(k->wants);
    arena_done(&k->arena);
    free(k);
}

static struct caps *caps_make(struct talk *t, struct str key)
{
    struct caps *k = NEW(struct caps);

    k->talk = t;
    arena_init(&k->arena);
    if (key.p) {
        k->key = str_dup(key);
        strmap_put(&t->caps, str_make(k->key, key.len), k);
    }
    return k;
}

bool caps_known(const struct session *s)
{
    return s->caps && s->caps->known;
}

struct str caps_list(const struct session *s)
{
    return caps_known(s) ? str_of(s->caps->wants) : STR_NULL;
}

bool caps_list_has(struct str list, struct str node)
{
    while (list.len)
        if (str_eq(str_split(&list, '\n'), node))
            return true;
    return false;
}

bool caps_wants(const struct session *s, struct str node)
{
    return caps_list_has(caps_list(s), node);
}

/* To everyone who has this version: what they want is known now. */
static void now_known(struct caps *k)
{
    k->known = true;
    k->refs++;
    LIST_EACH(it, &k->talk->sessions_all)
    {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (s->caps == k && s->probed)
            pep_interested(s);
    }
    if (k->key)
        versions_known(k->talk, str_of(k->key));
    caps_unref(k);
}

/* ---- asking the client ---- */

struct element {
    struct str node, hash, ver;
};

/* The <c/> of a presence as we keep it. */
static bool find_element(struct arena *a, struct str presence, struct element *out)
{
    static const struct xml_scope scope = {.default_ns = {NS_CLIENT, sizeof NS_CLIENT - 1}};
    struct xml_node *n, *c;

    if (!presence.len || !memmem(presence.p, presence.len, NS_CAPS, sizeof NS_CAPS - 1) ||
        xml_parse(a, presence, &scope, &n) != XML_FINE)
        return false;
    c = xml_child(n, "c", NS_CAPS);
    if (!c)
        return false;
    *out = (struct element){xml_attr(c, "node"), xml_attr(c, "hash"), xml_attr(c, "ver")};
    return out->hash.len && out->ver.len && out->hash.len + out->ver.len < CAPS_KEY_BYTES_MAX &&
           out->node.len < CAPS_KEY_BYTES_MAX;
}

static void ask(struct session *s)
{
    struct arena a;
    struct element x;
    struct buf b;

    arena_init(&a);
    if (find_element(&a, str_of(s->presence), &x)) {
        s->caps_question = talk_log_id(s->talk);
        metric_add(&caps_asked, 1);
        buf_init(&b, 0);
        BUF_LIT(&b, "<iq");
        xml_put_attr(&b, "from", s->talk->domain);
        xml_put_attr(&b, "to", s->jid.full);
        buf_printf(&b, " id='caps%lld' type='get'><query xmlns='" NS_INFO "' node='",
                   (long long)s->caps_question);
        xml_put_escaped(&b, x.node);
        buf_put_c(&b, '#');
        xml_put_escaped(&b, x.ver);
        BUF_LIT(&b, "'/></iq>");
        session_send(s, buf_str(&b));
        buf_done(&b);
    }
    arena_done(&a);
}

static void ask_all(struct caps *k)
{
    uint64_t *ids = mem_new(sizeof *ids * (size_t)(k->talk->session_count + 1));
    int n = 0;

    k->asking = true;
    LIST_EACH(it, &k->talk->sessions_all)
    {
        struct session *s = LIST_ITEM(it, struct session, in_talk);

        if (s->caps == k && n < k->talk->session_count)
            ids[n++] = s->id;
    }
    for (int i = 0; i < n; i++) { /* sending to one may end it */
        struct session *s = session_find(k->talk, ids[i]);

        if (s && s->caps == k && s->presence)
            ask(s);
    }
    free(ids);
}

/* ---- the database ---- */

static enum err read_work(struct db_conn *c, struct db_read *self)
{
    struct caps *k = (struct caps *)self;
    struct db_stmt *row = NULL;
    enum err e = db_get(c, &row, &caps_select, "s", str_of(k->key));

    if (!e)
        k->found = arena_str(&k->arena, db_text(row, 0));
    if (row)
        db_done(row);
    return e;
}

static void read_done(struct db_read *self, enum err e)
{
    struct caps *k = (struct caps *)self;

    k->reading = false;
    if (!k->known && !e) {
        k->wants = str_dup(k->found);
        now_known(k);
    } else if (!k->known) {
        if (!k->asking)
            ask_all(k);
        versions_unknown(k->talk, str_of(k->key));
    }
    arena_reset(&k->arena);
    caps_unref(k);
}

static void read_start(struct caps *k)
{
    k->read = (struct db_read){.work = read_work, .done = read_done};
    k->reading = true;
    k->refs++;
    if (db_read_start(k->talk->db, &k->read) == OK)
        return;
    k->asking = true;
    k->reading = false;
    k->refs--;
}

struct keep_op {
    struct change change;
    char *key, *wants;
};

static enum err keep_apply(struct db_conn *c, struct change *ch)
{
    struct keep_op *o = (struct keep_op *)ch;

    return db_run(c, &caps_insert, "ssii", str_of(o->key), str_of(o->wants), clock_us(),
                  (int64_t)CAPS_KEPT_MAX);
}

static void keep_done(struct talk *t, struct change *ch, enum err e)
{
    struct keep_op *o = (struct keep_op *)ch;

    (void)t;
    (void)e; /* then it is asked again another time */
    free(o->key);
    free(o->wants);
    free(o);
}

static void keep(struct caps *k)
{
    struct keep_op *o = NEW(struct keep_op);

    o->key = str_dup(str_of(k->key));
    o->wants = str_dup(str_of(k->wants));
    o->change.apply = keep_apply;
    o->change.done = keep_done;
    if (session_change(NULL, k->talk, &o->change) != OK)
        keep_done(k->talk, &o->change, ERR_LIMIT);
}

/* ---- presence ---- */

static void let_go(struct session *s)
{
    caps_unref(s->caps);
    s->caps = NULL;
    s->caps_question = 0;
    pep_forget(s);
}

static struct caps *take(struct talk *t, struct str key, bool provable)
{
    struct caps *k = provable ? strmap_get(&t->caps, key) : NULL;

    if (k) {
        k->refs++;
        return k;
    }
    k = caps_make(t, provable ? key : STR_NULL);
    k->refs++;
    if (provable)
        read_start(k);
    return k;
}

/* Its presence is another one: what it wants may be. */
static void look(struct session *s)
{
    struct arena a;
    struct element x;
    struct str key;
    enum digest_kind kind;

    arena_init(&a);
    if (!s->presence || !find_element(&a, str_of(s->presence), &x)) {
        let_go(s);
        arena_done(&a);
        return;
    }
    key = arena_printf(&a, "%.*s %.*s", STR_ARG(x.hash), STR_ARG(x.ver));
    if (!s->caps || !s->caps->key || !str_is(key, s->caps->key)) {
        struct caps *k = take(s->talk, key, caps_algorithm(x.hash, &kind));

        let_go(s);
        s->caps = k;
        if (!k->known && (k->asking || !k->key))
            ask(s);
        else if (k->known && s->probed)
            pep_interested(s);
    }
    arena_done(&a);
}

void caps_restored(struct session *s)
{
    look(s);
}

static void caps_presence(struct session *s, const struct stanza *p)
{
    if (p->type == TYPE_AVAILABLE)
        look(s);
    else
        let_go(s);
}

void caps_forget(struct session *s)
{
    let_go(s);
}

static void caps_init(struct talk *t)
{
    strmap_init(&t->caps);
}

/* ---- the answer ---- */

static char *wants_text(const struct caps_wants *w)
{
    struct buf b;
    char *text;

    buf_init(&b, CAPS_WANTS_BYTES_MAX);
    for (int i = 0; i < w->count; i++) {
        if (b.len + w->nodes[i].len + 1 > CAPS_WANTS_BYTES_MAX || str_find(w->nodes[i], '\n') >= 0)
            continue;
        buf_put_str(&b, w->nodes[i]);
        buf_put_c(&b, '\n');
    }
    text = str_dup(buf_str(&b));
    buf_done(&b);
    return text;
}

static bool fits(const struct caps *k, struct str text)
{
    struct str rest = str_of(k->key), name = str_split(&rest, ' ');
    uint8_t hash[DIGEST_BYTES_MAX];
    enum digest_kind kind;
    struct buf b;
    bool yes;

    if (!caps_algorithm(name, &kind))
        return false;
    digest(kind, text, hash);
    buf_init(&b, 0);
    base64_put(&b, str_make((char *)hash, digest_bytes(kind)));
    yes = str_eq(buf_str(&b), rest);
    buf_done(&b);
    return yes;
}

/* What only this session says of itself (§5.4: an answer that cannot be proved is nobody else's). */
static void take_own(struct session *s, const struct caps_wants *w)
{
    struct caps *own = caps_make(s->talk, STR_NULL);

    own->refs = 1;
    own->wants = wants_text(w);
    let_go(s);
    s->caps = own;
    now_known(own);
}

static void proved(struct caps *k, const struct caps_wants *w)
{
    k->wants = wants_text(w);
    keep(k);
    now_known(k);
}

static void take_answer(struct session *s, const struct stanza *iq)
{
    struct caps_wants *w = arena_zalloc(iq->arena, sizeof *w);
    struct caps *k = s->caps;
    struct buf text;

    buf_init(&text, 0);
    if (iq->type != TYPE_RESULT || !iq->payload || !caps_read(iq->arena, iq->payload, &text, w)) {
        w->count = 0;
        take_own(s, w);
    } else if (k->key && fits(k, buf_str(&text))) {
        proved(k, w);
    } else {
        metric_add(&caps_false, k->key != NULL);
        take_own(s, w);
    }
    buf_done(&text);
}

static void caps_answer(struct session *s, const struct stanza *iq)
{
    struct str number = iq->id;
    int64_t id;

    if (!s->caps_question || !str_starts(number, STR("caps")) ||
        !str_to_i64(str_make(number.p + 4, number.len - 4), &id) || id != s->caps_question)
        return;
    s->caps_question = 0;
    if (s->caps && !s->caps->known)
        take_answer(s, iq);
}

/* ---- for devices that are no sessions (xep0115_guests.c) ---- */

struct caps *caps_take(struct talk *t, struct str version)
{
    return take(t, version, true);
}

struct str caps_wanted(const struct caps *k)
{
    return k->known ? str_of(k->wants) : STR_NULL;
}

void caps_look_again(struct caps *k)
{
    if (!k->known && !k->reading)
        read_start(k);
}

bool caps_prove(struct caps *k, const struct stanza *answer)
{
    struct caps_wants *w = arena_zalloc(answer->arena, sizeof *w);
    const struct xml_node *query = xml_child(answer->node, "query", NS_INFO);
    struct buf text;
    bool yes;

    buf_init(&text, 0);
    yes = answer->type == TYPE_RESULT && query && caps_read(answer->arena, query, &text, w) &&
          fits(k, buf_str(&text));
    if (yes && !k->known)
        proved(k, w);
    metric_add(&caps_false, answer->type == TYPE_RESULT && !yes);
    buf_done(&text);
    return yes;
}

const struct feature xep0115_clients = {
    .spec = "XEP-0115 1.6.0",
    .title = "Entity Capabilities",
    .migrations = caps_migrations,
    .presence_out = caps_presence,
    .init = caps_init,
    .iq_answer = caps_answer,
};
