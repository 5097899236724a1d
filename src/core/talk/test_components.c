/* test_components.c: the setting that names components, and what is said of one that cannot be.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "base/test.h"
#include "talk/components.h"
#include "talk/feature.h"
#include "talk/host.h"
#include <stdio.h>
#include <stdlib.h>

static struct component_named named[COMPONENTS_MAX];

static struct str wrong(struct test *t, struct arena *a, const char *text)
{
    struct str why = STR_NULL;
    int        count = -1;

    CHECK_INT(t, ERR_INVALID, components_read(a, STR("town.example"), text, named, &count, &why));
    CHECK_INT(t, 0, count);
    CHECK(t, why.len > 0);
    return why;
}

static void names_and_secrets_are_read(struct test *t)
{
    struct arena a;
    struct str   why = STR_NULL;
    int          count;

    arena_init(&a);
    CHECK_OK(t, components_read(&a, STR("town.example"), "", named, &count, &why));
    CHECK_INT(t, 0, count);
    CHECK_OK(t, components_read(&a, STR("town.example"), " IRC.Town.Example  one ,sms.town.example zwei-\xc3\xa4;#", named, &count, &why));
    CHECK_INT(t, 2, count);
    CHECK_STR(t, "irc.town.example", named[0].domain);
    CHECK_STR(t, "one", named[0].secret);
    CHECK_STR(t, "sms.town.example", named[1].domain);
    CHECK_STR(t, "zwei-\xc3\xa4;#", named[1].secret);
    CHECK_OK(t, components_read(&a, STR("town.example"), "rooms.irc.town.example s", named, &count, &why));
    CHECK_INT(t, 1, count);
    arena_done(&a);
}

static void each_mistake_is_told(struct test *t)
{
    struct arena a;
    char         text[COMPONENT_SECRET_BYTES_MAX + 64];
    struct buf   many;

    arena_init(&a);
    CHECK_STR(t, "talk.components: entry 1 (town.example) has a name that is the server's own", wrong(t, &a, "town.example s"));
    CHECK_STR(t, "talk.components: entry 2 (irc.town.example) names somebody who stands there already",
              wrong(t, &a, "irc.town.example s, irc.town.example other"));
    CHECK_STR(t, "talk.components: entry 1 (irc.town.example) has no secret: write the name, a space, and the secret",
              wrong(t, &a, "irc.town.example"));
    CHECK_STR(t, "talk.components: entry 2 is empty", wrong(t, &a, "irc.town.example s,"));
    CHECK_STR(t, "talk.components: entry 1 does not begin with a name below the domain", wrong(t, &a, "irc.other.example s"));
    wrong(t, &a, "irc.town.example a b");
    wrong(t, &a, "irc.town.example a&b");
    wrong(t, &a, "irc..town.example s");
    snprintf(text, sizeof text, "irc.town.example %0*d", COMPONENT_SECRET_BYTES_MAX + 1, 0);
    wrong(t, &a, text);
    buf_init(&many, 0);
    for (int i = 0; i <= COMPONENTS_MAX; i++)
        buf_printf(&many, "%sc%d.town.example s", i ? "," : "", i);
    buf_put_c(&many, '\0');
    wrong(t, &a, many.p);
    buf_done(&many);
    arena_done(&a);
}

/* Who writes the secret first finds it in no log. */
static void a_secret_is_never_told(struct test *t)
{
    static const char *const mistakes[] = { "hunter2 irc.town.example", "irc.town.example hunter2 hunter2", "irc.other.example hunter2",
                                            "irc.town.example 'hunter2'", "irc.town.example hunter2, irc.town.example hunter2", "hunter2" };
    struct arena a;

    arena_init(&a);
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++) {
        struct str why = wrong(t, &a, mistakes[i]);

        CHECK(t, !memmem(why.p, why.len, "hunter2", 7));
    }
    arena_done(&a);
}

static void the_names_of_our_hosts_are_taken(struct test *t)
{
    struct arena a;
    int          hosts = 0;

    arena_init(&a);
    for (size_t i = 0; i < feature_count; i++) {
        char text[128];

        if (!features[i]->host)
            continue;
        snprintf(text, sizeof text, "%s.town.example s", features[i]->host->prefix);
        CHECK(t, str_ends(wrong(t, &a, text), STR("has a name that is the server's own")));
        hosts++;
    }
    CHECK(t, hosts > 0);
    arena_done(&a);
}

TEST_MAIN(TEST(names_and_secrets_are_read), TEST(each_mistake_is_told), TEST(a_secret_is_never_told), TEST(the_names_of_our_hosts_are_taken))
