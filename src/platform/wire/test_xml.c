/* test_xml.c: pieces of a stream, trees, and what is refused and why. Against
 * expat, on endless inputs: fuzz_xml_expat.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "wire/xml.h"

#define HEADER \
    "<?xml version='1.0'?>\n<stream:stream xmlns='jabber:client' " \
    "xmlns:stream='http://etherx.jabber.org/streams' to='town.example'>"

/* ---- pieces ---- */

/* Scans byte by byte and writes what comes out: O E S C and the fault. */
static const char *pieces(const char *text, uint32_t bytes_max, bool framed)
{
    static char     out[256];
    struct xml_scan s;
    size_t          from = 0, n = 0, len = strlen(text);

    if (framed)
        xml_scan_init_framed(&s, bytes_max);
    else
        xml_scan_init(&s, bytes_max);
    for (size_t have = 1; have <= len && n < 200; have++) {
        struct xml_piece p = xml_scan(&s, str_make(text + from, have - from));

        if (p.kind == XML_PIECE_NONE)
            continue;
        if (p.kind == XML_PIECE_FAULT)
            n += (size_t)snprintf(out + n, 50, "!%s", xml_fault_condition(p.fault));
        else
            out[n++] = "-OESC"[p.kind];
        if (p.kind == XML_PIECE_FAULT)
            break;
        from += p.bytes;
    }
    out[n] = '\0';
    return out;
}

static void a_stream_is_cut_into_pieces(struct test *t)
{
    static const char *const cases[][2] = {
        { HEADER, "O" },
        { "\xEF\xBB\xBF" HEADER "<a/>", "OE" },
        { HEADER "<a/><b></b>", "OEE" },
        { HEADER " \n<a><a/></a>", "OSSE" },
        { HEADER "<a b='>' c=\"'/>\">x</a>", "OE" },
        { HEADER "<a><![CDATA[</a>]]]><![CDATA[]]></a>", "OE" },
        { HEADER "<a></stream:stream>", "OE" },     /* the parser judges names */
        { HEADER "</stream:stream>", "OC" },
        { HEADER "</stream:stream>\n<a/>", "OCS!not-well-formed" },
        { "\n" HEADER, "SO" },                      /* left over from before a restart */
        { "<stream:stream>", "O" },
        { "<stream:stream/>", "!not-well-formed" },
        { "</stream:stream>", "!not-well-formed" },
        { HEADER "x", "O!not-well-formed" },
        { HEADER "<!-- -->", "O!restricted-xml" },
        { HEADER "<a><!-- -->", "O!restricted-xml" },
        { HEADER "<![CDATA[", "O!not-well-formed" },
        { HEADER "<?pi?>", "O!restricted-xml" },
        { HEADER "<?xml version='1.0'?>", "O!restricted-xml" },
        { "<?xml-stylesheet?>", "!restricted-xml" },
        { "<?xml version='1.0'?><!DOCTYPE a>", "!restricted-xml" },
        { "<a <b>", "!not-well-formed" },
        { HEADER "<>", "O!not-well-formed" },
        { HEADER "< a>", "O!not-well-formed" },
        { "GET / HTTP/1.1", "!not-well-formed" },
        { "\xFF\xFE<", "!unsupported-encoding" },
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!CHECK_STR(t, cases[i][1], str_of(pieces(cases[i][0], 1000, false))))
            printf("    %s\n", cases[i][0]);
}

static void frames_need_no_stream(struct test *t)
{
    CHECK_STR(t, "EE", str_of(pieces("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing'/><a>x</a>", 100, true)));
    CHECK_STR(t, "!not-well-formed", str_of(pieces("</a>", 100, true)));
    CHECK_STR(t, "!restricted-xml", str_of(pieces("<?xml version='1.0'?><a/>", 100, true)));
}

static void a_piece_past_the_bound_is_refused_at_once(struct test *t)
{
    struct xml_scan  s;
    struct xml_piece p;

    CHECK_STR(t, "E", str_of(pieces("<a>4567</a>", 11, true)));
    CHECK_STR(t, "!policy-violation", str_of(pieces("<a>45678</a>", 11, true)));
    xml_scan_init_framed(&s, 11);
    CHECK_INT(t, XML_PIECE_NONE, xml_scan(&s, STR("<a>4567890")).kind);
    p = xml_scan(&s, STR("<a>45678901"));
    CHECK_INT(t, XML_PIECE_FAULT, p.kind);
    CHECK_INT(t, XML_POLICY_VIOLATION, p.fault);
    CHECK_INT(t, XML_PIECE_FAULT, xml_scan(&s, STR("<a/>")).kind);     /* and stays refused */
}

static void depth_is_bounded_while_scanning(struct test *t)
{
    char            text[(XML_DEPTH_MAX + 2) * 3 + 1] = "";
    struct xml_scan s;

    for (int i = 0; i < XML_DEPTH_MAX + 2; i++)
        strcat(text, "<a>");
    xml_scan_init_framed(&s, 10000);
    CHECK_INT(t, XML_PIECE_NONE, xml_scan(&s, str_make(text, (XML_DEPTH_MAX + 1) * 3)).kind);
    CHECK_INT(t, XML_POLICY_VIOLATION, xml_scan(&s, str_of(text)).fault);
}

/* ---- trees ---- */

static struct arena arena;

static enum xml_fault parse(const char *text, struct xml_node **n)
{
    return xml_parse(&arena, str_of(text), NULL, n);
}

static void a_stanza_becomes_a_tree(struct test *t)
{
    struct xml_scope scope = { .default_ns = STR("jabber:client") };
    struct xml_node *n, *body;

    CHECK_INT(t, XML_FINE, xml_parse(&arena, STR(" <message to='bob@town' xml:lang='ko'><body>Hi &lt;b&gt;</body>"
                                                 "<x xmlns='urn:x' a='1'><y/></x>tail</message>\n"), &scope, &n));
    CHECK(t, xml_is(n, "message", "jabber:client") && !xml_is(n, "message", "urn:x"));
    CHECK_STR(t, "bob@town", xml_attr(n, "to"));
    CHECK(t, xml_attr(n, "from").p == NULL && xml_attr(n, "lang").p == NULL);
    CHECK_INT(t, 2, n->attr_count);
    CHECK_STR(t, "http://www.w3.org/XML/1998/namespace", n->attrs[1].ns);
    body = xml_first(n);
    CHECK_STR(t, "body", body->name);
    CHECK_STR(t, "ko", body->lang);
    CHECK_STR(t, "Hi <b>", xml_text(&arena, body));
    CHECK_STR(t, "Hi &lt;b&gt;", body->raw_inner);
    CHECK_STR(t, "<body>Hi &lt;b&gt;</body>", body->raw);
    CHECK_STR(t, "Hi <b>", xml_child_text(&arena, n, "body", NULL));
    CHECK(t, xml_child_text(&arena, n, "subject", NULL).p == NULL);
    CHECK_STR(t, "x", xml_next(body)->name);
    CHECK(t, xml_next(body)->own_default && !body->own_default);
    CHECK(t, xml_child(xml_child(n, "x", "urn:x"), "y", "urn:x") != NULL);
    CHECK_STR(t, "tail", xml_text(&arena, n));
    CHECK(t, xml_next(xml_next(body)) == NULL);
    arena_done(&arena);
}

static void text_is_decoded_and_line_ends_made_one(struct test *t)
{
    static const char *const cases[][2] = {
        { "<a>plain</a>", "plain" },
        { "<a>&amp;&lt;&gt;&quot;&apos;</a>", "&<>\"'" },
        { "<a>&#65;&#x42;&#x1F600;&#0067;</a>", "AB\xF0\x9F\x98\x80" "C" },
        { "<a>1\r\n2\r3\n4&#13;5</a>", "1\n2\n3\n4\r5" },
        { "<a>x<![CDATA[<&]]\r\n>]]>y</a>", "x<&]]\n>y" },
        { "<a>]]<![CDATA[>]]></a>", "]]>" },
        { "<a><![CDATA[]]></a>", "" },
        { "<a>a > b ] ]] \"'</a>", "a > b ] ]] \"'" },
        { "<a>\xEC\x95\x88\xEB\x85\x95 \xF4\x8F\xBF\xBF\x7F</a>", "\xEC\x95\x88\xEB\x85\x95 \xF4\x8F\xBF\xBF\x7F" },
        { "<a>1<b/>2</a>", "12" },
    };
    struct xml_node *n;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!CHECK_INT(t, XML_FINE, parse(cases[i][0], &n)) || !CHECK_STR(t, cases[i][1], xml_text(&arena, n)))
            printf("    %s\n", cases[i][0]);
        arena_reset(&arena);
    }
    CHECK_INT(t, XML_FINE, parse("<a b=' x\ty\nz\r\nw\r&#9;&#10;&lt;\"> '/>", &n));
    CHECK_STR(t, " x y z w \t\n<\"> ", xml_attr(n, "b"));
    arena_done(&arena);
}

static void each_fault_has_its_name(struct test *t)
{
    static const struct { const char *text; enum xml_fault fault; } cases[] = {
        { "", XML_NOT_WELL_FORMED }, { "x", XML_NOT_WELL_FORMED }, { "<", XML_NOT_WELL_FORMED },
        { "<a", XML_NOT_WELL_FORMED }, { "<a>", XML_NOT_WELL_FORMED }, { "<a></b>", XML_NOT_WELL_FORMED },
        { "<a></a", XML_NOT_WELL_FORMED }, { "<a></a/>", XML_NOT_WELL_FORMED }, { "<a/><b/>", XML_NOT_WELL_FORMED },
        { "<a/>x", XML_NOT_WELL_FORMED }, { "<1/>", XML_NOT_WELL_FORMED }, { "<a b/>", XML_NOT_WELL_FORMED },
        { "<a b=c/>", XML_NOT_WELL_FORMED }, { "<a b='1'c='2'/>", XML_NOT_WELL_FORMED },
        { "<a b='1' b='2'/>", XML_NOT_WELL_FORMED }, { "<a b='<'/>", XML_NOT_WELL_FORMED },
        { "<a b='&'/>", XML_NOT_WELL_FORMED }, { "<a b='1/>", XML_NOT_WELL_FORMED }, { "<a / >", XML_NOT_WELL_FORMED },
        { "<a>]]></a>", XML_NOT_WELL_FORMED }, { "<a>\x01</a>", XML_NOT_WELL_FORMED },
        { "<a>&#1;</a>", XML_NOT_WELL_FORMED }, { "<a>&#xD800;</a>", XML_NOT_WELL_FORMED },
        { "<a>&#x110000;</a>", XML_NOT_WELL_FORMED }, { "<a>&#99999999999999;</a>", XML_NOT_WELL_FORMED },
        { "<a>&#;</a>", XML_NOT_WELL_FORMED }, { "<a>&#X41;</a>", XML_NOT_WELL_FORMED },
        { "<a>&amp</a>", XML_NOT_WELL_FORMED }, { "<a>& </a>", XML_NOT_WELL_FORMED },
        { "<a>\xEF\xBF\xBF</a>", XML_NOT_WELL_FORMED }, { "<a><![CDATA[x</a>", XML_NOT_WELL_FORMED },
        { "<a><![CDAT[x]]></a>", XML_NOT_WELL_FORMED },
        /* namespaces */
        { "<p:a/>", XML_NOT_WELL_FORMED }, { "<a p:b=''/>", XML_NOT_WELL_FORMED }, { "<:a/>", XML_NOT_WELL_FORMED },
        { "<a:/>", XML_NOT_WELL_FORMED }, { "<a:b:c xmlns:a='u'/>", XML_NOT_WELL_FORMED },
        { "<a xmlns:p=''/>", XML_NOT_WELL_FORMED }, { "<a xmlns:p='u' xmlns:p='u'/>", XML_NOT_WELL_FORMED },
        { "<a xmlns='u' xmlns='u'/>", XML_NOT_WELL_FORMED }, { "<a xmlns:xmlns='u'/>", XML_NOT_WELL_FORMED },
        { "<a xmlns:xml='u'/>", XML_NOT_WELL_FORMED }, { "<xmlns:a/>", XML_NOT_WELL_FORMED },
        { "<a xmlns='http://www.w3.org/2000/xmlns/'/>", XML_NOT_WELL_FORMED },
        { "<a xmlns='http://www.w3.org/XML/1998/namespace'/>", XML_NOT_WELL_FORMED },
        { "<a xmlns:p='u' xmlns:q='u' p:b='' q:b=''/>", XML_NOT_WELL_FORMED },
        { "<a><p:b xmlns:p='u'/><p:c/></a>", XML_NOT_WELL_FORMED },
        /* RFC 6120 §11.1 */
        { "<!-- x --><a/>", XML_RESTRICTED_XML }, { "<a><!-- x --></a>", XML_RESTRICTED_XML },
        { "<a><?x y?></a>", XML_RESTRICTED_XML }, { "<!DOCTYPE a><a/>", XML_RESTRICTED_XML },
        { "<a>&nbsp;</a>", XML_RESTRICTED_XML }, { "<a b='&foo;'/>", XML_RESTRICTED_XML },
        { "<a/><!-- x -->", XML_RESTRICTED_XML },
        { "<a>\xC0\xBC</a>", XML_UNSUPPORTED_ENCODING }, { "<a>\xE9</a>", XML_UNSUPPORTED_ENCODING },
        { "<a b='\xED\xA0\x80'/>", XML_UNSUPPORTED_ENCODING }, { "<a\xFF/>", XML_UNSUPPORTED_ENCODING },
        { "<a><![CDATA[\x80]]></a>", XML_UNSUPPORTED_ENCODING },
    };
    struct xml_node *n;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (!CHECK_INT(t, cases[i].fault, parse(cases[i].text, &n)) || !CHECK(t, n == NULL))
            printf("    %s\n", cases[i].text);
        arena_reset(&arena);
    }
    arena_done(&arena);
}

/* Repeats `part` `count` times between `before` and `after`. */
static struct str repeated(const char *before, const char *part, int count, const char *after)
{
    struct buf b;
    struct str text;

    buf_init(&b, 0);
    buf_put_z(&b, before);
    for (int i = 0; i < count; i++) {
        const char *number = strchr(part, '#');

        buf_put(&b, part, number ? (size_t)(number - part) : strlen(part));
        if (number)
            buf_printf(&b, "%d%s", i, number + 1);
    }
    buf_put_z(&b, after);
    text = arena_str(&arena, buf_str(&b));
    buf_done(&b);
    return text;
}

static enum xml_fault parse_str(struct str text)
{
    struct xml_node *n;

    return xml_parse(&arena, text, NULL, &n);
}

static void every_bound_holds_exactly(struct test *t)
{
    struct str deep = repeated("", "<a>", XML_DEPTH_MAX + 1, "");
    struct str closed = repeated("", "</a>", XML_DEPTH_MAX + 1, "");

    CHECK_INT(t, XML_FINE, parse_str(arena_printf(&arena, "%s%s", deep.p, closed.p)));
    CHECK_INT(t, XML_POLICY_VIOLATION, parse_str(arena_printf(&arena, "%s<a/>%s", deep.p, closed.p)));
    CHECK_INT(t, XML_FINE, parse_str(repeated("<a", " b#=''", XML_ATTRS_MAX, "/>")));
    CHECK_INT(t, XML_POLICY_VIOLATION, parse_str(repeated("<a", " b#=''", XML_ATTRS_MAX + 1, "/>")));
    CHECK_INT(t, XML_FINE, parse_str(repeated("<a>", "<b/>", XML_NODES_MAX - 1, "</a>")));
    CHECK_INT(t, XML_POLICY_VIOLATION, parse_str(repeated("<a>", "<b/>", XML_NODES_MAX, "</a>")));
    CHECK_INT(t, XML_FINE, parse_str(repeated("<a", " xmlns:b#='u'", XML_PREFIXES_MAX, "/>")));
    CHECK_INT(t, XML_POLICY_VIOLATION, parse_str(repeated("<a", " xmlns:b#='u'", XML_PREFIXES_MAX + 1, "/>")));
    /* prefixes no longer in scope do not count */
    CHECK_INT(t, XML_FINE, parse_str(repeated("<a>", "<b xmlns:p='u'/>", 100, "</a>")));
    arena_done(&arena);
}

static void a_header_declares_for_the_stream(struct test *t)
{
    struct xml_scope scope;
    struct xml_node *n;

    CHECK_INT(t, XML_FINE, xml_parse_open(&arena, STR("\xEF\xBB\xBF" HEADER), &scope, &n));
    CHECK(t, xml_is(n, "stream", "http://etherx.jabber.org/streams"));
    CHECK_STR(t, "town.example", xml_attr(n, "to"));
    CHECK_STR(t, "jabber:client", scope.default_ns);
    CHECK_INT(t, 1, scope.prefix_count);
    CHECK_STR(t, "stream", scope.prefixes[0].prefix);
    CHECK_INT(t, XML_FINE, xml_parse(&arena, STR("<stream:error><a/></stream:error>"), &scope, &n));
    CHECK(t, xml_is(n, "error", "http://etherx.jabber.org/streams") && n->outer_prefix && !n->child->outer_prefix);
    CHECK_STR(t, "jabber:client", n->child->ns);
    arena_done(&arena);
}

static void declarations_are_judged(struct test *t)
{
    static const struct { const char *text; enum xml_fault fault; } cases[] = {
        { "<?xml version='1.0' encoding='UTF-8' standalone='yes'?><a>", XML_FINE },
        { "<?xml version=\"1.0\" encoding=\"utf-8\" ?><a>", XML_FINE },
        { "<?xml version = '1.0'?>\n <a b='c'>", XML_FINE },
        { "<?xml version='1.0' encoding='iso-8859-1'?><a>", XML_UNSUPPORTED_ENCODING },
        { "<?xml version='2.0'?><a>", XML_NOT_WELL_FORMED }, { "<?xml encoding='utf-8'?><a>", XML_NOT_WELL_FORMED },
        { "<?xml version='1.0'encoding='utf-8'?><a>", XML_NOT_WELL_FORMED },
        { "<?xml version='1.0' more=''?><a>", XML_NOT_WELL_FORMED }, { "<?xml?><a>", XML_RESTRICTED_XML },
        { "<?xml version='1.0' standalone='maybe'?><a>", XML_NOT_WELL_FORMED },
        { "<a/>", XML_NOT_WELL_FORMED }, { "<a><b>", XML_NOT_WELL_FORMED }, { "<a", XML_NOT_WELL_FORMED },
        { "", XML_NOT_WELL_FORMED }, { "<p:a>", XML_NOT_WELL_FORMED },
    };
    struct xml_scope scope;
    struct xml_node *n;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (!CHECK_INT(t, cases[i].fault, xml_parse_open(&arena, str_of(cases[i].text), &scope, &n)))
            printf("    %s\n", cases[i].text);
    arena_done(&arena);
}

/* ---- writing ---- */

static void a_written_element_stands_in_another_stream(struct test *t)
{
    static const char *const cases[][2] = {
        /* as it came */
        { "<a b='1'>x<b/></a>", "<a b='1'>x<b/></a>" },
        { "<s:x xmlns:s='urn:s' xmlns='urn:y'><s:y/></s:x>", "<s:x xmlns:s='urn:s' xmlns='urn:y'><s:y/></s:x>" },
        /* a prefix of the stream's: declared anew */
        { "<s:error><s:b/><c k='&lt;'/></s:error>",
          "<error xmlns='urn:s'><b/><c xmlns='jabber:client' k='&lt;'/></error>" },
        { "<a><b s:k='1' xml:lang='ko'>&lt;\r</b></a>",
          "<a><b xmlns:a0='urn:s' a0:k='1' xml:lang='ko'>&lt;\n</b></a>" },
        /* a prefix declared outside the part that is copied */
        { "<a xmlns:p='urn:p'><p:b/></a>", "<a xmlns:p='urn:p'><p:b/></a>" },
    };
    struct xml_scope scope = { .default_ns = STR("jabber:client"), .prefix_count = 1 };
    struct xml_node *n;

    scope.prefixes[0].prefix = STR("s");
    scope.prefixes[0].ns = STR("urn:s");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;

        buf_init(&b, 0);
        if (CHECK_INT(t, XML_FINE, xml_parse(&arena, str_of(cases[i][0]), &scope, &n)))
            xml_put_node(&b, n, STR("jabber:client"));
        CHECK_STR(t, cases[i][1], buf_str(&b));
        buf_done(&b);
    }
    arena_done(&arena);
}

static void another_default_namespace_is_declared(struct test *t)
{
    struct xml_scope scope = { .default_ns = STR("jabber:client") };
    struct xml_node *n;
    struct buf       b;

    buf_init(&b, 0);
    CHECK_INT(t, XML_FINE, xml_parse(&arena, STR("<message><body/><x xmlns='urn:x'/></message>"), &scope, &n));
    xml_put_node(&b, n, STR("jabber:server"));
    CHECK_STR(t, "<message xmlns='jabber:client'><body/><x xmlns='urn:x'/></message>", buf_str(&b));
    buf_clear(&b);
    CHECK_INT(t, XML_FINE, xml_parse(&arena, STR("<a xmlns:p='urn:p'><p:b><c/></p:b></a>"), &scope, &n));
    xml_put_node(&b, n->child, STR("jabber:client"));
    CHECK_STR(t, "<b xmlns='urn:p'><c xmlns='jabber:client'/></b>", buf_str(&b));
    buf_done(&b);
    arena_done(&arena);
}

static void a_stanza_gets_other_addresses(struct test *t)
{
    struct xml_scope scope = { .default_ns = STR("jabber:client") };
    struct xml_node *n;
    struct buf       b;

    buf_init(&b, 0);
    CHECK_INT(t, XML_FINE, xml_parse(&arena, STR("<iq from='me' to='you' id='1' type='get' xml:lang='ko' odd='x'> text <q xmlns='urn:q'/></iq>"), &scope, &n));
    xml_put_stanza(&b, n, STR("a@b"), STR("c@d"), STR("jabber:client"));
    CHECK_STR(t, "<iq from='a@b' to='c@d' id='1' type='get' xml:lang='ko'><q xmlns='urn:q'/></iq>", buf_str(&b));
    buf_done(&b);
    arena_done(&arena);
}

/* What an element's own bytes say of its namespace is not said any more, also by those around it. */
static void a_namespace_becomes_another_one(struct test *t)
{
    struct xml_node *n;
    struct buf       b;

    buf_init(&b, 0);
    CHECK_INT(t, XML_FINE, xml_parse(&arena, STR("<m xmlns='urn:old' xmlns:p='urn:p' p:k='1'><b>hi</b><x xmlns='urn:x'><c xmlns='urn:old'/></x></m>"), NULL, &n));
    CHECK(t, xml_rename_ns(n, "urn:old", STR("urn:new")));
    CHECK(t, !xml_rename_ns(n, "urn:old", STR("urn:new")));
    xml_put_node(&b, n, STR("urn:new"));
    CHECK_STR(t, "<m xmlns:a0='urn:p' a0:k='1'><b>hi</b><x xmlns='urn:x'><c xmlns='urn:new'/></x></m>", buf_str(&b));
    buf_done(&b);
    arena_done(&arena);
}

static void written_text_is_harmless(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    xml_put_escaped(&b, STR("a<b>&\"'\r\n\x01"));
    xml_put_attr(&b, "k", STR("1'\n\t"));
    xml_put_attr(&b, "none", STR_NULL);
    xml_put_attr(&b, "empty", STR(""));
    CHECK_STR(t, "a&lt;b&gt;&amp;&quot;&apos;&#13;\n\xEF\xBF\xBD k='1&apos;&#10;&#9;' empty=''", buf_str(&b));
    buf_done(&b);
}

TEST_MAIN(TEST(a_stream_is_cut_into_pieces), TEST(frames_need_no_stream),
          TEST(a_piece_past_the_bound_is_refused_at_once), TEST(depth_is_bounded_while_scanning),
          TEST(a_stanza_becomes_a_tree), TEST(text_is_decoded_and_line_ends_made_one), TEST(each_fault_has_its_name),
          TEST(every_bound_holds_exactly), TEST(a_header_declares_for_the_stream), TEST(declarations_are_judged),
          TEST(a_written_element_stands_in_another_stream), TEST(another_default_namespace_is_declared),
          TEST(a_stanza_gets_other_addresses), TEST(a_namespace_becomes_another_one),
          TEST(written_text_is_harmless))
