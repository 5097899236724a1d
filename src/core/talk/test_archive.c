/* test_archive.c: one message, two logs; what readers see is the same before, while and after settling.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdio.h>
#include "base/clock.h"
#include "talk/test_log.h"

static struct db_conn *archive_with(struct test *t, struct arena *a, int messages)
{
    struct db_conn *c = log_open(t, a);

    for (int i = 1; i <= messages; i++) {
        char               text[160];
        int                n = snprintf(text, sizeof text, "<message from='alice@x/%d' to='%s'><body>%d</body></message>", i % 2,
                                        i % 3 ? "bob@x" : "carol@x", i);
        struct archive_put p = {
            .id = i * 10, .sender = ALICE, .recipient = i % 3 ? BOB : CAROL,
            .keeps = ARCHIVE_SENDER_KEEPS | ARCHIVE_RECIPIENT_KEEPS, .origin = 1000 + i, .stanza = str_make(text, (size_t)n),
        };
        CHECK_OK(t, archive_write(c, &p));
        CHECK(t, !p.duplicate);
    }
    return c;
}

/* Walks the whole archive in pages of three and compares with what it must be. */
static void all_pages_are_right(struct test *t, struct db_conn *c, int messages, bool backwards)
{
    struct arena          a;
    struct archive_filter f = { .owner = ALICE };
    struct archive_page   page;
    int64_t               want = backwards ? messages * 10 : 10, step = backwards ? -10 : 10;
    int                   seen = 0;

    arena_init(&a);
    do {
        if (!CHECK_OK(t, archive_read(c, &a, &f, 3, backwards, &page)))
            break;
        for (int i = 0; i < page.count; i++, want += step, seen++)
            CHECK_INT(t, want, page.rows[backwards ? page.count - 1 - i : i].id);
        if (page.count == 0)
            break;
        if (backwards)
            f.before_id = page.rows[0].id;
        else
            f.after_id = page.rows[page.count - 1].id;
    } while (!page.complete);
    CHECK_INT(t, messages, seen);
    arena_done(&a);
}

static void pages_are_the_same_wherever_settling_stands(struct test *t)
{
    struct arena    a;
    struct db_conn *c;

    arena_init(&a);
    c = archive_with(t, &a, 20);
    for (int settled = 0; settled <= 20; settled += 5) {
        CHECK_OK(t, archive_settle(c, settled * 10));
        all_pages_are_right(t, c, 20, false);
        all_pages_are_right(t, c, 20, true);
    }
    db_conn_close(&c);
    arena_done(&a);
}

static void a_message_sent_again_lands_once(struct test *t)
{
    struct arena       a;
    struct db_conn    *c;
    struct archive_put again = { .id = 999, .sender = ALICE, .recipient = BOB, .keeps = 3, .origin = 1002,
                                 .stanza = STR("<message></message>") };
    struct archive_put others = { .id = 1000, .sender = BOB, .recipient = ALICE, .keeps = 3, .origin = 1002,
                                  .stanza = STR("<message></message>") };

    arena_init(&a);
    c = archive_with(t, &a, 4);
    CHECK_OK(t, archive_settle(c, 40));     /* before that, archive_recent knows the tail's origin-ids */
    CHECK_OK(t, archive_write(c, &again));
    CHECK(t, again.duplicate);
    CHECK_OK(t, archive_write(c, &others));     /* another sender may use the same id */
    CHECK(t, !others.duplicate);
    db_conn_close(&c);
    arena_done(&a);
}

static void filters_hold_in_log_and_tail(struct test *t)
{
    struct arena          a;
    struct db_conn       *c;
    struct archive_page   page;
    struct archive_filter with_carol = { .owner = ALICE, .peer = CAROL };
    struct archive_filter middle = { .owner = ALICE, .start_us = 50, .end_us = 80 };
    struct archive_filter one_device = { .owner = ALICE, .peer = BOB, .peer_full = STR("alice@x/1") };
    struct archive_filter unknown = { .owner = ALICE, .after_id = 55 };
    struct archive_filter of_bob = { .owner = BOB };
    int64_t               n, first, last;

    arena_init(&a);
    c = archive_with(t, &a, 12);
    CHECK_OK(t, archive_settle(c, 60));
    CHECK_OK(t, archive_read(c, &a, &with_carol, 50, false, &page));
    CHECK_INT(t, 4, page.count);
    CHECK_OK(t, archive_read(c, &a, &middle, 50, false, &page));
    CHECK_INT(t, 4, page.count);
    CHECK(t, page.complete);
    CHECK_OK(t, archive_read(c, &a, &one_device, 50, false, &page));
    CHECK_INT(t, 4, page.count);
    CHECK_OK(t, archive_read(c, &a, &unknown, 50, false, &page));
    CHECK(t, page.missing);
    CHECK_OK(t, archive_count(c, &of_bob, &n));
    CHECK_INT(t, 8, n);
    CHECK_OK(t, archive_ends(c, CAROL, &first, &last));
    CHECK_INT(t, 30, first);
    CHECK_INT(t, 120, last);
    db_conn_close(&c);
    arena_done(&a);
}

static int64_t number(struct db_conn *c, const char *text)
{
    struct db_sql   sql = { text };
    struct db_stmt *s = db_prepare(c, &sql);
    int64_t         n = s && db_step(s) == OK ? db_i64(s, 0) : -1;

    if (s)
        db_done(s);
    return n;
}

static void forget_all(struct test *t, struct db_conn *c, int64_t owner)
{
    bool more = true;

    CHECK_OK(t, archive_forget_tail(c, owner));
    for (int steps = 0; more && steps < 100; steps++)
        CHECK_OK(t, archive_forget_some(c, owner, 2, &more));
    CHECK(t, !more);
}

static void who_leaves_takes_only_their_side(struct test *t)
{
    struct arena          a;
    struct db_conn       *c;
    struct archive_filter of_alice = { .owner = ALICE }, of_bob = { .owner = BOB };
    int64_t               n;

    arena_init(&a);
    c = archive_with(t, &a, 9);
    CHECK_OK(t, archive_settle(c, 50));
    forget_all(t, c, BOB);
    CHECK_OK(t, archive_count(c, &of_bob, &n));
    CHECK_INT(t, 0, n);
    CHECK_OK(t, archive_count(c, &of_alice, &n));
    CHECK_INT(t, 9, n);
    CHECK_INT(t, 9, number(c, "SELECT count(*) FROM message"));
    CHECK_INT(t, 0, number(c, "SELECT count(*) FROM resend WHERE sender = 2"));
    forget_all(t, c, CAROL);
    CHECK_OK(t, archive_settle(c, 1000));
    CHECK_INT(t, 9, number(c, "SELECT count(*) FROM message"));
    forget_all(t, c, ALICE);    /* the last one who had them */
    CHECK_INT(t, 0, number(c, "SELECT count(*) FROM message"));
    CHECK_INT(t, 0, number(c, "SELECT count(*) FROM log"));
    db_conn_close(&c);
    arena_done(&a);
}

/* ---- places given by the database ---- */

static struct archive_put ordered(struct archive_order *o, int64_t sender, int64_t recipient, int64_t origin)
{
    return (struct archive_put){ .order = o, .sender = sender, .recipient = recipient, .origin = origin, .offline = true,
                                 .keeps = ARCHIVE_SENDER_KEEPS | ARCHIVE_RECIPIENT_KEEPS, .stanza = STR("<message></message>") };
}

/* One transaction; tools' connections do not count theirs, so the order is told by hand. */
static void commit_all(struct test *t, struct db_conn *c, struct archive_order *o, struct archive_put *puts, int count)
{
    CHECK_OK(t, db_exec(c, "BEGIN"));
    o->transaction = db_transaction(c) - 1;
    for (int i = 0; i < count; i++)
        CHECK_OK(t, archive_write(c, &puts[i]));
    CHECK_OK(t, archive_order_close(c, o));
    CHECK_OK(t, db_exec(c, "COMMIT"));
    for (int i = 0; i < count; i++)
        archive_decided(&puts[i]);
}

static void places_rise_and_name_the_one_before(struct test *t)
{
    struct arena         a;
    struct archive_order o = { 0 };
    struct archive_put   p[4] = { ordered(&o, ALICE, BOB, 1), ordered(&o, ALICE, CAROL, 2), ordered(&o, BOB, ALICE, 3), ordered(&o, ALICE, BOB, 4) };
    struct db_conn      *c;

    arena_init(&a);
    c = archive_with(t, &a, 0);
    CHECK_OK(t, archive_share(c));
    commit_all(t, c, &o, p, 3);
    commit_all(t, c, &o, p + 3, 1);
    for (int i = 1; i < 4; i++)
        CHECK(t, p[i].id > p[i - 1].id);
    CHECK_INT(t, 0, p[0].before_sender);
    CHECK_INT(t, p[0].id, p[1].before_sender);
    CHECK_INT(t, 0, p[1].before_recipient);
    CHECK_INT(t, p[1].id, p[2].before_recipient);
    CHECK_INT(t, p[2].id, p[3].before_sender);
    CHECK_INT(t, p[2].id, p[3].before_recipient);
    db_conn_close(&c);
    arena_done(&a);
}

static void a_place_is_reached_though_what_stood_there_is_gone(struct test *t)
{
    struct arena         a;
    struct archive_order o = { 0 };
    struct archive_put   p[2] = { ordered(&o, ALICE, BOB, 1), ordered(&o, ALICE, BOB, 2) };
    struct db_conn      *c;

    arena_init(&a);
    c = archive_with(t, &a, 0);
    CHECK_OK(t, archive_share(c));
    CHECK(t, !archive_reaches(c, clock_us()));
    commit_all(t, c, &o, p, 2);
    CHECK(t, archive_reaches(c, p[0].id) && archive_reaches(c, p[1].id) && !archive_reaches(c, p[1].id + 1));
    forget_all(t, c, ALICE);
    forget_all(t, c, BOB);
    CHECK_INT(t, 0, number(c, "SELECT count(*) FROM message"));
    CHECK(t, archive_reaches(c, p[1].id));
    db_conn_close(&c);
    arena_done(&a);
}

static void sent_again_it_keeps_its_place(struct test *t)
{
    struct arena         a;
    struct archive_order o = { 0 };
    struct archive_put   first = ordered(&o, ALICE, BOB, 7), again[2] = { ordered(&o, ALICE, BOB, 7), ordered(&o, ALICE, BOB, 8) };
    struct db_conn      *c;

    arena_init(&a);
    c = archive_with(t, &a, 0);
    CHECK_OK(t, archive_share(c));
    commit_all(t, c, &o, &first, 1);
    commit_all(t, c, &o, again, 2);
    CHECK(t, !first.duplicate && again[0].duplicate && !again[1].duplicate);
    CHECK_INT(t, first.id, again[0].id);
    CHECK_INT(t, first.id, again[1].before_recipient);
    db_conn_close(&c);
    arena_done(&a);
}

static void it_waits_only_for_those_who_are_away(struct test *t)
{
    struct arena         a;
    struct archive_order o = { 0 };
    struct archive_put   p[2] = { ordered(&o, ALICE, BOB, 1), ordered(&o, ALICE, CAROL, 2) };
    struct db_conn      *c;

    arena_init(&a);
    c = archive_with(t, &a, 0);
    CHECK_OK(t, archive_share(c));
    CHECK_OK(t, db_exec(c, "INSERT INTO device VALUES (1, 2, 99, 'phone', 0, 1, 0, 0), (2, 3, 99, 'phone', 0, 0, 0, 0)"));
    commit_all(t, c, &o, p, 2);
    CHECK(t, !p[0].offline);
    CHECK(t, p[1].offline);
    db_conn_close(&c);
    arena_done(&a);
}

/* Bob saw the second one ahead and went away; the first one was stored after it. He must get it. */
static void behind_what_went_ahead_nothing_is_missing(struct test *t)
{
    struct arena          a;
    struct archive_order  o = { 0 };
    int64_t               shown = archive_name(2);
    struct archive_put    p[3] = { ordered(&o, CAROL, BOB, 1), ordered(&o, ALICE, BOB, 2), ordered(&o, CAROL, BOB, 3) };
    struct archive_filter f = { .owner = BOB, .after_id = shown };
    struct archive_page   page;
    struct db_conn       *c;

    arena_init(&a);
    c = archive_with(t, &a, 0);
    CHECK_OK(t, archive_share(c));
    p[1].ahead_us = clock_us();
    CHECK_OK(t, archive_read(c, &a, &f, 10, false, &page));
    CHECK(t, !page.missing && page.count == 0);         /* not stored yet */
    commit_all(t, c, &o, p, 3);
    CHECK_OK(t, archive_read(c, &a, &f, 10, false, &page));
    CHECK_INT(t, 2, page.count);
    CHECK_INT(t, p[0].id, page.rows[0].id);
    CHECK_INT(t, p[2].id, page.rows[1].id);
    f = (struct archive_filter){ .owner = BOB, .id_count = 1, .ids = { shown } };
    CHECK_OK(t, archive_read(c, &a, &f, 10, false, &page));
    CHECK_INT(t, 1, page.count);
    CHECK_INT(t, shown, page.rows[0].shown);
    CHECK_INT(t, p[1].id, page.rows[0].id);
    f = (struct archive_filter){ .owner = BOB, .before_id = shown };
    CHECK_OK(t, archive_read(c, &a, &f, 10, true, &page));
    CHECK_INT(t, 1, page.count);
    db_conn_close(&c);
    arena_done(&a);
}

static void what_nobody_keeps_goes_step_by_step(struct test *t)
{
    struct arena    a;
    struct db_conn *c;
    int             steps = 0;
    bool            more = true;

    arena_init(&a);
    c = archive_with(t, &a, 3);
    for (int i = 0; i < 10; i++) {
        struct archive_put p = { .id = 100 + i, .sender = ALICE, .recipient = BOB, .origin = 2000 + i, .offline = i == 4, .stanza = STR("<message/>") };

        CHECK_OK(t, archive_write(c, &p));
    }
    for (; more && steps < 20; steps++)
        CHECK_OK(t, archive_forget_loose(c, 109, 3, &more));
    CHECK_INT(t, 3, steps);
    CHECK_INT(t, 2, number(c, "SELECT count(*) FROM message WHERE id >= 100"));
    CHECK_INT(t, 104, number(c, "SELECT min(id) FROM message WHERE id >= 100"));    /* waits for somebody */
    CHECK_INT(t, 109, number(c, "SELECT max(id) FROM message WHERE id >= 100"));    /* is too new */
    CHECK_INT(t, 1, number(c, "SELECT count(*) FROM message WHERE id = 10"));
    db_conn_close(&c);
    arena_done(&a);
}

TEST_MAIN(TEST(places_rise_and_name_the_one_before), TEST(a_place_is_reached_though_what_stood_there_is_gone),
          TEST(sent_again_it_keeps_its_place), TEST(it_waits_only_for_those_who_are_away), TEST(behind_what_went_ahead_nothing_is_missing), TEST(pages_are_the_same_wherever_settling_stands), TEST(a_message_sent_again_lands_once),
          TEST(filters_hold_in_log_and_tail), TEST(who_leaves_takes_only_their_side),
          TEST(what_nobody_keeps_goes_step_by_step))
