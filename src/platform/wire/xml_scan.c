/* xml_scan.c: where the next piece of a stream ends (see xml.h). It follows
 * tags, quotes and CDATA sections only; in well-formed input nothing else can
 * hide a '<' or a '>', and what is not well-formed xml_parse refuses.
 *
 *   START --"<"--> MARK --name--> TAG --">"--> CONTENT --"<"--> MARK ...
 *                   |              | ^ quote                     |
 *                   |              VALUE                         +-> "</" END --">"
 *                   +--"<?xml"--> DECL --"?>"--> PROLOG          +-> "<![CDATA[" CDATA --"]]>"
 *
 * Each byte is looked at once: `scanned` remembers how far, `text_run` how
 * much of a multi-byte mark has been seen.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <assert.h>
#include "wire/xml_inner.h"

enum state {
    START,      /* between pieces */
    PROLOG,     /* before the stream's start tag, after a BOM or declaration */
    BOM,
    MARK,       /* after '<' */
    TAG,
    VALUE,
    SLASH,      /* after '/' in a tag */
    END,
    BANG,       /* in "<![CDATA[" */
    CDATA,
    DECL_NAME,  /* in "<?xml" */
    DECL,
    CONTENT,
    FAULT,
};

enum opened { NOT_OPEN, OPEN, CLOSED, FRAMED };

enum {
    DEPTH_SCAN_MAX = 1 + 1 + XML_DEPTH_MAX, /* the stream, the stanza, and below it */
};

void xml_scan_init(struct xml_scan *s, uint32_t piece_bytes_max)
{
    assert(piece_bytes_max > 0);
    *s = (struct xml_scan){ .state = START, .seen_open = NOT_OPEN, .bytes_max = piece_bytes_max };
}

void xml_scan_init_framed(struct xml_scan *s, uint32_t piece_bytes_max)
{
    xml_scan_init(s, piece_bytes_max);
    s->seen_open = FRAMED;
    s->depth = 1;
}

static struct xml_piece refuse(struct xml_scan *s, enum xml_fault f)
{
    s->state = FAULT;
    s->fault = (uint8_t)f;
    return (struct xml_piece){ XML_PIECE_FAULT, f, 0 };
}

static struct xml_piece piece(struct xml_scan *s, enum xml_piece_kind kind, size_t bytes)
{
    s->state = START;
    s->scanned = 0;
    s->text_run = 0;
    return (struct xml_piece){ kind, XML_FINE, bytes };
}

static bool is_space(unsigned char c) { return xml_class[c] & XML_IS_SPACE; }

/* White space outside elements is handed out as it comes, so it never piles up. Before a
 * stream's declaration it is left over from the stream that was restarted (some clients
 * end each stanza with a line feed), so it does not count against the declaration. */
static struct xml_piece spaces(struct xml_scan *s, const unsigned char *p, size_t len)
{
    size_t n = 1;

    while (n < len && is_space(p[n]))
        n++;
    return piece(s, XML_PIECE_SPACE, n);
}

/* The first byte is neither '<' nor white space nor a BOM. */
static enum xml_fault first_byte_fault(const struct xml_scan *s, unsigned char c)
{
    /* how UTF-16 and UTF-32 begin */
    if (s->seen_open == NOT_OPEN && (c == 0 || c >= 0xFE))
        return XML_UNSUPPORTED_ENCODING;
    return XML_NOT_WELL_FORMED;
}

/* After '<': what kind of mark is it? `first`: it begins the piece. */
static enum xml_fault mark(struct xml_scan *s, unsigned char c, bool first)
{
    switch (c) {
    case '/':
        if (s->depth == 0 || (s->depth == 1 && s->seen_open == FRAMED))
            return XML_NOT_WELL_FORMED;
        s->state = END;
        return XML_FINE;
    case '!':
        s->state = BANG;
        s->text_run = 0;
        return XML_FINE;
    case '?':
        if (s->seen_open != NOT_OPEN || !first)
            return XML_RESTRICTED_XML;
        s->state = DECL_NAME;
        s->text_run = 0;
        return XML_FINE;
    default:
        if (s->seen_open == CLOSED || (!(xml_class[c] & XML_IS_START) && c < 0x80))
            return XML_NOT_WELL_FORMED;
        if (s->depth >= DEPTH_SCAN_MAX)
            return XML_POLICY_VIOLATION;
        s->state = TAG;
        return XML_FINE;
    }
}

/* Follows the bytes of `word` that are still to come. */
static enum xml_fault follow(struct xml_scan *s, unsigned char c, const char *word, enum state then,
                             enum xml_fault otherwise)
{
    if (c != (unsigned char)word[s->text_run])
        return otherwise;
    if (word[++s->text_run] == '\0') {
        s->state = (uint8_t)then;
        s->text_run = 0;
    }
    return XML_FINE;
}

/* What a completed tag makes of the piece; NONE to go on. */
static enum xml_piece_kind tag_done(struct xml_scan *s, bool empty_element)
{
    if (s->depth == 0) {
        s->depth = 1;
        s->seen_open = OPEN;
        return XML_PIECE_OPEN;
    }
    if (empty_element && s->depth == 1)
        return XML_PIECE_ELEMENT;
    s->depth += !empty_element;
    s->state = CONTENT;
    return XML_PIECE_NONE;
}

static enum xml_piece_kind end_done(struct xml_scan *s)
{
    s->depth--;
    if (s->depth == 0) {
        s->seen_open = CLOSED;
        return XML_PIECE_CLOSE;
    }
    if (s->depth == 1)
        return XML_PIECE_ELEMENT;
    s->state = CONTENT;
    return XML_PIECE_NONE;
}

static const unsigned char *find(const unsigned char *p, const unsigned char *end, int c)
{
    const unsigned char *at = memchr(p, c, (size_t)(end - p));

    return at ? at : end;
}

/* Brackets seen in a row are kept in text_run: "]]>" may come in three packets. */
static const unsigned char *cdata(struct xml_scan *s, const unsigned char *p, const unsigned char *end)
{
    while (p < end) {
        if (s->text_run == 0) {
            p = find(p, end, ']');
            if (p == end)
                break;
        }
        if (*p == ']') {
            s->text_run = s->text_run < 2 ? s->text_run + 1 : 2;
        } else if (*p == '>' && s->text_run == 2) {
            s->text_run = 0;
            s->state = CONTENT;
            return p + 1;
        } else {
            s->text_run = 0;
        }
        p++;
    }
    return p;
}

/* Looks at p..end, which follow on what was scanned before. */
static struct xml_piece scan(struct xml_scan *s, const unsigned char *in, const unsigned char *p,
                             const unsigned char *end)
{
    enum xml_piece_kind done = XML_PIECE_NONE;
    enum xml_fault      f = XML_FINE;

    while (p < end) {
        switch ((enum state)s->state) {
        case START:
            if (is_space(*p))
                return spaces(s, p, (size_t)(end - p));
            if (*p == '<')
                s->state = MARK;
            else if (*p == 0xEF && s->seen_open == NOT_OPEN)
                s->state = BOM;
            else
                f = first_byte_fault(s, *p);
            p++;
            break;
        case BOM:
            f = follow(s, *p++, "\xBB\xBF", PROLOG, XML_NOT_WELL_FORMED);
            break;
        case PROLOG:
            if (*p == '<')
                s->state = MARK;
            else if (!is_space(*p))
                f = XML_NOT_WELL_FORMED;
            p++;
            break;
        case MARK:
            /* a declaration stands first, or right behind a BOM */
            f = mark(s, *p, p - in == 1 || (p - in == 4 && in[0] == 0xEF));
            p++;
            break;
        case TAG:
            while (p < end && (xml_class[*p] & XML_IS_TAG))
                p++;
            if (p == end)
                break;
            if (*p == '>')
                done = tag_done(s, false);
            else if (*p == '/')
                s->state = SLASH;
            else if (*p == '<')
                f = XML_NOT_WELL_FORMED;
            else
                s->state = VALUE;
            s->quote = *p++;
            break;
        case VALUE:
            p = find(p, end, s->quote);
            if (p < end) {
                s->state = TAG;
                p++;
            }
            break;
        case SLASH:
            /* <stream:stream/> would open and close a stream in which nothing can be said */
            if (*p++ != '>' || s->depth == 0)
                f = XML_NOT_WELL_FORMED;
            else
                done = tag_done(s, true);
            break;
        case END:
            p = find(p, end, '>');
            if (p < end) {
                done = end_done(s);
                p++;
            }
            break;
        case BANG:
            f = follow(s, *p, "[CDATA[", CDATA, *p == '-' || *p == 'D' ? XML_RESTRICTED_XML : XML_NOT_WELL_FORMED);
            if (!f && s->depth < 2)
                f = XML_NOT_WELL_FORMED;    /* text has no place between stanzas */
            p++;
            break;
        case CDATA:
            p = cdata(s, p, end);
            break;
        case DECL_NAME:
            if (s->text_run < 3)
                f = follow(s, *p, "xml?", DECL, XML_RESTRICTED_XML);
            else if (is_space(*p))
                s->state = DECL;
            else
                f = XML_RESTRICTED_XML;     /* a PI such as <?xml-stylesheet?> */
            p++;
            break;
        case DECL:
            if (*p == '>' && s->text_run == 1)
                s->state = PROLOG;
            s->text_run = *p++ == '?';
            break;
        case CONTENT:
            p = find(p, end, '<');
            if (p < end) {
                s->state = MARK;
                p++;
            }
            break;
        case FAULT:
            return refuse(s, (enum xml_fault)s->fault);
        }
        if (f)
            return refuse(s, f);
        if (done)
            return piece(s, done, (size_t)(p - in));
    }
    s->scanned = (uint32_t)(p - in);
    return (struct xml_piece){ XML_PIECE_NONE, XML_FINE, 0 };
}

struct xml_piece xml_scan(struct xml_scan *s, struct str in)
{
    const unsigned char *p = (const unsigned char *)in.p;
    struct xml_piece     found;

    if (s->state == FAULT)
        return refuse(s, (enum xml_fault)s->fault);
    if (in.len <= s->scanned)
        return (struct xml_piece){ XML_PIECE_NONE, XML_FINE, 0 };
    /* Never further than the bound, so that the answer is the same however the input was split. */
    found = scan(s, p, p + s->scanned, p + (in.len < s->bytes_max ? in.len : s->bytes_max));
    if (found.kind == XML_PIECE_NONE && in.len >= s->bytes_max)
        return refuse(s, XML_POLICY_VIOLATION);
    return found;
}
