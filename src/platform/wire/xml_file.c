/* xml_file.c: see xml_file.h. Text that was read and not told yet is in `in`, from `at` on.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "wire/xml_file.h"
#include "base/mem.h"
#include <stdlib.h>

enum { READ_BYTES = 64 * 1024 };

struct level {
    char            *default_ns;
    int              prefix_count;
    struct { char *prefix, *ns; } prefixes[XML_PREFIXES_MAX];
};

struct xml_file {
    xml_file_read_fn  *read;
    xml_file_enter_fn *enter;
    void              *arg;
    size_t             bytes_max;
    struct buf         in;
    size_t             at;
    int64_t            dropped;
    bool               ended;          /* nothing more can be read */
    bool               leave_next;     /* the entered one was <a/> */
    bool               root_seen;
    int                depth;
    struct level       levels[XML_FILE_DEPTH_MAX];
};

struct xml_file *xml_file_new(xml_file_read_fn *read, xml_file_enter_fn *enter, void *arg, size_t element_bytes_max)
{
    struct xml_file *f = NEW(struct xml_file);

    *f = (struct xml_file){ .read = read, .enter = enter, .arg = arg, .bytes_max = element_bytes_max };
    buf_init(&f->in, element_bytes_max + 2 * READ_BYTES);
    return f;
}

static void level_free(struct level *l)
{
    free(l->default_ns);
    for (int i = 0; i < l->prefix_count; i++) {
        free(l->prefixes[i].prefix);
        free(l->prefixes[i].ns);
    }
    *l = (struct level){ 0 };
}

void xml_file_free(struct xml_file **fp)
{
    struct xml_file *f = *fp;

    if (!f)
        return;
    *fp = NULL;
    for (int i = 0; i < f->depth; i++)
        level_free(&f->levels[i]);
    buf_done(&f->in);
    free(f);
}

int64_t xml_file_offset(const struct xml_file *f)
{
    return f->dropped + (int64_t)f->at;
}

/* ---- bytes ---- */

static void drop_read(struct xml_file *f)
{
    f->dropped += (int64_t)f->at;
    buf_consume(&f->in, f->at);
    f->at = 0;
}

/* ERR_AGAIN: that was all. ERR_LIMIT: the buffer is full. */
static enum err more(struct xml_file *f)
{
    char *to;
    long  n;

    if (f->ended)
        return ERR_AGAIN;
    to = buf_reserve(&f->in, READ_BYTES);
    if (!to)
        return ERR_LIMIT;
    n = f->read(f->arg, to, READ_BYTES);
    if (n < 0)
        return ERR_IO;
    f->ended = n == 0;
    f->in.len += (size_t)n;
    return n ? OK : ERR_AGAIN;
}

/* The place behind the next `word`, looked for from `from` on. */
static enum err find(struct xml_file *f, size_t from, const char *word, size_t *out)
{
    size_t n = strlen(word);

    for (;;) {
        const char *p = f->in.len > from + n - 1 ? memmem(f->in.p + from, f->in.len - from, word, n) : NULL;
        enum err    e;

        if (p) {
            *out = (size_t)(p - f->in.p) + n;
            return OK;
        }
        from = f->in.len > n ? (f->in.len - n > from ? f->in.len - n : from) : from;
        e = more(f);
        if (e)
            return e == ERR_AGAIN ? ERR_INVALID : e;
    }
}

static enum err have(struct xml_file *f, size_t upto)
{
    while (f->in.len < upto) {
        enum err e = more(f);

        if (e)
            return e == ERR_AGAIN ? ERR_INVALID : e;
    }
    return OK;
}

/* The place behind the tag that begins at `from`: a '>' outside quotes. */
static enum err tag_end(struct xml_file *f, size_t from, size_t *out)
{
    char quote = 0;

    for (size_t i = from;; i++) {
        enum err e = have(f, i + 1);
        char     c;

        if (e)
            return e;
        c = f->in.p[i];
        if (quote) {
            quote = c == quote ? 0 : quote;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (c == '>') {
            *out = i + 1;
            return OK;
        }
    }
}

static bool at_is(const struct xml_file *f, size_t at, const char *word)
{
    size_t n = strlen(word);

    return f->in.len >= at + n && memcmp(f->in.p + at, word, n) == 0;
}

/* Behind a comment, a processing instruction or CDATA at `at`; *is false: it is none of them. */
static enum err pass_over(struct xml_file *f, size_t at, size_t *out, bool *is)
{
    enum err e = have(f, at + 2);

    *is = false;
    if (e)
        return e;
    if (f->in.p[at + 1] == '?') {
        *is = true;
        return find(f, at + 2, "?>", out);
    }
    if (f->in.p[at + 1] != '!')
        return OK;
    e = have(f, at + 9);
    if (e)
        return e;
    *is = true;
    if (at_is(f, at, "<!--"))
        return find(f, at + 4, "-->", out);
    if (at_is(f, at, "<![CDATA["))
        return find(f, at + 9, "]]>", out);
    return ERR_UNSUPPORTED;     /* a DTD */
}

/* ---- names in scope ---- */

static void scope_of(const struct xml_file *f, struct xml_scope *out)
{
    const struct level *l = f->depth ? &f->levels[f->depth - 1] : NULL;

    *out = (struct xml_scope){ 0 };
    if (!l)
        return;
    out->default_ns = str_of(l->default_ns);
    out->prefix_count = l->prefix_count;
    for (int i = 0; i < l->prefix_count; i++) {
        out->prefixes[i].prefix = str_of(l->prefixes[i].prefix);
        out->prefixes[i].ns = str_of(l->prefixes[i].ns);
    }
}

static void level_put(struct level *l, struct str prefix, struct str ns)
{
    for (int i = 0; i < l->prefix_count; i++)
        if (str_is(prefix, l->prefixes[i].prefix)) {
            free(l->prefixes[i].ns);
            l->prefixes[i].ns = str_dup(ns);
            return;
        }
    if (l->prefix_count == XML_PREFIXES_MAX)
        return;                 /* what uses it cannot be read, and is told */
    l->prefixes[l->prefix_count].prefix = str_dup(prefix);
    l->prefixes[l->prefix_count++].ns = str_dup(ns);
}

/* One attribute of a well-formed tag; false: no more. */
static bool next_attribute(struct str *rest, struct str *name, struct str *value)
{
    size_t i = 0, start;
    char   quote;

    while (i < rest->len && !strchr("'\"", rest->p[i]) && rest->p[i] != '=')
        i++;
    if (i >= rest->len || rest->p[i] != '=')
        return false;
    *name = str_trim(str_make(rest->p, i));
    for (size_t j = name->len; j > 0; j--)
        if (strchr(" \t\r\n", name->p[j - 1])) {
            *name = str_make(name->p + j, name->len - j);
            break;
        }
    while (i < rest->len && !strchr("'\"", rest->p[i]))
        i++;
    if (i >= rest->len)
        return false;
    quote = rest->p[i++];
    start = i;
    while (i < rest->len && rest->p[i] != quote)
        i++;
    *value = str_make(rest->p + start, i - start);
    *rest = i < rest->len ? str_make(rest->p + i + 1, rest->len - i - 1) : STR_NULL;
    return true;
}

static void level_enter(struct xml_file *f, struct str tag)
{
    struct level *l = &f->levels[f->depth], *outer = f->depth ? l - 1 : NULL;
    struct str    name, value;

    *l = (struct level){ .default_ns = outer && outer->default_ns ? str_dup(str_of(outer->default_ns)) : NULL };
    for (int i = 0; outer && i < outer->prefix_count; i++)
        level_put(l, str_of(outer->prefixes[i].prefix), str_of(outer->prefixes[i].ns));
    while (next_attribute(&tag, &name, &value)) {
        if (str_is(name, "xmlns")) {
            free(l->default_ns);
            l->default_ns = str_dup(value);
        } else if (str_starts(name, STR("xmlns:"))) {
            level_put(l, str_make(name.p + 6, name.len - 6), value);
        }
    }
    f->depth++;
}

/* ---- elements ---- */

/* A start tag as an element of its own, so that it can be judged before its content is read. */
static struct xml_node *read_start(struct xml_file *f, struct arena *a, struct str tag)
{
    struct xml_scope scope;
    struct xml_node *n = NULL;
    bool             empty = tag.len > 2 && tag.p[tag.len - 2] == '/';
    struct str       text = empty ? arena_str(a, tag) : arena_printf(a, "%.*s/>", (int)tag.len - 1, tag.p);

    scope_of(f, &scope);
    return xml_parse(a, text, &scope, &n) == XML_FINE ? n : NULL;
}

/* What has been scanned of an element need not stay when it is too large. */
struct span {
    size_t from, upto;
    bool   too_large, has_comment;
};

static enum err go_on(struct xml_file *f, struct span *s)
{
    if (s->upto - s->from <= f->bytes_max)
        return OK;
    s->too_large = true;
    f->at = s->upto;
    drop_read(f);
    s->from = s->upto = 0;
    return OK;
}

/* Behind the end tag of the element whose start tag ends at s->upto. */
static enum err element_end(struct xml_file *f, struct span *s)
{
    int depth = 1;

    while (depth > 0) {
        size_t   lt;
        bool     passed;
        enum err e = find(f, s->upto, "<", &lt);

        if (e == ERR_LIMIT) {       /* a text longer than the bound */
            s->upto = f->in.len;
            e = go_on(f, s);
            if (!s->too_large)
                return ERR_LIMIT;
            continue;
        }
        if (e)
            return e;
        e = pass_over(f, lt - 1, &s->upto, &passed);
        if (e)
            return e;
        s->has_comment |= passed && !at_is(f, lt - 1, "<![CDATA[");
        if (!passed) {
            bool closes = f->in.p[lt] == '/';

            e = tag_end(f, lt, &s->upto);
            if (e)
                return e;
            if (closes)
                depth--;
            else if (f->in.p[s->upto - 2] != '/')
                depth++;
        }
        e = go_on(f, s);
        if (e)
            return e;
    }
    return OK;
}

/* Without what xml_parse refuses and files may have. */
static struct str without_comments(struct arena *a, struct str in)
{
    struct buf b;
    struct str out;

    buf_init(&b, 0);
    while (in.len) {
        const char *lt = memchr(in.p, '<', in.len);
        const char *word = NULL, *end;
        struct str  rest;

        if (!lt)
            break;
        rest = str_make(lt, in.len - (size_t)(lt - in.p));
        buf_put(&b, in.p, (size_t)(lt - in.p));
        if (str_starts(rest, STR("<![CDATA[")))
            word = "]]>";
        else if (str_starts(rest, STR("<!--")))
            word = "-->";
        else if (str_starts(rest, STR("<?")))
            word = "?>";
        end = word ? memmem(rest.p, rest.len, word, strlen(word)) : NULL;
        if (!end) {
            buf_put_c(&b, '<');
            in = str_make(rest.p + 1, rest.len - 1);
            continue;
        }
        end += strlen(word);
        if (word[0] == ']')
            buf_put(&b, rest.p, (size_t)(end - rest.p));
        in = str_make(end, rest.len - (size_t)(end - rest.p));
    }
    buf_put_str(&b, in);
    out = arena_str(a, buf_str(&b));
    buf_done(&b);
    return out;
}

static enum err take_whole(struct xml_file *f, struct arena *a, struct span *s, struct xml_file_event *out)
{
    struct xml_scope scope;
    struct xml_node *n = NULL;
    struct str       text;
    enum xml_fault   fault;

    f->at = s->upto;
    if (s->too_large) {
        out->kind = XML_FILE_SPOILT;
        out->why = "it is too large";
        return OK;
    }
    text = arena_str(a, str_make(f->in.p + s->from, s->upto - s->from));
    if (s->has_comment)
        text = without_comments(a, text);
    scope_of(f, &scope);
    fault = xml_parse(a, text, &scope, &n);
    out->kind = fault ? XML_FILE_SPOILT : XML_FILE_ELEMENT;
    if (fault)
        out->why = xml_fault_condition(fault);
    else
        out->node = n;
    return OK;
}

static enum err enter(struct xml_file *f, struct str tag, bool empty, struct xml_file_event *out)
{
    if (f->depth == XML_FILE_DEPTH_MAX)
        return ERR_LIMIT;
    level_enter(f, tag);
    f->at += tag.len;
    f->leave_next = empty;
    out->kind = XML_FILE_ENTERED;
    return OK;
}

static enum err start_tag(struct xml_file *f, struct arena *a, struct xml_file_event *out)
{
    struct span s = { .from = f->at };
    struct str  tag;
    bool        empty;
    enum err    e = tag_end(f, f->at, &s.upto);

    if (e)
        return e;
    tag = str_make(f->in.p + s.from, s.upto - s.from);
    empty = tag.len > 2 && tag.p[tag.len - 2] == '/';
    out->depth = f->depth;
    out->node = read_start(f, a, tag);
    if (!out->node)
        return ERR_INVALID;
    if (f->depth == 0 && f->root_seen)
        return ERR_INVALID;     /* a second root */
    f->root_seen = true;
    if (f->enter(f->arg, out->node, f->depth))
        return enter(f, tag, empty, out);
    if (!empty)
        e = element_end(f, &s);
    return e ? e : take_whole(f, a, &s, out);
}

static enum err leave(struct xml_file *f, struct xml_file_event *out)
{
    if (f->depth == 0)
        return ERR_INVALID;
    level_free(&f->levels[--f->depth]);
    *out = (struct xml_file_event){ .kind = XML_FILE_LEFT, .depth = f->depth };
    return OK;
}

enum err xml_file_next(struct xml_file *f, struct arena *a, struct xml_file_event *out)
{
    *out = (struct xml_file_event){ .kind = XML_FILE_END };
    if (f->leave_next) {
        f->leave_next = false;
        return leave(f, out);
    }
    for (;;) {
        size_t   at;
        bool     passed;
        enum err e;

        drop_read(f);
        e = find(f, 0, "<", &at);
        if (e == ERR_INVALID && f->depth == 0 && f->root_seen)
            return OK;          /* nothing but the end */
        if (e == ERR_LIMIT) {   /* a long text between elements */
            f->at = f->in.len;
            continue;
        }
        if (e)
            return e;
        f->at = at - 1;
        drop_read(f);
        e = pass_over(f, 0, &at, &passed);
        if (e)
            return e;
        if (passed) {
            f->at = at;
            continue;
        }
        if (f->in.p[1] != '/')
            return start_tag(f, a, out);
        e = tag_end(f, 0, &at);
        if (e)
            return e;
        f->at = at;
        return leave(f, out);
    }
}
