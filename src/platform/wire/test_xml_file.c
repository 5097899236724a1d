/* test_xml_file.c: a large file comes element by element, wherever its bytes are cut.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/test.h"
#include "wire/xml_file.h"

struct source { struct str rest; size_t step; };

static long read_some(void *arg, char *to, size_t bytes)
{
    struct source *s = arg;
    size_t         n = s->rest.len < s->step ? s->rest.len : s->step;

    n = n < bytes ? n : bytes;
    memcpy(to, s->rest.p, n);
    s->rest = str_make(s->rest.p + n, s->rest.len - n);
    return (long)n;
}

static bool enter_lists(void *arg, const struct xml_node *start, int depth)
{
    (void)arg;
    (void)depth;
    return str_is(start->name, "list");
}

/* "+list(…) name:ns=text …": what came, in short. */
static struct str story(struct arena *a, const char *text, size_t step, size_t bytes_max, enum err *e)
{
    struct source         s = { str_of(text), step };
    struct xml_file      *f = xml_file_new(read_some, enter_lists, &s, bytes_max);
    struct xml_file_event ev = { .kind = XML_FILE_LEFT };
    struct buf            b;
    struct str            out;

    buf_init(&b, 0);
    while (ev.kind != XML_FILE_END && (*e = xml_file_next(f, a, &ev)) == OK) {
        if (ev.kind == XML_FILE_ENTERED)
            buf_printf(&b, "+%.*s:%.*s ", STR_ARG(ev.node->name), STR_ARG(ev.node->ns));
        else if (ev.kind == XML_FILE_ELEMENT)
            buf_printf(&b, "%.*s:%.*s=%.*s ", STR_ARG(ev.node->name), STR_ARG(ev.node->ns), STR_ARG(xml_text(a, ev.node)));
        else if (ev.kind == XML_FILE_SPOILT)
            buf_printf(&b, "!%.*s ", STR_ARG(ev.node->name));
        else if (ev.kind == XML_FILE_LEFT)
            BUF_LIT(&b, "- ");
    }
    out = arena_str(a, buf_str(&b));
    buf_done(&b);
    xml_file_free(&f);
    return out;
}

static void elements_come_one_by_one(struct test *t)
{
    static const struct { const char *text, *want; enum err e; } cases[] = {
        { "<?xml version='1.0'?><!-- c --><list xmlns='a'> x <b>1</b><c xmlns='d'>2</c></list>\n", "+list:a b:a=1 c:d=2 - ", OK },
        { "<list xmlns='a' xmlns:p='q'><list><p:b>1</p:b></list><list/></list>", "+list:a +list:a b:q=1 - +list:a - - ", OK },
        { "<list><p:list xmlns:p='q'><b><p:c/></b></p:list><b/></list>", "+list: +list:q b:= - b:= - ", OK },
        { "<list><b>1<!-- > </b> -->2<![CDATA[</b><!-- -->]]></b></list>", "+list: b:=12</b><!-- --> - ", OK },
        { "<list><b x='>' y=\"/>\">1</b><b x='/'/></list>", "+list: b:=1 b:= - ", OK },
        { "<list><b>&nbsp;</b><c>1</c></list>", "+list: !b c:=1 - ", OK },
        { "<list><b>12345678901234567890123456789012345678901234567890</b><c>1</c></list>", "+list: !b c:=1 - ", OK },
        { "<b>1</b>", "b:=1 ", OK },
        { "<!DOCTYPE a><list/>", "", ERR_UNSUPPORTED },
        { "<list><b>1</b>", "+list: b:=1 ", ERR_INVALID },
        { "<list><b>1</c>", "+list: !b ", ERR_INVALID },
        { "<list/><list/>", "+list: - ", ERR_INVALID },
        { "</list>", "", ERR_INVALID },
        { "", "", ERR_INVALID },
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (size_t step = 1; step < 200; step += 7) {
            struct arena a;
            enum err     e = OK;

            arena_init(&a);
            if (!CHECK_STR(t, cases[i].want, story(&a, cases[i].text, step, 50, &e)) || !CHECK_INT(t, cases[i].e, e))
                printf("    in: %s\n", cases[i].text);
            arena_done(&a);
        }
}

static void a_file_larger_than_memory_is_read(struct test *t)
{
    struct buf   b;
    struct arena a;
    enum err     e = OK;
    struct str   s;

    arena_init(&a);
    buf_init(&b, 0);
    BUF_LIT(&b, "<list>");
    for (int i = 0; i < 100000; i++)
        buf_printf(&b, "<!-- %d --><b>%d</b>\n", i, i);
    BUF_LIT(&b, "<b>");
    for (int i = 0; i < 300000; i++)
        BUF_LIT(&b, "0123456789");
    BUF_LIT(&b, "</b><c/></list>\0");
    s = story(&a, b.p, 100000, 1000, &e);
    CHECK_OK(t, e);
    CHECK(t, str_ends(s, STR("b:=99999 !b c:= - ")));
    buf_done(&b);
    arena_done(&a);
}

TEST_MAIN(TEST(elements_come_one_by_one), TEST(a_file_larger_than_memory_is_read))
