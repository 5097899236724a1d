/* test_reading.c: the marks that are worked out from a log are those that were given, whatever has been kept of them before.
 * On both engines.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/mem.h"
#include "talk/reading.h"
#include "talk/test_log.h"

struct world {
    struct test    *t;
    struct arena    arena;
    struct db_conn *c;
    int             count;
    int64_t         author[4000];               /* of number n */
    int             settled;
    int64_t         by_bob, by_alice;           /* the marks, as they should be */
};

static struct world *world_new(struct test *t)
{
    struct world *w = NEW(struct world);

    w->t = t;
    arena_init(&w->arena);
    w->c = log_open(t, &w->arena);
    return w;
}

static void world_free(struct world *w)
{
    db_conn_close(&w->c);
    arena_done(&w->arena);
    free(w);
}

static void write_row(struct world *w, int64_t from, int64_t to, const char *inner)
{
    int                n = w->count++;
    char               stanza[512];
    int                bytes = snprintf(stanza, sizeof stanza, "<message from='%c@x/1' to='%c@x' id='a&amp;%d' type='chat'>%s</message>",
                                        (char)('a' + from), (char)('a' + to), n, inner);
    struct archive_put p = { .id = place(n), .sender = from, .recipient = to, .keeps = 3, .origin = n + 1,
                             .stanza = str_make(stanza, (size_t)bytes) };

    w->author[n] = from;
    CHECK_OK(w->t, archive_write(w->c, &p));
}

static void say(struct world *w, bool alice)
{
    write_row(w, alice ? ALICE : BOB, alice ? BOB : ALICE, "<body>x</body>");
}

/* One of the newest sixty rows, whosever it is. */
static void mark(struct world *w, bool alice)
{
    int  which = w->count - 1 - rand() % (w->count < 60 ? w->count : 60);
    char inner[200];

    snprintf(inner, sizeof inner, "<displayed xmlns='urn:xmpp:chat-markers:0' id='a&amp;%d'/>", which);
    if (alice && w->author[which] == BOB && place(which) > w->by_alice)
        w->by_alice = place(which);
    if (!alice && w->author[which] == ALICE && place(which) > w->by_bob)
        w->by_bob = place(which);
    write_row(w, alice ? ALICE : BOB, alice ? BOB : ALICE, inner);
}

static void marks_are_right(struct world *w, bool keep)
{
    struct reading_pair p = { .owner = ALICE, .peer = BOB }, q = { .owner = BOB, .peer = ALICE };

    CHECK_OK(w->t, reading_work_out(w->c, &p));
    CHECK_OK(w->t, reading_work_out(w->c, &q));
    CHECK_INT(w->t, w->by_bob, p.by_peer.upto);
    CHECK_INT(w->t, w->by_alice, p.by_owner.upto);
    CHECK_INT(w->t, w->by_alice, q.by_peer.upto);
    CHECK_INT(w->t, w->by_bob, q.by_owner.upto);
    if (keep)
        CHECK_OK(w->t, reading_keep(w->c, rand() % 2 ? &p : &q));
}

static void marks_are_those_that_were_given(struct test *t)
{
    struct world *w = world_new(t);

    srand(21);
    for (int i = 0; i < 1500; i++) {
        if (rand() % 4 || i < 5)
            say(w, rand() % 2);
        else
            mark(w, rand() % 2);
        if (rand() % 10 == 0)
            write_row(w, CAROL, ALICE, "<displayed xmlns='urn:xmpp:chat-markers:0' id='a&amp;1'/>");
        if (rand() % 50 == 0 && w->count - 10 > w->settled) {
            w->settled = w->count - 1 - rand() % 10;
            CHECK_OK(t, archive_settle(w->c, place(w->settled)));
        }
        if (rand() % 20 == 0)
            marks_are_right(w, rand() % 2);
    }
    marks_are_right(w, true);
    world_free(w);
}

static void who_goes_leaves_no_marks(struct test *t)
{
    struct world       *w = world_new(t);
    struct reading_pair p = { .owner = ALICE, .peer = BOB, .by_peer = { 30, 40 }, .by_owner = { 20, 40 } };

    CHECK_OK(t, reading_keep(w->c, &p));
    p.by_peer.upto = 10;        /* never back */
    CHECK_OK(t, reading_keep(w->c, &p));
    CHECK_OK(t, reading_work_out(w->c, &p));
    CHECK_INT(t, 30, p.by_peer.upto);
    CHECK_INT(t, 20, p.by_owner.upto);
    CHECK_OK(t, reading_forget(w->c, ALICE));
    CHECK_OK(t, reading_work_out(w->c, &p));
    CHECK_INT(t, 0, p.by_peer.upto);
    CHECK_INT(t, 0, p.by_owner.upto);
    world_free(w);
}

DB_TEST_MAIN(TEST(marks_are_those_that_were_given), TEST(who_goes_leaves_no_marks))
