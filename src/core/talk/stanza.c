/* stanza.c: reading and writing single stanzas (RFC 6120 §8).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "talk/stanza.h"

const struct xml_scope stanza_scope = { .default_ns = { NS_CLIENT, sizeof NS_CLIENT - 1 } };

struct type_name { const char *name; enum stanza_type type; };

static const struct type_name message_types[] = {
    { "chat", TYPE_CHAT }, { "error", TYPE_ERROR }, { "groupchat", TYPE_GROUPCHAT },
    { "headline", TYPE_HEADLINE }, { "normal", TYPE_NORMAL }, { NULL, TYPE_NORMAL },
};
static const struct type_name presence_types[] = {
    { "unavailable", TYPE_UNAVAILABLE }, { "subscribe", TYPE_SUBSCRIBE }, { "subscribed", TYPE_SUBSCRIBED },
    { "unsubscribe", TYPE_UNSUBSCRIBE }, { "unsubscribed", TYPE_UNSUBSCRIBED }, { "probe", TYPE_PROBE },
    { "error", TYPE_ERROR }, { NULL, TYPE_AVAILABLE },
};
static const struct type_name iq_types[] = {
    { "get", TYPE_GET }, { "set", TYPE_SET }, { "result", TYPE_RESULT }, { "error", TYPE_ERROR },
    { NULL, TYPE_GET },     /* no type at all: an error that can be answered */
};

/* False when the text names no type of this table. */
static bool type_find(const struct type_name *table, struct str text, enum stanza_type *out)
{
    for (; table->name; table++) {
        if (str_is(text, table->name)) {
            *out = table->type;
            return true;
        }
    }
    *out = table->type;
    return false;
}

const char *stanza_type_text(enum stanza_type t)
{
    static const char *const names[] = {
        [TYPE_NORMAL] = NULL, [TYPE_CHAT] = "chat", [TYPE_GROUPCHAT] = "groupchat", [TYPE_HEADLINE] = "headline",
        [TYPE_AVAILABLE] = NULL, [TYPE_UNAVAILABLE] = "unavailable", [TYPE_SUBSCRIBE] = "subscribe",
        [TYPE_SUBSCRIBED] = "subscribed", [TYPE_UNSUBSCRIBE] = "unsubscribe", [TYPE_UNSUBSCRIBED] = "unsubscribed",
        [TYPE_PROBE] = "probe", [TYPE_GET] = "get", [TYPE_SET] = "set", [TYPE_RESULT] = "result", [TYPE_ERROR] = "error",
    };
    return names[t];
}

/* RFC 6120 §8.2.3: id and type are required; get and set carry exactly one element. */
static enum err iq_check(struct stanza *st, bool type_known, const char **condition)
{
    const struct xml_node *first = xml_first(st->node);

    *condition = "bad-request";
    if (!type_known)
        return ERR_INVALID;
    if (st->type == TYPE_ERROR)
        return OK;
    if (!st->id.p)
        return ERR_INVALID;
    st->payload = first;
    if (st->type == TYPE_RESULT)
        return first && xml_next(first) ? ERR_INVALID : OK;
    return first && !xml_next(first) ? OK : ERR_INVALID;
}

enum err stanza_read(struct arena *a, const struct xml_node *n, const struct jid *from,
                     struct stanza *out, const char **condition)
{
    struct str type = xml_attr(n, "type");
    struct str to = xml_attr(n, "to");
    bool       type_known = true;

    *out = (struct stanza){ .node = n, .arena = a, .from = *from, .id = xml_attr(n, "id"), .lang = n->lang };
    if (xml_is(n, "message", NS_CLIENT)) {
        out->kind = STANZA_MESSAGE;
        type_find(message_types, type, &out->type);
    } else if (xml_is(n, "presence", NS_CLIENT)) {
        out->kind = STANZA_PRESENCE;
        type_known = type_find(presence_types, type, &out->type) || !type.p;
    } else if (xml_is(n, "iq", NS_CLIENT)) {
        out->kind = STANZA_IQ;
        type_known = type_find(iq_types, type, &out->type);
    } else {
        return ERR_UNSUPPORTED;
    }
    if (to.p) {
        *condition = "jid-malformed";
        if (jid_parse(a, to, &out->to) != OK)
            return ERR_INVALID;
        out->has_to = true;
    }
    if (out->kind == STANZA_IQ)
        return iq_check(out, type_known, condition);
    *condition = "bad-request";
    return type_known ? OK : ERR_INVALID;
}

/* ---- writing ---- */

void stanza_open(struct buf *b, const char *name, struct str from, struct str to, struct str id, const char *type, struct str lang)
{
    buf_put_c(b, '<');
    buf_put_z(b, name);
    if (from.len)
        xml_put_attr(b, "from", from);
    if (to.len)
        xml_put_attr(b, "to", to);
    xml_put_attr(b, "id", id);
    if (type)
        xml_put_attr(b, "type", str_of(type));
    if (lang.len)
        xml_put_attr(b, "xml:lang", lang);
    buf_put_c(b, '>');
}

static const char *kind_name(enum stanza_kind k)
{
    return k == STANZA_MESSAGE ? "message" : k == STANZA_PRESENCE ? "presence" : "iq";
}

/* XEP-0359 §6: an id that claims to be assigned by our domain or one of its accounts
 * is assigned by us alone. A component's domain is below ours, and its rooms assign their own. */
static bool stanza_id_is_forged(const struct stanza *s, const struct xml_node *c)
{
    struct str by = xml_attr(c, "by");

    if (!xml_is(c, "stanza-id", "urn:xmpp:sid:0"))
        return false;
    if (s->foreign && str_eq(by, s->from.bare))
        return false;
    return !by.p || str_ends(by, s->foreign && s->has_to ? s->to.domain : s->from.domain);
}

void stanza_forward(struct buf *b, const struct stanza *s, struct str from, struct str to)
{
    const char *name = kind_name(s->kind);

    stanza_open(b, name, from, to, s->id, stanza_type_text(s->type), s->lang);
    for (const struct xml_node *c = s->node->child; c; c = c->next) {
        if (c->name.len == 0)
            continue;
        if (!stanza_id_is_forged(s, c) && !xml_is(c, "private", "urn:xmpp:carbons:2"))  /* XEP-0280 §8 */
            xml_put_node(b, c, STR(NS_CLIENT));
    }
    BUF_LIT(b, "</");
    buf_put_z(b, name);
    buf_put_c(b, '>');
}

void stanza_error(struct buf *b, const struct stanza *s, struct str from, const char *type, const char *condition, const char *text)
{
    const char *name = kind_name(s->kind);

    stanza_open(b, name, from, s->from.full, s->id, "error", STR_NULL);
    for (const struct xml_node *c = s->node->child; c; c = c->next)
        if (c->name.len && !xml_is(c, "error", NS_CLIENT))
            xml_put_node(b, c, STR(NS_CLIENT));
    BUF_LIT(b, "<error type='");
    buf_put_z(b, type);
    BUF_LIT(b, "'><");
    buf_put_z(b, condition);
    BUF_LIT(b, " xmlns='" NS_STANZA_ERRORS "'/>");
    if (text) {
        BUF_LIT(b, "<text xmlns='" NS_STANZA_ERRORS "' xml:lang='en'>");
        xml_put_escaped(b, str_of(text));
        BUF_LIT(b, "</text>");
    }
    BUF_LIT(b, "</error></");
    buf_put_z(b, name);
    buf_put_c(b, '>');
}
