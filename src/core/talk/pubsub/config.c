/* config.c: what an owner can set of a node, as one table: the form that shows it, the one that changes it, the one that must be
 * met before something is published, and what is kept are made from it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/pubsub/pubsub.h"
#include <stddef.h>
#include <stdio.h>

enum kind { KIND_BOOL, KIND_CHOICE, KIND_COUNT, KIND_TEXT, KIND_LIST };

struct field {
    const char        *var, *label;
    enum kind          kind;
    size_t             at;      /* in struct node_config */
    const char *const *choices; /* CHOICE */
    int64_t            max;     /* COUNT: "max" means this; TEXT: bytes */
};

static const char *const accesses[] = { "open", "presence", "roster", "authorize", "whitelist", NULL };
static const char *const publish_models[] = { "publishers", "subscribers", "open", NULL };
static const char *const lasts[] = { "never", "on_sub", "on_sub_and_presence", NULL };
static const char *const notifications[] = { "headline", "normal", NULL };
static const char *const fulls[] = { "retract-oldest", "discard-oldest", "reject", NULL };

enum { EXPIRE_S_MAX = 10 * 366 * 86400, PAYLOAD_BYTES_MAX = 1024 * 1024 };

#define FIELD(name, kind, member, label, ...)                                                                                              \
    {                                                                                                                                      \
        "pubsub#" name, label, KIND_##kind, offsetof(struct node_config, member), __VA_ARGS__                                              \
    }
static const struct field fields[] = {
    FIELD("title", TEXT, title, "A short name", NULL, 256),
    FIELD("description", TEXT, description, "What it is about", NULL, 1024),
    FIELD("type", TEXT, type, "The namespace of what is published", NULL, 256),
    FIELD("access_model", CHOICE, access, "Who may subscribe and read", accesses, 0),
    FIELD("roster_groups_allowed", LIST, groups, "The contact groups that may", NULL, 0),
    FIELD("publish_model", CHOICE, publish_model, "Who may publish", publish_models, 0),
    FIELD("persist_items", BOOL, persist, "Keep what is published", NULL, 0),
    FIELD("max_items", COUNT, max_items, "How many items are kept", NULL, PUBSUB_ITEMS_MAX),
    FIELD("item_expire", COUNT, expire_s, "Seconds after which an item goes; 0: never", NULL, EXPIRE_S_MAX),
    FIELD("publish_node_full", CHOICE, when_full, "What happens when there is no room for another item", fulls, 0),
    FIELD("max_payload_size", COUNT, payload_bytes_max, "Bytes of one item; 0: as large as a stanza may be", NULL, PAYLOAD_BYTES_MAX),
    FIELD("send_last_published_item", CHOICE, send_last, "When the last item is sent", lasts, 0),
    FIELD("deliver_notifications", BOOL, notifications, "Tell subscribers of new items", NULL, 0),
    FIELD("deliver_payloads", BOOL, payloads, "Notifications hold the item", NULL, 0),
    FIELD("notification_type", CHOICE, notification, "As what kind of message they are sent", notifications, 0),
    FIELD("presence_based_delivery", BOOL, presence_based, "Only to who is available", NULL, 0),
    FIELD("notify_config", BOOL, notify_config, "Tell of a new configuration", NULL, 0),
    FIELD("notify_delete", BOOL, notify_delete, "Tell when the node is deleted", NULL, 0),
    FIELD("notify_retract", BOOL, notify_retract, "Tell when items are removed", NULL, 0),
    FIELD("notify_sub", BOOL, notify_sub, "Tell owners of new subscribers", NULL, 0),
    FIELD("subscribe", BOOL, subscribe, "Others may subscribe", NULL, 0),
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static void *place(const struct node_config *c, const struct field *f)
{
    return (char *)c + f->at;
}
static int *as_choice(const struct node_config *c, const struct field *f)
{
    return place(c, f);
}
static bool *as_bool(const struct node_config *c, const struct field *f)
{
    return place(c, f);
}
static int64_t *as_count(const struct node_config *c, const struct field *f)
{
    return place(c, f);
}
static struct str *as_text(const struct node_config *c, const struct field *f)
{
    return place(c, f);
}

/* ---- what holds when nobody has said anything ---- */

/* What an account keeps there is nobody else's (XEP-0402 §3, XEP-0490 §3): a client that forgets to say so
 * does no harm. */
static const struct {
    const char *node;
    int64_t     max_items;
} private_nodes[] = {
    { "urn:xmpp:bookmarks:1", PUBSUB_ITEMS_MAX },
    { "urn:xmpp:mds:displayed:0", PUBSUB_ITEMS_MAX },
    { "storage:bookmarks", 1 },
    { 0 },
};

void config_defaults(struct node_config *c, bool pep, struct str node)
{
    *c = (struct node_config){
        .access = pep ? ACCESS_PRESENCE : ACCESS_OPEN,
        .publish_model = PUBLISH_PUBLISHERS,
        .send_last = pep ? LAST_ON_SUB_AND_PRESENCE : LAST_NEVER,
        .notification = NOTIFY_HEADLINE,
        .when_full = FULL_RETRACT_OLDEST,
        .persist = true,
        .payloads = true,
        .notifications = true,
        .notify_delete = true,
        .notify_retract = true,
        .presence_based = pep,
        .subscribe = true,
        .max_items = pep ? 1 : 20,
    };
    for (int i = 0; pep && private_nodes[i].node; i++) {
        if (!str_is(node, private_nodes[i].node))
            continue;
        c->access = ACCESS_WHITELIST;
        c->send_last = LAST_NEVER;
        c->max_items = private_nodes[i].max_items;
    }
}

/* ---- from a form ---- */

static const struct fault not_acceptable = { "not-acceptable", NULL, NULL, NULL };
static const struct fault bad_access = { "not-acceptable", "unsupported-access-model", NULL, NULL };
static const struct fault bad_value = { "not-acceptable", NULL, NULL, "a field has a value that it cannot have" };

static int choice_of(const struct field *f, struct str value)
{
    for (int i = 0; f->choices[i]; i++)
        if (str_is(value, f->choices[i]))
            return i;
    return -1;
}

static bool read_count(const struct field *f, struct str value, int64_t *out)
{
    if (str_is(value, "max")) {
        *out = f->max;
        return true;
    }
    return str_to_i64(str_trim(value), out) && *out >= 0 && *out <= f->max;
}

static bool read_groups(struct node_config *c, const struct form_field *v)
{
    if (v->value_count > PUBSUB_GROUPS_MAX)
        return false;
    for (c->group_count = 0; c->group_count < v->value_count; c->group_count++)
        c->groups[c->group_count] = v->values[c->group_count];
    return true;
}

/* False: not a value of this field. */
static bool read_value(struct node_config *c, const struct field *f, const struct form_field *v)
{
    struct str value = v->value_count ? v->values[0] : STR("");
    int        choice;

    switch (f->kind) {
    case KIND_BOOL:
        return form_read_bool(value, as_bool(c, f));
    case KIND_CHOICE:
        choice = choice_of(f, value);
        if (choice >= 0)
            *as_choice(c, f) = choice;
        return choice >= 0;
    case KIND_COUNT:
        return read_count(f, value, as_count(c, f));
    case KIND_TEXT:
        *as_text(c, f) = value;
        return value.len <= (size_t)f->max;
    case KIND_LIST:
        return read_groups(c, v);
    }
    return false;
}

static const struct field *field_named(struct str var)
{
    for (int i = 0; i < FIELDS; i++)
        if (str_is(var, fields[i].var))
            return &fields[i];
    return NULL;
}

static bool known_elsewhere(const struct form_field *v)
{
    /* what others offer and we have in one way only is taken when that is the way that is asked for */
    struct str value = v->value_count ? v->values[0] : STR("");

    if (str_is(v->var, "FORM_TYPE"))
        return true;
    return (str_is(v->var, "pubsub#node_type") && str_is(value, "leaf")) ||
           (str_is(v->var, "pubsub#itemreply") && (str_is(value, "owner") || str_is(value, "publisher")));
}

bool config_take(struct node_config *c, const struct form *f, bool pep, bool strict, const struct fault **why)
{
    for (int i = 0; i < f->count; i++) {
        const struct field *field = field_named(f->fields[i].var);

        if (!field && strict && !known_elsewhere(&f->fields[i])) {
            *why = &not_acceptable;
            return false;
        }
        if (field && !read_value(c, field, &f->fields[i])) {
            *why = field->choices == accesses ? &bad_access : &bad_value;
            return false;
        }
    }
    /* there is nobody whose presence or contact list it could be */
    if (!pep && (c->access == ACCESS_PRESENCE || c->access == ACCESS_ROSTER)) {
        *why = &bad_access;
        return false;
    }
    if (c->max_items == 0)
        c->max_items = 1;
    return true;
}

static bool same_groups(const struct node_config *a, const struct node_config *b)
{
    if (a->group_count != b->group_count)
        return false;
    for (int i = 0; i < a->group_count; i++)
        if (!str_eq(a->groups[i], b->groups[i]))
            return false;
    return true;
}

static bool same(const struct node_config *a, const struct node_config *b, const struct field *f)
{
    switch (f->kind) {
    case KIND_BOOL:
        return *as_bool(a, f) == *as_bool(b, f);
    case KIND_CHOICE:
        return *as_choice(a, f) == *as_choice(b, f);
    case KIND_COUNT:
        return *as_count(a, f) == *as_count(b, f);
    case KIND_TEXT:
        return str_eq(*as_text(a, f), *as_text(b, f));
    case KIND_LIST:
        return same_groups(a, b);
    }
    return false;
}

bool config_meets(const struct node_config *c, const struct form *f)
{
    for (int i = 0; i < f->count; i++) {
        const struct field *field = field_named(f->fields[i].var);
        struct node_config  want = *c;

        if (!field && !known_elsewhere(&f->fields[i]))
            return false;
        if (field && (!read_value(&want, field, &f->fields[i]) || !same(c, &want, field)))
            return false;
    }
    return true;
}

/* ---- into a form ---- */

static enum form_type type_of(const struct field *f)
{
    switch (f->kind) {
    case KIND_BOOL:
        return FORM_BOOL;
    case KIND_CHOICE:
        return FORM_LIST;
    case KIND_LIST:
        return FORM_TEXT_MULTI;
    default:
        return FORM_TEXT;
    }
}

static void put_value(struct buf *b, const struct node_config *c, const struct field *f)
{
    char number[24];

    switch (f->kind) {
    case KIND_BOOL:
        form_field_value(b, *as_bool(c, f) ? STR("1") : STR("0"));
        break;
    case KIND_CHOICE:
        form_field_value(b, str_of(f->choices[*as_choice(c, f)]));
        break;
    case KIND_COUNT:
        snprintf(number, sizeof number, "%lld", (long long)*as_count(c, f));
        form_field_value(b, str_of(number));
        break;
    case KIND_TEXT:
        form_field_value(b, *as_text(c, f));
        break;
    case KIND_LIST:
        for (int i = 0; i < c->group_count; i++)
            form_field_value(b, c->groups[i]);
        break;
    }
}

static void put_options(struct buf *b, const struct field *f, bool pep)
{
    for (int i = 0; f->choices && f->choices[i]; i++)
        if (pep || f->choices != accesses || (i != ACCESS_PRESENCE && i != ACCESS_ROSTER))
            form_field_option(b, NULL, str_of(f->choices[i]));
}

static void put_field(struct buf *b, const struct node_config *c, const struct field *f, bool asking, bool pep)
{
    form_field_open(b, type_of(f), f->var, asking ? f->label : NULL);
    put_value(b, c, f);
    if (asking)
        put_options(b, f, pep);
    form_field_close(b);
}

void config_put(struct buf *b, const struct node_config *c, bool pep, const char *form_type, enum form_kind kind)
{
    form_open(b, kind, form_type, NULL, NULL);
    for (int i = 0; i < FIELDS; i++)
        if (pep || fields[i].kind != KIND_LIST)
            put_field(b, c, &fields[i], kind == FORM_EMPTY, pep);
    form_close(b);
}

void config_put_meta(struct buf *b, const struct node_config *c, struct str creator, struct str owner, int64_t items)
{
    static const char *const shown[] = { "pubsub#title",         "pubsub#description", "pubsub#type", "pubsub#access_model",
                                         "pubsub#publish_model", "pubsub#max_items",   NULL };
    char                     number[24];

    form_open(b, FORM_RESULT, NS_PUBSUB "#meta-data", NULL, NULL);
    for (int i = 0; shown[i]; i++)
        put_field(b, c, field_named(str_of(shown[i])), false, true);
    if (creator.len)
        form_put_field(b, FORM_JID, "pubsub#creator", NULL, creator);
    if (owner.len)
        form_put_field(b, FORM_JID_MULTI, "pubsub#owner", NULL, owner);
    snprintf(number, sizeof number, "%lld", (long long)items);
    if (items >= 0)
        form_put_field(b, FORM_TEXT, "pubsub#num_items", NULL, str_of(number));
    form_close(b);
}

const char *config_access_name(const struct node_config *c)
{
    return accesses[c->access];
}

/* ---- as it is kept ---- */

void config_write(struct buf *b, const struct node_config *c, bool pep, struct str node)
{
    struct node_config plain;

    config_defaults(&plain, pep, node);
    form_open(b, FORM_SUBMIT, NS_PUBSUB "#node_config", NULL, NULL);
    for (int i = 0; i < FIELDS; i++)
        if (!same(c, &plain, &fields[i]))
            put_field(b, c, &fields[i], false, pep);
    form_close(b);
}

void config_read(struct arena *a, struct str kept, bool pep, struct str node, struct node_config *c)
{
    struct str          text = arena_str(a, kept);
    struct xml_node    *x;
    struct form         f;
    const struct fault *why;

    config_defaults(c, pep, node);
    if (xml_parse(a, text, NULL, &x) != XML_FINE || form_read(a, x, &f) != OK || !config_take(c, &f, pep, false, &why)) {
        /* somebody else has been at our rows: nobody but the owner sees it */
        c->access = ACCESS_WHITELIST;
        c->publish_model = PUBLISH_PUBLISHERS;
    }
}
