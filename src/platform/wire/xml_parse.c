/* xml_parse.c: one complete element made into a tree (see xml.h). XML 1.0 and
 * Namespaces in XML 1.0, without what RFC 6120 §11.1 forbids; it accepts and
 * reads exactly what a validating eye would (fuzz_xml_expat compares).
 *
 * Speed: white space around the element is trimmed first, so the last byte is
 * known to be '>'. It stands guard: no loop below needs to ask for the end,
 * as each stops at '>' at the latest, and only then looks where it is.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include "wire/xml_inner.h"

typedef unsigned char byte;

enum { FRAMES_MAX = XML_DEPTH_MAX + 1 };

#define S XML_IS_START
#define N XML_IS_NAME
#define T XML_IS_TEXT
#define V XML_IS_VALUE
#define G XML_IS_TAG
#define W XML_IS_SPACE
const uint8_t xml_class[256] = {
    [0x00 ... 0x08] = G, ['\t'] = T | G | W, ['\n'] = T | G | W, [0x0B ... 0x0C] = G, ['\r'] = G | W,
    [0x0E ... 0x1F] = G,
    [' '] = T | V | G | W,
    ['!'] = T | V | G, ['"'] = T, ['#' ... '%'] = T | V | G, ['&'] = G, ['\''] = T, ['(' ... ','] = T | V | G,
    ['-' ... '.'] = N | T | V | G, ['/'] = T | V,
    ['0' ... '9'] = N | T | V | G, [':' ... ';'] = T | V | G,
    ['<'] = 0, ['='] = T | V | G, ['>'] = 0, ['?' ... '@'] = T | V | G,
    ['A' ... 'Z'] = S | N | T | V | G, ['['] = T | V | G, ['\\'] = T | V | G, [']'] = V | G, ['^'] = T | V | G,
    ['_'] = S | N | T | V | G, ['`'] = T | V | G,
    ['a' ... 'z'] = S | N | T | V | G,
    ['{' ... 0x7F] = T | V | G,
    [0x80 ... 0xFF] = G,
};
#undef S
#undef N
#undef T
#undef V
#undef G
#undef W

struct binding {
    struct str prefix, ns;
};

struct frame {
    struct xml_node  *node;
    struct xml_node **tail;         /* where the next child is hung */
    struct str        default_ns;
    uint32_t          qname_bytes;
    int               binding_count; /* in force inside this element */
    int               outermost;    /* depth of the outermost declaration used in here; -1: the scope's */
};

struct parser {
    struct arena           *arena;
    const byte             *p;
    const byte             *last;   /* the final '>' */
    const struct xml_scope *scope;
    enum xml_fault          fault;
    int                     depth;  /* of the open element; -1: none */
    int                     node_count;
    int                     binding_count;  /* declared inside the input */
    int                     bindings_max;
    struct binding          bindings[XML_PREFIXES_MAX];
    int                     binding_depth[XML_PREFIXES_MAX];
    struct xml_attr         attrs[XML_ATTRS_MAX];   /* of the tag in hand; ns holds the prefix at first */
    struct frame            frames[FRAMES_MAX];
};

static bool fail(struct parser *x, enum xml_fault f)
{
    x->fault = f;
    return false;
}

/* arena_alloc, without the call when the block has room. */
static inline void *take(struct arena *a, size_t bytes)
{
    size_t rounded = (bytes + 15) & ~(size_t)15;
    void  *p = a->next;

    if ((size_t)(a->end - a->next) < rounded)
        return arena_alloc(a, bytes);
    a->next += rounded;
    a->used_bytes += rounded;
    return p;
}

static inline struct str slice(const byte *from, const byte *to)
{
    return (struct str){ (const char *)from, (size_t)(to - from) };
}

static inline bool same(const byte *p, const char *lit, size_t n) { return memcmp(p, lit, n) == 0; }

/* ---- characters ---- */

/* Length of the character beyond ASCII at p; 0 if it is not UTF-8, -1 if XML
 * does not allow it. Reads no further than the guard. */
static inline int char_bytes(const byte *p)
{
    byte c = p[0];

    if (c < 0xC2)
        return 0;
    if ((p[1] & 0xC0) != 0x80)
        return 0;
    if (c < 0xE0)
        return 2;
    if ((p[2] & 0xC0) != 0x80)
        return 0;
    if (c < 0xF0) {
        if ((c == 0xE0 && p[1] < 0xA0) || (c == 0xED && p[1] > 0x9F))
            return 0;       /* overlong; surrogate */
        if (c == 0xEF && p[1] == 0xBF && p[2] > 0xBD)
            return -1;      /* U+FFFE, U+FFFF */
        return 3;
    }
    if ((p[3] & 0xC0) != 0x80 || c > 0xF4 || (c == 0xF0 && p[1] < 0x90) || (c == 0xF4 && p[1] > 0x8F))
        return 0;
    return 4;
}

static bool char_fail(struct parser *x, int bytes)
{
    return fail(x, bytes == 0 ? XML_UNSUPPORTED_ENCODING : XML_NOT_WELL_FORMED);
}

static bool is_char(uint32_t c)
{
    return c >= 0x20 ? c <= 0xD7FF || (c >= 0xE000 && c <= 0xFFFD) || (c >= 0x10000 && c <= 0x10FFFF)
                     : c == '\t' || c == '\n' || c == '\r';
}

static char *put_utf8(char *to, uint32_t c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* "&#...;" at p. Moves past it; false when it is none or names no Char. */
static bool char_ref(const byte **pp, uint32_t *out)
{
    const byte *p = *pp + 2, *digits;
    uint32_t    c = 0, base = 10;

    if (*p == 'x') {
        base = 16;
        p++;
    }
    for (digits = p;; p++) {
        uint32_t d;

        if (*p >= '0' && *p <= '9')
            d = *p - '0';
        else if (base == 16 && (*p | 0x20) >= 'a' && (*p | 0x20) <= 'f')
            d = (*p | 0x20u) - 'a' + 10;
        else
            break;
        c = c * base + d;
        if (c > 0x10FFFF)
            return false;
    }
    if (*p != ';' || p == digits || !is_char(c))
        return false;
    *pp = p + 1;
    *out = c;
    return true;
}

/* Length of a name without colon at p; 0: none begins here. -1: broken UTF-8. */
static ptrdiff_t name_bytes(const byte *from)
{
    const byte *p = from;

    if (!(xml_class[*p] & XML_IS_START) && *p < 0x80)
        return 0;
    for (;;) {
        int      n;
        uint32_t c;

        while (xml_class[*p] & XML_IS_NAME)
            p++;
        if (*p < 0x80)
            return p - from;
        n = char_bytes(p);
        if (n == 0)
            return -1;
        if (n == 2)
            c = (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
        else if (n == 3)
            c = (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
        else
            return 0;
        if (!(p == from ? xml_name_start(c) : xml_name_char(c)))
            return 0;
        p += n;
    }
}

/* An entity or character reference at x->p, which stands at '&'. */
static bool reference(struct parser *x, uint32_t *c)
{
    static const struct { char text[7]; char means; } known[] = {
        { "amp;", '&' }, { "lt;", '<' }, { "gt;", '>' }, { "quot;", '"' }, { "apos;", '\'' },
    };
    size_t    room = (size_t)(x->last - x->p);
    ptrdiff_t n;

    if (x->p[1] == '#')
        return char_ref(&x->p, c) || fail(x, XML_NOT_WELL_FORMED);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].text);

        if (room > len && same(x->p + 1, known[i].text, len)) {
            *c = (uint32_t)known[i].means;
            x->p += 1 + len;
            return true;
        }
    }
    n = name_bytes(x->p + 1);
    return fail(x, n > 0 && x->p[1 + n] == ';' ? XML_RESTRICTED_XML : XML_NOT_WELL_FORMED);
}

/* ---- attribute values ---- */

/* Writes from..to with references resolved and white space made spaces (XML 1.0 §2.11,
 * §3.3.3). It has been checked; the result is never longer. */
static struct str value_decode(struct parser *x, const byte *from, const byte *to)
{
    char *out = take(x->arena, (size_t)(to - from)), *at = out;

    for (const byte *p = from; p < to;) {
        uint32_t c = *p;

        if (c == '&') {
            const byte *keep = x->p;

            x->p = p;
            reference(x, &c);
            p = x->p;
            x->p = keep;
            at = put_utf8(at, c);
            continue;
        }
        if (c == '\r' && p + 1 < to && p[1] == '\n')
            p++;
        *at++ = xml_class[c] & XML_IS_SPACE ? ' ' : (char)*p;
        p++;
    }
    return str_make(out, (size_t)(at - out));
}

/* A quoted value at x->p. */
static bool value(struct parser *x, struct str *out)
{
    byte        quote = *x->p;
    const byte *from = x->p + 1, *p = from;
    bool        decode = false;

    if (quote != '"' && quote != '\'')
        return fail(x, XML_NOT_WELL_FORMED);
    for (;;) {
        while (xml_class[*p] & XML_IS_VALUE)
            p++;
        if (*p == quote)
            break;
        if (*p >= 0x80) {
            int n = char_bytes(p);

            if (n <= 0)
                return char_fail(x, n);
            p += n;
        } else if (*p == '&') {
            uint32_t c;

            x->p = p;
            if (!reference(x, &c))
                return false;
            p = x->p;
            decode = true;
        } else if (xml_class[*p] & XML_IS_SPACE) {
            decode = true;
            p++;
        } else if (*p == '"' || *p == '\'' || (*p == '>' && p != x->last)) {
            p++;
        } else {
            return fail(x, XML_NOT_WELL_FORMED);
        }
    }
    x->p = p + 1;
    *out = decode ? value_decode(x, from, p) : slice(from, p);
    return true;
}

/* ---- names and namespaces ---- */

/* prefix:local at x->p; prefix is empty when there is no colon. */
static inline bool qname(struct parser *x, struct str *prefix, struct str *local)
{
    ptrdiff_t n = name_bytes(x->p);

    if (n <= 0)
        return fail(x, n < 0 ? XML_UNSUPPORTED_ENCODING : XML_NOT_WELL_FORMED);
    *prefix = (struct str){ (const char *)x->p, 0 };
    *local = (struct str){ (const char *)x->p, (size_t)n };
    x->p += n;
    if (*x->p != ':')
        return true;
    *prefix = *local;
    n = name_bytes(x->p + 1);
    if (n <= 0)
        return fail(x, n < 0 ? XML_UNSUPPORTED_ENCODING : XML_NOT_WELL_FORMED);
    *local = slice(x->p + 1, x->p + 1 + n);
    x->p += 1 + n;
    return *x->p != ':' || fail(x, XML_NOT_WELL_FORMED);
}

/* Finds what `prefix` stands for and at which depth that was declared (-1: by the scope;
 * `depth` itself for "xml", which needs no declaration). */
static bool resolve(struct parser *x, int depth, struct str prefix, struct str *ns, int *declared)
{
    if (str_eq(prefix, STR("xml"))) {
        *ns = STR(XML_NS_XML);
        *declared = depth;
        return true;
    }
    for (int i = x->binding_count - 1; i >= 0; i--) {
        if (str_eq(x->bindings[i].prefix, prefix)) {
            *ns = x->bindings[i].ns;
            *declared = x->binding_depth[i];
            return true;
        }
    }
    for (int i = 0; x->scope && i < x->scope->prefix_count; i++) {
        if (str_eq(x->scope->prefixes[i].prefix, prefix)) {
            *ns = x->scope->prefixes[i].ns;
            *declared = -1;
            return true;
        }
    }
    return fail(x, XML_NOT_WELL_FORMED);
}

/* xmlns:prefix='ns' on the element at `depth` (Namespaces 1.0 §2.2, §3, §5). */
static bool declare(struct parser *x, int depth, struct str prefix, struct str ns)
{
    bool is_xml = str_eq(prefix, STR("xml"));

    if (ns.len == 0 || str_eq(prefix, STR("xmlns")) || str_eq(ns, STR(XML_NS_XMLNS)) ||
        is_xml != str_eq(ns, STR(XML_NS_XML)))
        return fail(x, XML_NOT_WELL_FORMED);
    for (int i = x->binding_count - 1; i >= 0 && x->binding_depth[i] == depth; i--)
        if (str_eq(x->bindings[i].prefix, prefix))
            return fail(x, XML_NOT_WELL_FORMED);    /* twice the same attribute */
    if (x->binding_count >= x->bindings_max)
        return fail(x, XML_POLICY_VIOLATION);
    x->bindings[x->binding_count] = (struct binding){ prefix, ns };
    x->binding_depth[x->binding_count++] = depth;
    return true;
}

static bool declare_default(struct parser *x, struct str ns)
{
    return !(str_eq(ns, STR(XML_NS_XML)) || str_eq(ns, STR(XML_NS_XMLNS))) || fail(x, XML_NOT_WELL_FORMED);
}

static inline bool skip_space(struct parser *x)
{
    const byte *from = x->p;

    while (xml_class[*x->p] & XML_IS_SPACE)
        x->p++;
    return x->p != from;
}

/* name = 'value' */
static inline bool attribute(struct parser *x, struct str *prefix, struct str *local, struct str *text)
{
    if (!qname(x, prefix, local))
        return false;
    skip_space(x);
    if (*x->p != '=')
        return fail(x, XML_NOT_WELL_FORMED);
    x->p++;
    skip_space(x);
    return value(x, text);
}

static bool twice(const struct xml_attr *attrs, int count)
{
    for (int i = 1; i < count; i++)
        for (int j = 0; j < i; j++)
            if (attrs[i].name.len == attrs[j].name.len && str_eq(attrs[i].name, attrs[j].name) &&
                str_eq(attrs[i].ns, attrs[j].ns))
                return true;
    return false;
}

/* Gives attributes their namespaces and the node its own copy of them. */
static bool attrs_settle(struct parser *x, struct frame *f, int depth, int count, bool prefixed)
{
    struct xml_node *node = f->node;

    for (int i = 0; prefixed && i < count; i++) {
        struct xml_attr *a = &x->attrs[i];
        int              declared;

        if (a->ns.len == 0)
            continue;
        if (!resolve(x, depth, a->ns, &a->ns, &declared))
            return false;
        if (declared < f->outermost)
            f->outermost = declared;
        if (a->name.len == 4 && str_eq(a->name, STR("lang")) && str_eq(a->ns, STR(XML_NS_XML)))
            node->lang = a->value;
    }
    if (twice(x->attrs, count))
        return fail(x, XML_NOT_WELL_FORMED);
    node->attrs = take(x->arena, sizeof *node->attrs * (size_t)count);
    memcpy(node->attrs, x->attrs, sizeof *node->attrs * (size_t)count);
    node->attr_count = (uint16_t)count;
    return true;
}

/* The attributes up to '>' or '/': declarations take effect, the others go to the node. */
static bool attributes(struct parser *x, struct frame *f, int depth)
{
    int  count = 0, seen = 0;
    bool prefixed = false, default_seen = false;

    for (;;) {
        struct str prefix, local, text;
        bool       space = skip_space(x);

        if (*x->p == '>' || *x->p == '/')
            break;
        if (!space)
            return fail(x, XML_NOT_WELL_FORMED);
        if (!attribute(x, &prefix, &local, &text))
            return false;
        if (++seen > XML_ATTRS_MAX)
            return fail(x, XML_POLICY_VIOLATION);
        if (prefix.len == 0 && local.len == 5 && same((const byte *)local.p, "xmlns", 5)) {
            if (default_seen)
                return fail(x, XML_NOT_WELL_FORMED);
            default_seen = true;
            if (!declare_default(x, text))
                return false;
            f->default_ns = text;
            f->node->own_default = true;
        } else if (prefix.len == 5 && same((const byte *)prefix.p, "xmlns", 5)) {
            if (!declare(x, depth, local, text))
                return false;
        } else {
            x->attrs[count++] = (struct xml_attr){ .name = local, .ns = prefix, .value = text };
            prefixed |= prefix.len > 0;
        }
    }
    return count == 0 || attrs_settle(x, f, depth, count, prefixed);
}

/* ---- elements ---- */

static struct xml_node *node_new(struct parser *x)
{
    struct xml_node *n;

    if (++x->node_count > XML_NODES_MAX) {
        fail(x, XML_POLICY_VIOLATION);
        return NULL;
    }
    n = take(x->arena, sizeof *n);
    *n = (struct xml_node){ 0 };
    return n;
}

/* A start tag at x->p, which stands at '<'. Leaves x->p behind it; `empty` says "/>". */
static bool start_tag(struct parser *x, struct frame *f, int depth, const struct frame *parent, bool *empty)
{
    const byte      *from = x->p++;
    struct xml_node *node = node_new(x);
    struct str       prefix;
    int              declared;

    if (!node || !qname(x, &prefix, &node->name))
        return false;
    f->node = node;
    f->tail = &node->child;
    f->qname_bytes = (uint32_t)(x->p - from - 1);
    f->outermost = depth;
    f->default_ns = parent ? parent->default_ns : x->scope ? x->scope->default_ns : STR_NULL;
    if (parent)
        node->lang = parent->node->lang;
    if (*x->p != '>' && !attributes(x, f, depth))
        return false;
    f->binding_count = x->binding_count;
    if (prefix.len == 0) {
        node->ns = f->default_ns;
    } else {
        if (!resolve(x, depth, prefix, &node->ns, &declared))
            return false;
        if (declared < f->outermost)
            f->outermost = declared;
    }
    *empty = *x->p == '/';
    x->p += *empty;
    if (*x->p != '>')
        return fail(x, XML_NOT_WELL_FORMED);
    x->p++;
    node->raw = slice(from, x->p);
    node->raw_inner = slice(x->p, x->p);
    return true;
}

/* The innermost element ends at x->p. */
static void element_done(struct parser *x)
{
    struct frame *f = &x->frames[x->depth];

    f->node->outer_prefix = f->outermost < x->depth;
    f->node->raw.len = (size_t)((const char *)x->p - f->node->raw.p);
    x->depth--;
    if (x->depth < 0)
        return;
    if (f->outermost < f[-1].outermost)
        f[-1].outermost = f->outermost;
    x->binding_count = f[-1].binding_count;
}

/* An end tag at x->p: "</", the same name, maybe space, '>'. */
static bool end_tag(struct parser *x)
{
    struct frame *f = &x->frames[x->depth];
    const byte   *from = x->p;
    size_t        n = f->qname_bytes;

    x->p += 2;
    if ((size_t)(x->last - x->p) < n || memcmp(x->p, f->node->raw.p + 1, n) != 0)
        return fail(x, XML_NOT_WELL_FORMED);
    x->p += n;
    skip_space(x);
    if (*x->p != '>')
        return fail(x, XML_NOT_WELL_FORMED);
    x->p++;
    f->node->raw_inner.len = (size_t)((const char *)from - f->node->raw_inner.p);
    element_done(x);
    return true;
}

/* ---- character data ---- */

static bool at_cdata(const struct parser *x, const byte *p)
{
    return x->last - p > 9 && same(p, "<![CDATA[", 9);
}

/* Behind "]]>"; NULL with x->fault set when the section is broken. */
static const byte *cdata_end(struct parser *x, const byte *p)
{
    for (;;) {
        while ((xml_class[*p] & XML_IS_TEXT) || *p == '<' || *p == '&' || *p == '\r')
            p++;
        if (*p >= 0x80) {
            int n = char_bytes(p);

            if (n <= 0) {
                char_fail(x, n);
                return NULL;
            }
            p += n;
        } else if (*p == ']') {
            if (p[1] == ']' && p[2] == '>')
                return p + 3;
            p++;
        } else if (*p == '>' && p != x->last) {
            p++;
        } else {
            fail(x, XML_NOT_WELL_FORMED);
            return NULL;
        }
    }
}

/* Checks character data from x->p to the next tag, where it leaves x->p. `decode`: the
 * bytes are not the text as they stand. */
static bool text_check(struct parser *x, bool *decode)
{
    const byte *p = x->p;

    for (;;) {
        while (xml_class[*p] & XML_IS_TEXT)
            p++;
        if (*p == '<') {
            if (p[1] != '!' || !at_cdata(x, p))
                break;
            *decode = true;
            p = cdata_end(x, p + 9);
            if (!p)
                return false;
            if (p > x->last)
                return fail(x, XML_NOT_WELL_FORMED);
        } else if (*p >= 0x80) {
            int n = char_bytes(p);

            if (n <= 0)
                return char_fail(x, n);
            p += n;
        } else if (*p == '&') {
            uint32_t c;

            x->p = p;
            if (!reference(x, &c))
                return false;
            p = x->p;
            *decode = true;
        } else if (*p == ']') {
            if (p[1] == ']' && p[2] == '>')
                return fail(x, XML_NOT_WELL_FORMED);
            p++;
        } else if (*p == '\r') {
            *decode = true;
            p++;
        } else if (*p == '>' && p != x->last) {
            p++;
        } else {
            return fail(x, XML_NOT_WELL_FORMED);
        }
    }
    x->p = p;
    return true;
}

/* "\r\n" and a lone "\r" are read as "\n" (XML 1.0 §2.11). */
static char *put_line_ends(char *to, const byte *p, const byte *end)
{
    for (; p < end; p++) {
        if (*p != '\r')
            *to++ = (char)*p;
        else if (p + 1 == end || p[1] != '\n')
            *to++ = '\n';
    }
    return to;
}

/* The same stretch again, now writing what it means; it has been checked. */
static struct str text_decode(struct parser *x, const byte *from, const byte *to)
{
    char       *out = take(x->arena, (size_t)(to - from)), *at = out;
    const byte *keep = x->p;

    x->p = from;
    while (x->p < to) {
        const byte *p = x->p;
        uint32_t    c;

        if (*p == '<') {
            const byte *end = cdata_end(x, p + 9);

            at = put_line_ends(at, p + 9, end - 3);
            x->p = end;
        } else if (*p == '&') {
            reference(x, &c);
            at = put_utf8(at, c);
        } else {
            while (p < to && *p != '<' && *p != '&')
                p++;
            at = put_line_ends(at, x->p, p);
            x->p = p;
        }
    }
    x->p = keep;
    return str_make(out, (size_t)(at - out));
}

/* Hangs the character data at x->p, if any, under the open element. */
static bool text(struct parser *x)
{
    struct frame    *f = &x->frames[x->depth];
    const byte      *from = x->p;
    struct xml_node *node;
    struct str       s;
    bool             decode = false;

    if (!text_check(x, &decode))
        return false;
    s = decode ? text_decode(x, from, x->p) : slice(from, x->p);
    if (s.len == 0)
        return true;    /* an empty CDATA section */
    node = node_new(x);
    if (!node)
        return false;
    node->text = s;
    node->raw = slice(from, x->p);
    *f->tail = node;
    f->tail = &node->next;
    return true;
}

/* ---- the whole ---- */

/* What to call input that does not go on with an element. */
static enum xml_fault other_fault(struct str in)
{
    if (str_starts(in, STR("<?")) || str_starts(in, STR("<!-")) || str_starts(in, STR("<!D")))
        return XML_RESTRICTED_XML;
    return XML_NOT_WELL_FORMED;
}

static bool child(struct parser *x)
{
    struct frame *parent = &x->frames[x->depth], *f = parent + 1;
    bool          empty;

    if (x->depth + 1 >= FRAMES_MAX)
        return fail(x, XML_POLICY_VIOLATION);
    if (!start_tag(x, f, x->depth + 1, parent, &empty))
        return false;
    x->depth++;
    *parent->tail = f->node;
    parent->tail = &f->node->next;
    if (empty)
        element_done(x);
    return true;
}

/* Everything inside the outermost element, and its end tag. */
static bool content(struct parser *x)
{
    while (x->depth >= 0) {
        bool fine;

        if (x->p > x->last)
            return fail(x, XML_NOT_WELL_FORMED);
        if (*x->p != '<' || (x->p[1] == '!' && at_cdata(x, x->p)))
            fine = text(x);
        else if (x->p[1] == '/')
            fine = end_tag(x);
        else if (x->p[1] == '!' || x->p[1] == '?')
            fine = fail(x, other_fault(slice(x->p, x->last)));
        else
            fine = child(x);
        if (!fine)
            return false;
    }
    return true;
}

static void parser_init(struct parser *x, struct arena *a, const struct xml_scope *scope, struct str in)
{
    x->arena = a;
    x->scope = scope;
    x->p = (const byte *)in.p;
    x->last = (const byte *)in.p + in.len - 1;
    x->fault = XML_FINE;
    x->depth = -1;
    x->node_count = 0;
    x->binding_count = 0;
    x->bindings_max = XML_PREFIXES_MAX - (scope ? scope->prefix_count : 0);
}

static bool is_tag_like(struct str in)
{
    return in.len > 2 && in.p[0] == '<' && in.p[1] != '!' && in.p[1] != '?' && in.p[in.len - 1] == '>';
}

enum xml_fault xml_parse(struct arena *a, struct str in, const struct xml_scope *scope, struct xml_node **out)
{
    struct parser x;
    bool          empty;

    *out = NULL;
    in = str_trim(in);
    if (!is_tag_like(in))
        return other_fault(in);
    parser_init(&x, a, scope, in);
    if (!start_tag(&x, &x.frames[0], 0, NULL, &empty))
        return x.fault;
    x.depth = 0;
    if (empty)
        element_done(&x);
    else if (!content(&x))
        return x.fault;
    if (x.p <= x.last)      /* something stands behind the element */
        return other_fault(str_trim(slice(x.p, x.last + 1)));
    *out = x.frames[0].node;
    return XML_FINE;
}

/* ---- a stream's start ---- */

/* name='value' of the declaration, the value quoted as it stands. */
static bool pseudo_attribute(struct str *in, const char *name, struct str *text)
{
    struct str rest = str_trim(*in);
    ptrdiff_t  n;

    *text = STR_NULL;
    if (!str_starts(rest, str_of(name)))
        return true;
    if (rest.p == in->p)
        return false;       /* no space before it */
    rest = str_make(rest.p + strlen(name), rest.len - strlen(name));
    rest = str_trim(rest);
    if (rest.len == 0 || rest.p[0] != '=')
        return false;
    rest = str_trim(str_make(rest.p + 1, rest.len - 1));
    if (rest.len < 2 || (rest.p[0] != '"' && rest.p[0] != '\''))
        return false;
    n = str_find(str_make(rest.p + 1, rest.len - 1), rest.p[0]);
    if (n < 0)
        return false;
    *text = str_make(rest.p + 1, (size_t)n);
    *in = str_make(rest.p + n + 2, rest.len - (size_t)n - 2);
    return true;
}

static bool is_version(struct str v)
{
    if (v.len < 3 || v.p[0] != '1' || v.p[1] != '.')
        return false;
    for (size_t i = 2; i < v.len; i++)
        if (v.p[i] < '0' || v.p[i] > '9')
            return false;
    return true;
}

/* What stands between "<?xml" and "?>" (XML 1.0 §2.8). */
static enum xml_fault declaration(struct str d)
{
    struct str version, encoding, standalone;

    if (!pseudo_attribute(&d, "version", &version) || !is_version(version))
        return XML_NOT_WELL_FORMED;
    if (!pseudo_attribute(&d, "encoding", &encoding) || !pseudo_attribute(&d, "standalone", &standalone))
        return XML_NOT_WELL_FORMED;
    if (str_trim(d).len || (standalone.p && !str_is(standalone, "yes") && !str_is(standalone, "no")))
        return XML_NOT_WELL_FORMED;
    if (encoding.p && !str_eq_nocase(encoding, STR("UTF-8")))
        return XML_UNSUPPORTED_ENCODING;
    return XML_FINE;
}

/* Drops a BOM, the declaration and white space from the front. */
static enum xml_fault prolog(struct str *in)
{
    if (str_starts(*in, STR("\xEF\xBB\xBF")))
        *in = str_make(in->p + 3, in->len - 3);
    if (str_starts(*in, STR("<?xml")) && in->len > 5 && (xml_class[(byte)in->p[5]] & XML_IS_SPACE)) {
        const char    *end = memmem(in->p, in->len, "?>", 2);
        enum xml_fault f;

        if (!end)
            return XML_NOT_WELL_FORMED;
        f = declaration(str_make(in->p + 5, (size_t)(end - in->p) - 5));
        if (f)
            return f;
        *in = str_make(end + 2, in->len - (size_t)(end + 2 - in->p));
    }
    *in = str_trim(*in);
    return XML_FINE;
}

enum xml_fault xml_parse_open(struct arena *a, struct str in, struct xml_scope *scope, struct xml_node **out)
{
    struct parser  x;
    enum xml_fault f;
    bool           empty;

    *out = NULL;
    *scope = (struct xml_scope){ 0 };
    f = prolog(&in);
    if (f)
        return f;
    if (!is_tag_like(in))
        return other_fault(in);
    parser_init(&x, a, NULL, in);
    if (!start_tag(&x, &x.frames[0], 0, NULL, &empty))
        return x.fault;
    if (empty || x.p <= x.last)
        return XML_NOT_WELL_FORMED;
    scope->default_ns = arena_str(a, x.frames[0].default_ns);
    scope->prefix_count = x.binding_count;
    for (int i = 0; i < x.binding_count; i++) {
        scope->prefixes[i].prefix = arena_str(a, x.bindings[i].prefix);
        scope->prefixes[i].ns = arena_str(a, x.bindings[i].ns);
    }
    *out = x.frames[0].node;
    return XML_FINE;
}
