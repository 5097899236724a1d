/* fuzz_xml_expat.c: our parser and expat accept the same elements and read
 * the same out of them, but for what RFC 6120 §11.1 forbids and our bounds.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <expat.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/buf.h"
#include "wire/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Parts of an event end in control characters, which no XML can hold. */
enum { NS_END = 1, START = 2, ATTR = 3, VALUE = 4, TEXT = 5, END = 6 };

/* ---- what expat reads ---- */

struct events {
    struct buf out;
    bool       in_text;
};

/* "ns|local|prefix", "ns|local" or "local"; the prefix is nobody's business. */
static void put_name(struct buf *out, const char *triplet)
{
    const char *local = strchr(triplet, NS_END);

    if (!local) {
        buf_put_c(out, NS_END);
        buf_put_z(out, triplet);
        return;
    }
    buf_put(out, triplet, (size_t)(local - triplet) + 1);
    buf_put(out, local + 1, strcspn(local + 1, "\x01"));
}

static void on_start(void *arg, const char *name, const char **attrs)
{
    struct events *e = arg;

    e->in_text = false;
    buf_put_c(&e->out, START);
    put_name(&e->out, name);
    for (; attrs[0]; attrs += 2) {
        buf_put_c(&e->out, ATTR);
        put_name(&e->out, attrs[0]);
        buf_put_c(&e->out, VALUE);
        buf_put_z(&e->out, attrs[1]);
    }
}

static void on_end(void *arg, const char *name)
{
    struct events *e = arg;

    e->in_text = false;
    buf_put_c(&e->out, END);
}

static void on_text(void *arg, const char *text, int bytes)
{
    struct events *e = arg;

    if (!e->in_text)
        buf_put_c(&e->out, TEXT);
    e->in_text = true;
    buf_put(&e->out, text, (size_t)bytes);
}

static bool expat_reads(struct str in, struct events *e)
{
    XML_Parser parser = XML_ParserCreateNS("UTF-8", NS_END);
    bool       fine;

    XML_SetReturnNSTriplet(parser, 1);
    XML_SetUserData(parser, e);
    XML_SetElementHandler(parser, on_start, on_end);
    XML_SetCharacterDataHandler(parser, on_text);
    fine = XML_Parse(parser, in.p, (int)in.len, 1) == XML_STATUS_OK;
    XML_ParserFree(parser);
    return fine;
}

/* ---- what we read, said the same way ---- */

static void put_tree(struct buf *out, const struct xml_node *n)
{
    if (n->name.len == 0) {
        buf_put_c(out, TEXT);
        buf_put_str(out, n->text);
        return;
    }
    buf_put_c(out, START);
    buf_put_str(out, n->ns);
    buf_put_c(out, NS_END);
    buf_put_str(out, n->name);
    for (int i = 0; i < n->attr_count; i++) {
        buf_put_c(out, ATTR);
        buf_put_str(out, n->attrs[i].ns);
        buf_put_c(out, NS_END);
        buf_put_str(out, n->attrs[i].name);
        buf_put_c(out, VALUE);
        buf_put_str(out, n->attrs[i].value);
    }
    for (const struct xml_node *c = n->child; c; c = c->next)
        put_tree(out, c);
    buf_put_c(out, END);
}

static void differ(const char *how, struct str ours, struct str theirs)
{
    fprintf(stderr, "%s\nours:   %.*s\ntheirs: %.*s\n", how, STR_ARG(ours), STR_ARG(theirs));
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str       in = str_make((const char *)data, size);
    struct events    theirs = { 0 };
    struct buf       ours;
    struct xml_node *tree;
    struct arena     a;
    enum xml_fault   f;
    bool             expat_fine;

    /* expat takes a BOM before a document; inside a stream there is none */
    if (size == 0 || str_starts(in, STR("\xEF\xBB\xBF")))
        return 0;
    arena_init(&a);
    buf_init(&ours, 0);
    f = xml_parse(&a, in, NULL, &tree);
    expat_fine = expat_reads(in, &theirs);
    if (f == XML_FINE) {
        put_tree(&ours, tree);
        if (!expat_fine)
            differ("only we accept this", buf_str(&ours), buf_str(&theirs.out));
        if (!str_eq(buf_str(&ours), buf_str(&theirs.out)))
            differ("we read it differently", buf_str(&ours), buf_str(&theirs.out));
    } else if (expat_fine && f != XML_RESTRICTED_XML && f != XML_POLICY_VIOLATION) {
        differ("only expat accepts this", str_of(xml_fault_condition(f)), buf_str(&theirs.out));
    }
    buf_done(&ours);
    buf_done(&theirs.out);
    arena_done(&a);
    return 0;
}
