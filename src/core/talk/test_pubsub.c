/* test_pubsub.c: a node's configuration as a form; how many subscriptions an owner may make.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/pubsub/inner.h"
#include <stdio.h>

static const struct xml_node *parse(struct arena *a, const char *text)
{
    struct xml_node *n = NULL;

    return xml_parse(a, arena_str(a, str_of(text)), NULL, &n) == XML_FINE ? n : NULL;
}

#define FORM(type, fields) "<x xmlns='jabber:x:data' type='" type "'>" fields "</x>"
#define FIELD(var, value) "<field var='" var "'><value>" value "</value></field>"

static void a_submitted_form_is_read(struct test *t)
{
    struct arena a;
    struct form f;
    bool yes;

    arena_init(&a);
    CHECK_OK(
        t,
        form_read(
            &a,
            parse(&a, FORM("submit",
                           FIELD("FORM_TYPE", "urn:x") FIELD(
                               "a", "1&amp;2") "<field var='many'><value>x</value><value>y</value></field>")),
            &f));
    CHECK(t, f.kind == FORM_SUBMIT && f.kind != FORM_CANCEL);
    CHECK_STR(t, "urn:x", f.type);
    CHECK_STR(t, "1&2", form_value(&f, "a"));
    CHECK_INT(t, 2, form_field(&f, "many")->value_count);
    CHECK(t, form_value(&f, "nothing").p == NULL);
    CHECK(t, form_read_bool(STR("true"), &yes) && yes && form_read_bool(STR("0"), &yes) && !yes &&
                 !form_read_bool(STR("maybe"), &yes));
    arena_done(&a);
}

static void two_fields_of_one_name_are_wrong(struct test *t)
{
    struct arena a;
    struct form f;

    arena_init(&a);
    CHECK_INT(t, ERR_INVALID, form_read(&a, parse(&a, FORM("submit", FIELD("a", "1") FIELD("a", "2"))), &f));
    CHECK_INT(t, ERR_INVALID,
              form_read(&a, parse(&a, FORM("submit", "<field><value>1</value></field>")), &f));
    arena_done(&a);
}

/* What is written is read as the same, whatever was set. */
static void a_configuration_survives_being_kept(struct test *t)
{
    struct node_config c, again;
    const struct fault *why;
    struct arena a;
    struct form f;
    struct buf b;

    arena_init(&a);
    buf_init(&b, 0);
    config_defaults(&c, true, STR("n"));
    CHECK_OK(t, form_read(&a,
                          parse(&a, FORM("submit",
                                         FIELD("pubsub#title", "제목 &lt;1&gt;") FIELD(
                                             "pubsub#access_model", "roster") FIELD("pubsub#max_items", "max")
                                             FIELD("pubsub#deliver_payloads",
                                                   "0") "<field "
                                                        "var='pubsub#roster_groups_allowed'><value>a</"
                                                        "value><value>b</value></field>")),
                          &f));
    CHECK(t, config_take(&c, &f, true, true, &why));
    config_write(&b, &c, true, STR("n"));
    config_read(&a, buf_str(&b), true, STR("n"), &again);
    CHECK_STR(t, "제목 <1>", again.title);
    CHECK_INT(t, ACCESS_ROSTER, again.access);
    CHECK_INT(t, PUBSUB_ITEMS_MAX, again.max_items);
    CHECK(t, !again.payloads && again.persist);
    CHECK_INT(t, 2, again.group_count);
    CHECK(t, config_meets(&again, &f));
    buf_done(&b);
    arena_done(&a);
}

/* Somebody else has been at the rows: the node closes. */
static void a_configuration_that_is_none_closes_the_node(struct test *t)
{
    struct node_config c;
    struct arena a;

    arena_init(&a);
    config_read(&a,
                STR("<x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>every"),
                true, STR("n"), &c);
    CHECK_INT(t, ACCESS_WHITELIST, c.access);
    config_read(&a, STR(FORM("submit", FIELD("pubsub#access_model", "presence"))), false, STR("n"), &c);
    CHECK_INT(t, ACCESS_WHITELIST, c.access);
    arena_done(&a);
}

static void what_is_private_is_so_without_being_asked(struct test *t)
{
    struct node_config c;

    config_defaults(&c, true, STR("urn:xmpp:bookmarks:1"));
    CHECK_INT(t, ACCESS_WHITELIST, c.access);
    config_defaults(&c, true, STR("urn:example:tune"));
    CHECK_INT(t, ACCESS_PRESENCE, c.access);
}

/* The bound of an account's subscriptions holds for who makes them for it, too. */
static void an_owner_subscribes_nobody_without_end(struct test *t)
{
    char path[128];
    struct db_settings s = {.path = path};
    struct service at = {.bare = STR("pubsub.x")};
    struct job *j = job_new(NULL, &at);
    struct node_config config;
    struct db_conn *c = NULL;
    struct str why = STR_NULL;
    struct jid bob;
    struct node n;

    snprintf(path, sizeof path, "%s/talk.db", test_dir(t));
    CHECK_OK(t, db_conn_open(&s, true, &c, &j->arena, &why));
    for (const struct db_migration *m = pubsub_migrations; m->number; m++)
        CHECK_OK(t, db_exec(c, m->sql));
    job_asker(j, STR("alice@x"), STR("alice@x/1"), true);
    config_defaults(&config, false, STR("n"));
    CHECK_OK(t, node_insert(j, c, STR("n"), &config, &n));
    CHECK_OK(t, db_exec(c, "INSERT INTO pubsub_subscription(node, bare, jid, state)"
                           " WITH RECURSIVE k(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM k WHERE i < 1000)"
                           " SELECT i, 'bob@x', 'bob@x', 2 FROM k"));
    CHECK_OK(t, jid_parse(&j->arena, STR("bob@x/1000"), &bob));
    CHECK_OK(t, subscription_set(j, c, &n, &bob, SUBSTATE_SUBSCRIBED));
    CHECK(t, !j->fault);
    CHECK_OK(t, jid_parse(&j->arena, STR("bob@x/1001"), &bob));
    CHECK(t, subscription_set(j, c, &n, &bob, SUBSTATE_SUBSCRIBED) != OK);
    CHECK(t, j->fault && strcmp(j->fault->specific, "too-many-subscriptions") == 0);
    db_conn_close(&c);
    job_free(j);
}

TEST_MAIN(TEST(a_submitted_form_is_read), TEST(two_fields_of_one_name_are_wrong),
          TEST(a_configuration_survives_being_kept), TEST(a_configuration_that_is_none_closes_the_node),
          TEST(what_is_private_is_so_without_being_asked), TEST(an_owner_subscribes_nobody_without_end))
