/* test_profile.c: promise 4 where it is decided: who sees which profile, and that everything uncertain is the minimal one.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include "base/fault.h"
#include "base/test.h"
#include "talk/feature.h"
#include "talk/profile.h"

extern const struct feature xep0292_profiles, rfc6121_roster;

enum { ALICE = 7 };
static const struct str alice = {"alice@x", 7}, bob = {"bob@x", 5}, carol = {"carol@x", 7},
                        dave = {"dave@x", 6};

static struct db_conn *town(struct test *t, struct arena *a)
{
    char path[128];
    struct db_settings s = {.path = path};
    struct db_conn *c = NULL;
    struct str why = STR_NULL;

    snprintf(path, sizeof path, "%s/talk.db", test_dir(t));
    CHECK_OK(t, db_conn_open(&s, true, &c, a, &why));
    for (const struct db_migration *m = xep0292_profiles.migrations; m->number; m++)
        CHECK_OK(t, db_exec(c, m->sql));
    for (const struct db_migration *m = rfc6121_roster.migrations; m->number; m++)
        CHECK_OK(t, db_exec(c, m->sql));
    /* bob and carol see alice's presence, dave does not any more; bob and dave have profile 1 */
    CHECK_OK(
        t,
        db_exec(c, "INSERT INTO roster(owner, jid, subscription, flags, version) VALUES (7, 'bob@x', 3, 4, "
                   "1), (7, 'carol@x', 2, 4, 1), (7, 'dave@x', 1, 4, 1);"
                   "INSERT INTO profile(owner, number, name, status, photo, photo_type, photo_id, "
                   "photo_bytes) VALUES"
                   " (7, 1, 'One', 'first', 'AAAA', 'image/png', 'id1', 3), (7, 2, 'Two', 'second', 'BBBB', "
                   "'image/png', 'id2', 3);"
                   "INSERT INTO profile_viewer(owner, jid, number) VALUES (7, 'bob@x', 1), (7, 'dave@x', 1);"
                   "INSERT INTO profile_head(owner, version) VALUES (7, 3);"));
    return c;
}

static struct str name_for(struct db_conn *c, struct arena *a, bool newest, struct str viewer,
                           enum profile_kind *kind)
{
    struct profile_view v = profile_for(c, newest, ALICE, alice, viewer);
    struct profile p = {0};

    if (v.kind == PROFILE_OTHER || v.kind == PROFILE_MINIMAL)
        profile_read(c, a, &v, &p);
    *kind = v.kind;
    return p.name;
}

static void everyone_sees_their_own(struct test *t)
{
    enum profile_kind k;
    struct arena a;
    struct db_conn *c;

    arena_init(&a);
    c = town(t, &a);
    name_for(c, &a, true, alice, &k);
    CHECK_INT(t, PROFILE_OWN, k);
    CHECK_STR(t, "One", name_for(c, &a, true, bob, &k));
    CHECK_INT(t, PROFILE_OTHER, k);
    name_for(c, &a, true, carol, &k);
    CHECK_INT(t, PROFILE_BASIC, k);
    name_for(c, &a, true, STR("stranger@y"), &k);
    CHECK_INT(t, PROFILE_BASIC, k);
    CHECK_STR(t, "alice", name_for(c, &a, true, dave, &k)); /* no contact any more */
    CHECK_INT(t, PROFILE_MINIMAL, k);
    db_conn_close(&c);
    arena_done(&a);
}

/* A replica, a reader of a shared database: what it says may be old. */
static void what_may_be_old_is_minimal(struct test *t)
{
    enum profile_kind k;
    struct arena a;
    struct db_conn *c;

    arena_init(&a);
    c = town(t, &a);
    CHECK_STR(t, "alice", name_for(c, &a, false, bob, &k));
    CHECK_STR(t, "alice", name_for(c, &a, false, carol, &k));
    CHECK_INT(t, PROFILE_MINIMAL, k);
    db_conn_close(&c);
    arena_done(&a);
}

/* Whichever read fails. */
static void a_failed_read_is_minimal(struct test *t)
{
    struct arena a;
    struct db_conn *c;
    bool fired = true;

    arena_init(&a);
    c = town(t, &a);
    for (int nth = 1; fired; nth++) {
        enum profile_kind k;
        struct str name;

        fault_arm("profile.read", nth, ERR_IO);
        name = name_for(c, &a, true, bob, &k);
        fired = fault_disarm("profile.read");
        CHECK_STR(t, fired ? "alice" : "One", name);
    }
    db_conn_close(&c);
    arena_done(&a);
}

/* The audiences change between the question and the last thing read. */
static void a_change_in_the_middle_is_minimal(struct test *t)
{
    struct profile_view v;
    struct profile p;
    struct arena a;
    struct db_conn *c;

    arena_init(&a);
    c = town(t, &a);
    v = profile_for(c, true, ALICE, alice, carol);
    CHECK(t, profile_still(c, &v));
    CHECK_OK(t, db_exec(c, "INSERT INTO profile_viewer(owner, jid, number) VALUES (7, 'carol@x', 2);"
                           "UPDATE profile_head SET version = version + 1;"));
    CHECK(t, !profile_still(c, &v));
    v = profile_for(c, true, ALICE, alice, bob);
    CHECK_OK(t, db_exec(c, "UPDATE profile_viewer SET number = 2 WHERE jid = 'bob@x'; UPDATE profile_head "
                           "SET version = version + 1;"));
    profile_read(c, &a, &v, &p);
    CHECK_STR(t, "alice", p.name);
    CHECK(t, p.photo.p == NULL && p.status.p == NULL);
    db_conn_close(&c);
    arena_done(&a);
}

/* There and back again: the same answer, but not the same moment. */
static void a_change_and_its_undoing_are_seen(struct test *t)
{
    struct profile_view v;
    struct arena a;
    struct db_conn *c;

    arena_init(&a);
    c = town(t, &a);
    v = profile_for(c, true, ALICE, alice, carol);
    CHECK_OK(t, db_exec(c, "UPDATE profile_head SET version = version + 2;"));
    CHECK(t, !profile_still(c, &v));
    db_conn_close(&c);
    arena_done(&a);
}

/* Rows that nobody of us has written. */
static void a_profile_that_is_none_is_minimal(struct test *t)
{
    enum profile_kind k;
    struct arena a;
    struct db_conn *c;

    arena_init(&a);
    c = town(t, &a);
    CHECK_OK(t, db_exec(c, "UPDATE profile_viewer SET number = 3 WHERE jid = 'bob@x';"));
    CHECK_STR(t, "alice", name_for(c, &a, true, bob, &k));
    CHECK_OK(t, db_exec(c, "UPDATE profile_viewer SET number = -1 WHERE jid = 'bob@x';"));
    CHECK_STR(t, "alice", name_for(c, &a, true, bob, &k));
    CHECK_OK(t, db_exec(c, "DROP TABLE profile_viewer;"));
    CHECK_STR(t, "alice", name_for(c, &a, true, carol, &k));
    db_conn_close(&c);
    arena_done(&a);
}

static void the_minimal_profile_has_no_photo_anywhere(struct test *t)
{
    static const char *const nodes[] = {NODE_AVATAR_METADATA, NODE_NICK, NODE_VCARD4, NULL};
    struct profile_view v = {.local = STR("alice")};
    struct profile p;
    struct arena a;
    struct str id, xml;

    arena_init(&a);
    profile_minimal(&v, &p);
    for (int i = 0; nodes[i]; i++) {
        CHECK(t, profile_put_item(&a, &p, str_of(nodes[i]), &id, &xml));
        CHECK(t, !memmem(xml.p, xml.len, "info", 4));
    }
    CHECK(t, !profile_put_item(&a, &p, STR(NODE_AVATAR_DATA), &id, &xml));
    arena_done(&a);
}

TEST_MAIN(TEST(everyone_sees_their_own), TEST(what_may_be_old_is_minimal), TEST(a_failed_read_is_minimal),
          TEST(a_change_in_the_middle_is_minimal), TEST(a_change_and_its_undoing_are_seen),
          TEST(a_profile_that_is_none_is_minimal), TEST(the_minimal_profile_has_no_photo_anywhere))
