/* fuzz_xml.c: the scanner finds the same pieces however the input is split,
 * what it finds can be parsed without harm, and what is written reads back
 * the same. The first two bytes seed the splits.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include <stdlib.h>
#include "base/mem.h"
#include "wire/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PIECE_BYTES_MAX = 300, PIECES_MAX = 4096 };

static void promise(bool kept, const char *what)
{
    if (kept)
        return;
    fprintf(stderr, "broken promise: %s\n", what);
    abort();
}

/* ---- splits ---- */

struct pieces {
    int              count;
    struct xml_piece list[PIECES_MAX];
};

/* White space may be handed out in any portions: neighbours are added up. */
static void note(struct pieces *all, struct xml_piece p)
{
    struct xml_piece *last = all->count ? &all->list[all->count - 1] : NULL;

    if (last && p.kind == XML_PIECE_SPACE && last->kind == XML_PIECE_SPACE)
        last->bytes += p.bytes;
    else if (all->count < PIECES_MAX)
        all->list[all->count++] = p;
}

/* Hands `in` to the scanner in steps of 1 to `step_max` bytes, each from memory of its own. */
static void scan_all(struct str in, bool framed, size_t step_max, unsigned seed, struct pieces *all)
{
    struct xml_scan s;
    size_t          from = 0, have = 0;

    all->count = 0;
    if (framed)
        xml_scan_init_framed(&s, PIECE_BYTES_MAX);
    else
        xml_scan_init(&s, PIECE_BYTES_MAX);
    while (from < in.len) {
        size_t           step = step_max ? 1 + (seed = seed * 1103515245 + 12345) / 65536 % step_max : in.len;
        char            *copy;
        struct xml_piece p;

        have = have + step < in.len ? have + step : in.len;
        do {
            copy = mem_copy(in.p + from, have - from);
            p = xml_scan(&s, str_make(copy, have - from));
            free(copy);
            promise(p.bytes <= have - from, "a piece lies within the input");
            promise(p.kind == XML_PIECE_SPACE || p.bytes <= PIECE_BYTES_MAX, "a piece keeps to its bound");
            promise((p.kind == XML_PIECE_FAULT) == (p.fault != XML_FINE), "a fault has a name");
            if (p.kind == XML_PIECE_NONE)
                break;
            note(all, p);
            if (p.kind == XML_PIECE_FAULT)
                return;
            promise(p.bytes > 0, "a piece has bytes");
            from += p.bytes;
        } while (from < have);
        promise(have - from < PIECE_BYTES_MAX || p.kind != XML_PIECE_NONE, "nothing unfinished grows past the bound");
        if (have == in.len)
            return;
    }
}

static void compare(const struct pieces *a, const struct pieces *b)
{
    promise(a->count == b->count, "as many pieces however split");
    for (int i = 0; i < a->count; i++) {
        promise(a->list[i].kind == b->list[i].kind, "the same kind");
        promise(a->list[i].bytes == b->list[i].bytes, "the same bytes");
        promise(a->list[i].fault == b->list[i].fault, "the same fault");
    }
}

/* ---- trees ---- */

static void same_tree(const struct xml_node *a, const struct xml_node *b)
{
    struct arena room;

    promise(str_eq(a->name, b->name) && str_eq(a->ns, b->ns), "the same name");
    promise(str_eq(a->lang, b->lang), "the same language");
    promise(a->attr_count == b->attr_count, "as many attributes");
    for (int i = 0; i < a->attr_count; i++)
        promise(str_eq(a->attrs[i].name, b->attrs[i].name) && str_eq(a->attrs[i].ns, b->attrs[i].ns) &&
                    str_eq(a->attrs[i].value, b->attrs[i].value), "the same attribute");
    arena_init(&room);
    promise(str_eq(xml_text(&room, a), xml_text(&room, b)), "the same text");
    arena_done(&room);
    a = xml_first(a);
    b = xml_first(b);
    for (; a && b; a = xml_next(a), b = xml_next(b))
        same_tree(a, b);
    promise(!a && !b, "as many children");
}

static void within(struct str part, struct str whole)
{
    promise(part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len), "raw lies within the input");
}

static void look(const struct xml_node *n, struct str in, struct arena *a)
{
    if (n->name.len == 0)
        return;
    within(n->raw, in);
    within(n->raw_inner, in);
    xml_child_text(a, n, "body", "jabber:client");
    for (const struct xml_node *c = n->child; c; c = c->next)
        look(c, in, a);
}

static void read_back(struct arena *a, const struct xml_node *tree, const char *default_ns)
{
    struct xml_scope scope = { .default_ns = str_of(default_ns) };
    struct xml_node *again;
    struct buf       out;
    enum xml_fault   f;

    buf_init(&out, 0);
    xml_put_node(&out, tree, scope.default_ns);
    f = xml_parse(a, buf_str(&out), &scope, &again);
    promise(f == XML_FINE || f == XML_POLICY_VIOLATION, "what we write is well-formed");
    if (f == XML_FINE)
        same_tree(tree, again);
    buf_done(&out);
}

static void parse(struct str in, const struct xml_scope *scope)
{
    struct arena     a;
    struct xml_node *tree;
    enum xml_fault   f;

    arena_init(&a);
    f = xml_parse(&a, in, scope, &tree);
    promise((f == XML_FINE) == (tree != NULL), "a tree or a fault");
    promise(*xml_fault_condition(f) || f == XML_FINE, "a fault has a condition");
    if (tree) {
        look(tree, in, &a);
        read_back(&a, tree, "");
        read_back(&a, tree, "jabber:client");
    }
    arena_done(&a);
}

static void parse_pieces(struct str in, const struct pieces *all)
{
    struct xml_scope scope = { 0 };
    struct xml_node *open;
    struct arena     a;

    arena_init(&a);
    for (int i = 0; i < all->count && all->list[i].kind != XML_PIECE_FAULT; i++) {
        char      *copy = mem_copy(in.p, all->list[i].bytes);
        struct str piece = str_make(copy, all->list[i].bytes);

        if (all->list[i].kind == XML_PIECE_OPEN && xml_parse_open(&a, piece, &scope, &open) != XML_FINE)
            scope = (struct xml_scope){ 0 };
        else if (all->list[i].kind == XML_PIECE_ELEMENT)
            parse(piece, &scope);
        free(copy);
        in = str_make(in.p + all->list[i].bytes, in.len - all->list[i].bytes);
    }
    arena_done(&a);
}

/* An element that parses is one piece to the scanner, and ends where it ends. */
static void scan_agrees_with_parse(struct str in)
{
    struct xml_scope scope = { 0 };
    struct xml_scan  s;
    struct xml_piece p;
    struct xml_node *tree;
    struct arena     a;

    arena_init(&a);
    in = str_trim(in);
    if (xml_parse(&a, in, &scope, &tree) == XML_FINE) {
        xml_scan_init_framed(&s, UINT32_MAX);
        p = xml_scan(&s, in);
        promise(p.kind == XML_PIECE_ELEMENT && p.bytes == in.len, "the scanner ends where the parser ends");
    }
    arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pieces whole, split;
    struct str           in;
    unsigned             seed;

    if (size < 2)
        return 0;
    seed = data[0] | (unsigned)data[1] << 8;
    in = str_make((const char *)data + 2, size - 2);
    for (int framed = 0; framed < 2; framed++) {
        scan_all(in, framed, 0, 0, &whole);
        scan_all(in, framed, 1, seed, &split);
        compare(&whole, &split);
        scan_all(in, framed, 1 + seed % 40, seed, &split);
        compare(&whole, &split);
        parse_pieces(in, &whole);
    }
    parse(in, NULL);
    scan_agrees_with_parse(in);
    return 0;
}
