/* test_forms.c: a form comes back as it was written, and a submission is judged by its table.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/forms.h"

static const struct form_option colours[] = {{"red", "Red"}, {"blue", NULL}, {0}};
static const struct form_row rows[] = {
    {"name", FORM_TEXT, "The name", .required = true, .max = 10},
    {"open", FORM_BOOL, "Open"},
    {"size", FORM_TEXT, "The size", .datatype = "xs:integer", .min = 1, .max = 9},
    {"colour", FORM_LIST, "The colour", .options = colours},
    {"who", FORM_JID_MULTI, "Who"},
    {"words", FORM_TEXT_MULTI, "Words"},
    {"until", FORM_TEXT, "Until", .datatype = "xs:dateTime"},
    {0},
};

static struct xml_node *parse(struct arena *a, const char *text)
{
    struct xml_node *n = NULL;

    return xml_parse(a, arena_str(a, str_of(text)), NULL, &n) == XML_FINE ? n : NULL;
}

static enum err read_text(struct arena *a, const char *fields, struct form *f)
{
    struct str text = arena_printf(a, "<x xmlns='jabber:x:data' type='submit'>%s</x>", fields);

    return form_read(a, parse(a, text.p), f);
}

static void values_are_found_by_name(struct test *t)
{
    struct arena a;
    struct form f;
    struct jid j;

    arena_init(&a);
    CHECK_OK(t, read_text(&a,
                          "<field var='FORM_TYPE'><value>urn:x</value></field><field "
                          "type='fixed'><value>Read this</value></field>"
                          "<field var='name'><value>a &amp; b</value></field><field var='open' "
                          "type='boolean'><value>true</value></field>"
                          "<field var='size'><value>7</value></field><field "
                          "var='words'><value>one</value><value>two</value></field>"
                          "<field var='who'><value>Bob@Town.Example</value></field><field var='none'/>",
                          &f));
    CHECK_STR(t, "urn:x", f.type);
    CHECK_INT(t, 7, f.count);
    CHECK_STR(t, "a & b", form_value(&f, "name"));
    CHECK_INT(t, true, form_bool(&f, "open", false));
    CHECK_INT(t, true, form_bool(&f, "size", true));
    CHECK_INT(t, 7, form_int(&f, "size", -1));
    CHECK_INT(t, -1, form_int(&f, "name", -1));
    CHECK_STR(t, "one\ntwo", form_text(&a, &f, "words"));
    CHECK(t, form_value(&f, "absent").p == NULL && form_value(&f, "none").p != NULL);
    CHECK_INT(t, ERR_NOT_FOUND, form_jid(&a, &f, "none", &j));
    CHECK_OK(t, form_jid(&a, &f, "who", &j));
    CHECK_STR(t, "bob@town.example", j.full);
    arena_done(&a);
}

static void what_is_no_form_is_refused(struct test *t)
{
    static const char *const bad[] = {
        "<y xmlns='jabber:x:data' type='submit'/>",
        "<x xmlns='jabber:x:other' type='submit'/>",
        "<x xmlns='jabber:x:data'/>",
        "<x xmlns='jabber:x:data' type='other'/>",
        "<x xmlns='jabber:x:data' type='submit'><field><value>1</value></field></x>",
        "<x xmlns='jabber:x:data' type='submit'><field var='a'/><field var='a'/></x>",
    };
    struct arena a;
    struct form f;

    arena_init(&a);
    CHECK_INT(t, ERR_INVALID, form_read(&a, NULL, &f));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (!CHECK_INT(t, ERR_INVALID, form_read(&a, parse(&a, bad[i]), &f)))
            printf("    in: %s\n", bad[i]);
    arena_done(&a);
}

static void bounds_hold(struct test *t)
{
    struct arena a;
    struct form f;
    struct buf b;

    arena_init(&a);
    buf_init(&b, 0);
    for (int i = 0; i <= FORM_FIELDS_MAX; i++)
        buf_printf(&b, "<field var='f%d'/>", i);
    buf_put_c(&b, 0);
    CHECK_INT(t, ERR_LIMIT, read_text(&a, b.p, &f));
    buf_clear(&b);
    BUF_LIT(&b, "<field var='f'>");
    for (int i = 0; i <= FORM_VALUES_MAX; i++)
        BUF_LIT(&b, "<value/>");
    BUF_LIT(&b, "</field>\0");
    CHECK_INT(t, ERR_LIMIT, read_text(&a, b.p, &f));
    buf_done(&b);
    arena_done(&a);
}

#define NAME "<field var='name'><value>n</value></field>"

static void a_submission_is_judged_by_its_table(struct test *t)
{
    static const struct {
        const char *fields, *why;
    } cases[] = {
        {NAME, NULL},
        {NAME "<field var='unknown'><value>x</value></field>", NULL},
        {"", "The name is missing"},
        {"<field var='name'><value/></field>", "The name is missing"},
        {"<field var='name'><value>12345678901</value></field>", "The name is too long"},
        {"<field var='name'><value>a</value><value>b</value></field>", "The name has more than one value"},
        {NAME "<field var='open'><value>maybe</value></field>", "Open is neither yes nor no"},
        {NAME "<field var='open'><value>0</value></field>", NULL},
        {NAME "<field var='size'><value>many</value></field>", "The size is no whole number"},
        {NAME "<field var='size'><value>10</value></field>", "The size is out of its range"},
        {NAME "<field var='size'><value/></field>", NULL},
        {NAME "<field var='colour'><value>green</value></field>", "The colour is none of the choices"},
        {NAME "<field var='colour'><value>blue</value></field>", NULL},
        {NAME "<field var='who'><value>a@b</value><value>@@</value></field>", "Who is no address"},
        {NAME "<field var='until'><value>2026-10-15T15:19:00Z</value></field>", NULL},
        {NAME "<field var='until'><value>tomorrow, at nine o'clock</value></field>",
         "Until is no time like 2026-10-15T15:19:00Z"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena a;
        struct form f;
        struct str why = STR_NULL;

        arena_init(&a);
        CHECK_OK(t, read_text(&a, cases[i].fields, &f));
        CHECK_INT(t, cases[i].why ? ERR_INVALID : OK, form_check(&a, &f, rows, &why));
        CHECK_STR(t, cases[i].why ? cases[i].why : "", why.p ? why : STR(""));
        arena_done(&a);
    }
}

static void addresses_become_normal(struct test *t)
{
    struct arena a;
    struct form f;
    struct str why;

    arena_init(&a);
    CHECK_OK(t, read_text(&a, NAME "<field var='who'><value>BOB@Town.Example</value></field>", &f));
    CHECK_OK(t, form_check(&a, &f, rows, &why));
    CHECK_STR(t, "bob@town.example", form_value(&f, "who"));
    arena_done(&a);
}

static void an_empty_form_says_what_it_wants(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    form_open(&b, FORM_EMPTY, "urn:x", "A & B", "Fill it in");
    form_put(&b, FORM_EMPTY, &rows[0], STR_NULL);
    form_put_int(&b, FORM_EMPTY, &rows[1], 1);
    form_put_int(&b, FORM_EMPTY, &rows[2], 3);
    form_put(&b, FORM_EMPTY, &rows[3], STR("red"));
    form_put(&b, FORM_EMPTY, &rows[5], STR("one\ntwo"));
    form_put_fixed(&b, STR("That is all"));
    form_close(&b);
    CHECK_STR(
        t,
        "<x xmlns='jabber:x:data' type='form'><title>A &amp; B</title><instructions>Fill it in</instructions>"
        "<field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>"
        "<field var='name' type='text-single' label='The name'><required/></field>"
        "<field var='open' type='boolean' label='Open'><value>1</value></field>"
        "<field var='size' type='text-single' label='The size'><validate "
        "xmlns='http://jabber.org/protocol/xdata-validate'"
        " datatype='xs:integer'><range min='1' max='9'/></validate><value>3</value></field>"
        "<field var='colour' type='list-single' label='The colour'><value>red</value>"
        "<option label='Red'><value>red</value></option><option><value>blue</value></option></field>"
        "<field var='words' type='text-multi' label='Words'><value>one</value><value>two</value></field>"
        "<field type='fixed'><value>That is all</value></field></x>",
        buf_str(&b));
    buf_done(&b);
}

static void results_are_a_table(struct test *t)
{
    static const struct form_row columns[] = {{"jid", FORM_JID, "Who"}, {"n", FORM_TEXT}, {0}};
    struct buf b;

    buf_init(&b, 0);
    form_open(&b, FORM_RESULT, NULL, NULL, NULL);
    form_put_reported(&b, columns);
    BUF_LIT(&b, "<item>");
    form_put_value(&b, "jid", STR("a@b"));
    form_put_value(&b, "n", STR_NULL);
    BUF_LIT(&b, "</item>");
    form_close(&b);
    CHECK_STR(
        t,
        "<x xmlns='jabber:x:data' type='result'><reported><field var='jid' type='jid-single' label='Who'/>"
        "<field var='n' type='text-single'/></reported><item><field var='jid'><value>a@b</value></field>"
        "<field var='n'></field></item></x>",
        buf_str(&b));
    buf_done(&b);
}

static void a_field_needs_no_table(struct test *t)
{
    struct buf b;

    buf_init(&b, 0);
    form_put_field(&b, FORM_HIDDEN, "FORM_TYPE", NULL, STR("urn:x"));
    form_put_field(&b, FORM_JID, "who", "Who & why", STR_NULL);
    form_put_bool(&b, "open", "Open", false);
    form_field_open(&b, FORM_LIST_MULTI, "colours", NULL);
    form_field_value(&b, STR("red"));
    form_field_value(&b, STR("<blue>"));
    form_field_option(&b, "Red", STR("red"));
    form_field_option(&b, NULL, STR("green"));
    form_field_close(&b);
    CHECK_STR(
        t,
        "<field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>"
        "<field var='who' type='jid-single' label='Who &amp; why'></field>"
        "<field var='open' type='boolean' label='Open'><value>0</value></field>"
        "<field var='colours' type='list-multi'><value>red</value><value>&lt;blue&gt;</value>"
        "<option label='Red'><value>red</value></option><option><value>green</value></option></field>",
        buf_str(&b));
    buf_done(&b);
}

#define TYPED "<field var='FORM_TYPE'><value>urn:a</value></field>"

/* A field that stands there twice is its first, which form_read refuses. */
static void a_form_is_read_where_it_stands(struct test *t)
{
    struct arena a;
    const struct xml_node *m, *x;

    arena_init(&a);
    m = parse(&a, "<m><x xmlns='jabber:x:data' type='submit'><field var='a'><value>1 &lt; 2</value><value>3</value>"
                  "</field><field var='a'><value>4</value></field><field var='none'/></x></m>");
    x = form_submitted(&a, m, "urn:a");
    CHECK(t, x && x == xml_first(m) && form_node(x, "a") == xml_first(x));
    CHECK_STR(t, "1 < 2", form_node_value(&a, x, "a"));
    CHECK(t, form_node_value(&a, x, "none").p && form_node_value(&a, x, "none").len == 0);
    CHECK(t, !form_node_value(&a, x, "b").p && !form_node(x, "b"));
    CHECK(t, !form_submitted(&a, NULL, "urn:a") && !form_submitted(&a, x, "urn:a"));
    m = parse(&a, "<m><x xmlns='jabber:x:data' type='submit'>" TYPED "</x></m>");
    CHECK(t, form_submitted(&a, m, "urn:a") && !form_submitted(&a, m, "urn:b"));
    m = parse(&a, "<m><x xmlns='jabber:x:data' type='form'>" TYPED "</x></m>");
    CHECK(t, !form_submitted(&a, m, "urn:a"));
    arena_done(&a);
}

static void a_form_is_found_by_its_type(struct test *t)
{
    struct arena a;
    const struct xml_node *m, *x;

    arena_init(&a);
    m = parse(
        &a,
        "<m><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:a</value></field></x>"
        "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>urn:b</value></field></x></m>");
    x = form_find(m, "urn:b");
    CHECK(t, x && str_is(xml_attr(x, "type"), "result"));
    CHECK(t, form_find(m, "urn:c") == NULL);
    CHECK(t, form_find(m, NULL) == xml_first(m));
    arena_done(&a);
}

TEST_MAIN(TEST(values_are_found_by_name), TEST(what_is_no_form_is_refused), TEST(bounds_hold),
          TEST(a_submission_is_judged_by_its_table), TEST(addresses_become_normal),
          TEST(an_empty_form_says_what_it_wants), TEST(results_are_a_table),
          TEST(a_field_needs_no_table), TEST(a_form_is_read_where_it_stands), TEST(a_form_is_found_by_its_type))
