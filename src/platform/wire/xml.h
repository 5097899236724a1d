/* xml.h: the XML of XMPP (RFC 6120 §11): no comments, no processing
 * instructions, no DTD, no entities but the five predefined and character
 * references, UTF-8 only; namespaces in full. Anything else is refused with
 * the stream error that RFC 6120 §4.9.3 names.
 *
 * Two steps, so that an idle stream owns no parser memory:
 *  1. struct xml_scan finds where the next piece of a stream ends, byte by
 *     byte, across any split of the input. It holds 32 bytes of state.
 *  2. xml_parse makes a tree of one complete element in an arena; names and
 *     text point into the input where nothing had to be decoded.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum {
    XML_DEPTH_MAX = 64,        /* below the stanza */
    XML_ATTRS_MAX = 64,        /* per element */
    XML_NODES_MAX = 8192,      /* per stanza, elements and texts */
    XML_PREFIXES_MAX = 16,     /* in scope at one time */
};

/* Why input was refused. The names are the stream errors of RFC 6120 §4.9.3. */
enum xml_fault {
    XML_FINE = 0,
    XML_NOT_WELL_FORMED,       /* also a namespace prefix nobody declared */
    XML_RESTRICTED_XML,        /* comment, PI, DTD, entity reference */
    XML_UNSUPPORTED_ENCODING,  /* bytes that are not UTF-8 */
    XML_POLICY_VIOLATION,      /* a bound above, or the stanza size bound */
};
const char *xml_fault_condition(enum xml_fault f);   /* "not-well-formed", … */

/* ---- step 1: pieces of a stream ---- */

enum xml_piece_kind {
    XML_PIECE_NONE,        /* more bytes are needed */
    XML_PIECE_OPEN,        /* the stream's start tag, with the BOM and XML declaration before it */
    XML_PIECE_ELEMENT,     /* one complete element of depth 1 */
    XML_PIECE_SPACE,       /* white space between elements: a keep-alive */
    XML_PIECE_CLOSE,       /* the stream's end tag */
    XML_PIECE_FAULT,
};

struct xml_scan {
    uint8_t  state, quote, seen_open, fault;
    uint16_t depth;            /* 0 before the stream's start tag */
    uint16_t text_run;         /* progress inside a token */
    uint32_t scanned;          /* bytes of the current piece already looked at */
    uint32_t bytes_max;        /* a longer piece is XML_POLICY_VIOLATION */
};

struct xml_piece {
    enum xml_piece_kind kind;
    enum xml_fault      fault;
    size_t              bytes; /* length of the piece, from the start of `in` */
};

void xml_scan_init(struct xml_scan *s, uint32_t piece_bytes_max);
/* For RFC 7395 and tests: elements come without an enclosing stream. */
void xml_scan_init_framed(struct xml_scan *s, uint32_t piece_bytes_max);
/* `in` starts at the current piece: bytes seen in earlier calls plus what has
 * arrived since. Answers NONE until the piece is complete; then the caller
 * drops `bytes` from its input and calls again with the rest. A piece that
 * grows past the bound is refused as soon as that is known. The scanner
 * finds ends; complete judgement of the bytes inside is xml_parse's. */
struct xml_piece xml_scan(struct xml_scan *s, struct str in);

/* ---- step 2: the tree ---- */

struct xml_attr {
    struct str name;           /* local name */
    struct str ns;             /* empty for attributes without prefix */
    struct str value;          /* decoded */
};

struct xml_node {
    struct str       name;     /* local name; empty for a text node */
    struct str       ns;
    struct str       text;     /* text node: decoded character data */
    struct xml_attr *attrs;    /* without the xmlns declarations */
    uint16_t         attr_count;
    bool             own_default;  /* it declares its own default namespace */
    bool             outer_prefix; /* it or a descendant uses a prefix declared outside this element */
    struct xml_node *child;    /* first child, in document order */
    struct xml_node *next;     /* next sibling */
    struct str       raw;      /* the element's own bytes in the input, tags included */
    struct str       raw_inner;/* bytes between the tags; empty for <a/> */
    struct str       lang;     /* xml:lang in force, empty if none */
};

/* Namespaces that the enclosing stream declares. */
struct xml_scope {
    struct str default_ns;                       /* "jabber:client"; empty: none */
    int        prefix_count;
    struct { struct str prefix, ns; } prefixes[XML_PREFIXES_MAX];
};

/* Parses exactly one element that fills `in` (white space around it allowed).
 * The tree points into `in` and into `a`. `scope` may be NULL. */
enum xml_fault xml_parse(struct arena *a, struct str in, const struct xml_scope *scope, struct xml_node **out);
/* Parses a stream's start tag (XML_PIECE_OPEN): `out` has no children, `scope` is filled
 * and points into `a`. */
enum xml_fault xml_parse_open(struct arena *a, struct str in, struct xml_scope *scope, struct xml_node **out);

/* ---- looking ---- */
struct str       xml_attr(const struct xml_node *n, const char *name);    /* no-namespace attribute; p == NULL if absent */
bool             xml_is(const struct xml_node *n, const char *name, const char *ns);
struct xml_node *xml_child(const struct xml_node *n, const char *name, const char *ns); /* ns NULL: any */
struct xml_node *xml_first(const struct xml_node *n);                      /* first child element, skips text */
struct xml_node *xml_next(const struct xml_node *n);                       /* next sibling element */
struct str       xml_text(struct arena *a, const struct xml_node *n);      /* all direct text, joined */
struct str       xml_child_text(struct arena *a, const struct xml_node *n, const char *name, const char *ns); /* p NULL if no such child */

/* ---- writing ---- */
/* UTF-8 text; & < > " ' and CR escaped, control characters XML does not know become U+FFFD. */
void xml_put_escaped(struct buf *b, struct str text);
void xml_put_attr(struct buf *b, const char *name, struct str value); /* " name='value'"; nothing when value.p is NULL */
/* The element with every namespace it needs declared on it, so it can stand in
 * any stream whose default namespace is `default_ns`. Uses `raw` when that says the same. */
void xml_put_node(struct buf *b, const struct xml_node *n, struct str default_ns);
/* A stanza with these addresses: of its own attributes only id, type and xml:lang stay (RFC 6120 §8.1), of its content the elements. */
void xml_put_stanza(struct buf *b, const struct xml_node *n, struct str from, struct str to, struct str default_ns);

/* ---- changing ---- */
/* The elements of one namespace are of another one from here on, `n` and those inside. True: there was one. */
bool xml_rename_ns(struct xml_node *n, const char *ns, struct str to);
