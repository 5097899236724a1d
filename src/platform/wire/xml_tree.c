/* xml_tree.c: looking at a tree and writing one (see xml.h).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include "wire/xml_inner.h"

const char *xml_fault_condition(enum xml_fault f)
{
    switch (f) {
    case XML_FINE:
        return "";
    case XML_RESTRICTED_XML:
        return "restricted-xml";
    case XML_UNSUPPORTED_ENCODING:
        return "unsupported-encoding";
    case XML_POLICY_VIOLATION:
        return "policy-violation";
    case XML_NOT_WELL_FORMED:
        break;
    }
    return "not-well-formed";
}

/* ---- looking ---- */

struct str xml_attr(const struct xml_node *n, const char *name)
{
    for (int i = 0; i < n->attr_count; i++)
        if (n->attrs[i].ns.len == 0 && str_is(n->attrs[i].name, name))
            return n->attrs[i].value;
    return STR_NULL;
}

bool xml_is(const struct xml_node *n, const char *name, const char *ns)
{
    return str_is(n->name, name) && (!ns || str_is(n->ns, ns));
}

struct xml_node *xml_first(const struct xml_node *n)
{
    struct xml_node *c = n->child;

    while (c && c->name.len == 0)
        c = c->next;
    return c;
}

struct xml_node *xml_next(const struct xml_node *n)
{
    struct xml_node *c = n->next;

    while (c && c->name.len == 0)
        c = c->next;
    return c;
}

struct xml_node *xml_child(const struct xml_node *n, const char *name, const char *ns)
{
    for (struct xml_node *c = xml_first(n); c; c = xml_next(c))
        if (xml_is(c, name, ns))
            return c;
    return NULL;
}

struct str xml_text(struct arena *a, const struct xml_node *n)
{
    const struct xml_node *only = NULL;
    size_t                 bytes = 0;
    int                    count = 0;
    char                  *all, *at;

    for (const struct xml_node *c = n->child; c; c = c->next) {
        if (c->name.len)
            continue;
        only = c;
        bytes += c->text.len;
        count++;
    }
    if (count <= 1)
        return only ? only->text : STR("");
    all = at = arena_alloc(a, bytes);
    for (const struct xml_node *c = n->child; c; c = c->next) {
        if (c->name.len)
            continue;
        memcpy(at, c->text.p, c->text.len);
        at += c->text.len;
    }
    return str_make(all, bytes);
}

struct str xml_child_text(struct arena *a, const struct xml_node *n, const char *name, const char *ns)
{
    const struct xml_node *c = xml_child(n, name, ns);

    return c ? xml_text(a, c) : STR_NULL;
}

/* ---- writing ---- */

static const char *escape_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&apos;";
    /* A reader would turn these into spaces or line feeds (XML 1.0 §2.11, §3.3.3). */
    case '\r':
        return "&#13;";
    case '\t':
    case '\n':
        return NULL;
    default:
        /* no reader would take it; U+FFFD says that something was here */
        return (unsigned char)c < 0x20 ? "\xEF\xBF\xBD" : NULL;
    }
}

static void put_escaped(struct buf *b, struct str text, bool in_attr)
{
    size_t from = 0;

    for (size_t i = 0; i < text.len; i++) {
        const char *escape = escape_of(text.p[i]);

        if (!escape && in_attr && text.p[i] == '\n')
            escape = "&#10;";
        else if (!escape && in_attr && text.p[i] == '\t')
            escape = "&#9;";
        if (!escape)
            continue;
        buf_put(b, text.p + from, i - from);
        buf_put_z(b, escape);
        from = i + 1;
    }
    if (from < text.len)
        buf_put(b, text.p + from, text.len - from);
}

void xml_put_escaped(struct buf *b, struct str text) { put_escaped(b, text, false); }

static void put_attr(struct buf *b, struct str name, struct str value)
{
    buf_put_c(b, ' ');
    buf_put_str(b, name);
    BUF_LIT(b, "='");
    put_escaped(b, value, true);
    buf_put_c(b, '\'');
}

void xml_put_attr(struct buf *b, const char *name, struct str value)
{
    if (value.p)
        put_attr(b, str_of(name), value);
}

/* The element's own bytes mean the same under `default_ns`. An element without prefix
 * tells the default in force inside it, inherited or its own; one with a prefix does not. */
static bool raw_stands_alone(const struct xml_node *n, struct str default_ns)
{
    bool prefixed;

    if (n->outer_prefix || n->raw.len < 2)
        return false;
    prefixed = n->raw.p + 1 != n->name.p;
    return n->own_default || (!prefixed && str_eq(n->ns, default_ns));
}

/* Attributes in a namespace get prefixes of ours, a0, a1 …; "xml" needs none declared. */
static void put_start(struct buf *b, const struct xml_node *n, struct str default_ns)
{
    buf_put_c(b, '<');
    buf_put_str(b, n->name);
    if (!str_eq(n->ns, default_ns))
        put_attr(b, STR("xmlns"), n->ns);
    for (int i = 0; i < n->attr_count; i++) {
        const struct xml_attr *a = &n->attrs[i];
        char                   prefix[8];

        if (a->ns.len == 0) {
            put_attr(b, a->name, a->value);
            continue;
        }
        snprintf(prefix, sizeof prefix, "a%d", i);
        if (str_is(a->ns, XML_NS_XML)) {
            strcpy(prefix, "xml");
        } else {
            buf_printf(b, " xmlns:%s", prefix);
            BUF_LIT(b, "='");
            put_escaped(b, a->ns, true);
            buf_put_c(b, '\'');
        }
        buf_put_c(b, ' ');
        buf_put_z(b, prefix);
        buf_put_c(b, ':');
        buf_put_str(b, a->name);
        BUF_LIT(b, "='");
        put_escaped(b, a->value, true);
        buf_put_c(b, '\'');
    }
}

/* Calls itself at most XML_DEPTH_MAX deep: xml_parse makes no deeper trees. */
void xml_put_node(struct buf *b, const struct xml_node *n, struct str default_ns)
{
    if (n->name.len == 0) {
        put_escaped(b, n->text, false);
        return;
    }
    if (raw_stands_alone(n, default_ns)) {
        buf_put_str(b, n->raw);
        return;
    }
    put_start(b, n, default_ns);
    if (!n->child) {
        BUF_LIT(b, "/>");
        return;
    }
    buf_put_c(b, '>');
    for (const struct xml_node *c = n->child; c; c = c->next)
        xml_put_node(b, c, n->ns);
    BUF_LIT(b, "</");
    buf_put_str(b, n->name);
    buf_put_c(b, '>');
}

void xml_put_stanza(struct buf *b, const struct xml_node *n, struct str from, struct str to, struct str default_ns)
{
    buf_put_c(b, '<');
    buf_put_str(b, n->name);
    xml_put_attr(b, "from", from);
    xml_put_attr(b, "to", to);
    xml_put_attr(b, "id", xml_attr(n, "id"));
    xml_put_attr(b, "type", xml_attr(n, "type"));
    if (n->lang.len)
        xml_put_attr(b, "xml:lang", n->lang);
    buf_put_c(b, '>');
    for (const struct xml_node *x = xml_first(n); x; x = xml_next(x))
        xml_put_node(b, x, default_ns);
    BUF_LIT(b, "</");
    buf_put_str(b, n->name);
    buf_put_c(b, '>');
}

/* ---- changing ---- */

bool xml_rename_ns(struct xml_node *n, const char *ns, struct str to)
{
    bool renamed = str_is(n->ns, ns);

    if (renamed)
        n->ns = to;
    for (struct xml_node *c = xml_first(n); c; c = xml_next(c))
        renamed |= xml_rename_ns(c, ns, to);
    if (renamed)
        n->raw = STR_NULL;      /* its own bytes say it no more */
    return renamed;
}
