/* test_search.c: what search finds is what reading every text finds: whatever is in the index, in the log, or not settled yet; forwards
 * and backwards, in pages of any size; with edits, with one peer, in a part of the time. On both engines.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <stdlib.h>
#include "base/clock.h"
#include "base/mem.h"
#include "talk/archive_id.h"
#include "talk/search_job.h"
#include "talk/test_log.h"
#include "wire/fold.h"

enum { MESSAGES_MAX = 4000 };

static const uint8_t key[16] = "a key of a test";

struct model { int64_t id, peer; char text[200]; bool hidden; };

struct world {
    struct test    *t;
    struct arena    arena;
    struct db_conn *c;
    int             count;
    int64_t         settled;
    struct model    all[MESSAGES_MAX];
};

static struct world *world_new(struct test *t)
{
    struct world *w = NEW(struct world);

    w->t = t;
    arena_init(&w->arena);
    archive_id_setup(key);
    w->c = log_open(t, &w->arena);
    return w;
}

static void world_free(struct world *w)
{
    db_conn_close(&w->c);
    arena_done(&w->arena);
    free(w);
}

/* ---- talking ---- */

static void say(struct world *w, int64_t peer, bool sent, const char *inner, const char *text)
{
    static const char *const names[] = { "", "alice", "bob", "carol" };
    int                n = w->count++;
    char               stanza[1024];
    const char        *other = names[peer];
    int                bytes = snprintf(stanza, sizeof stanza, "<message from='%s@x/1' to='%s@x' id='m%d' type='chat'>%s</message>",
                                        sent ? "alice" : other, sent ? other : "alice", n, inner);
    struct archive_put p = {
        .id = place(n), .sender = sent ? ALICE : peer, .recipient = sent ? peer : ALICE,
        .keeps = ARCHIVE_SENDER_KEEPS | ARCHIVE_RECIPIENT_KEEPS, .origin = n + 1, .stanza = str_make(stanza, (size_t)bytes),
    };

    CHECK_OK(w->t, archive_write(w->c, &p));
    w->all[n].id = p.id;
    w->all[n].peer = peer;
    snprintf(w->all[n].text, sizeof w->all[n].text, "%s", text);
}

static void say_text(struct world *w, int64_t peer, bool sent, const char *text)
{
    char inner[400];

    snprintf(inner, sizeof inner, "<body>%s</body>", text);
    say(w, peer, sent, inner, text);
}

static const char *random_line(char out[200])
{
    static const char *const parts[] = { "학교", "학원", "여행", "가자", "가", "좋아", "School", "schön", "ㅋㅋ", "점심", "밥", "여자친구", "여자",
                                         "친구", "meet", "at", "noon", "회의실", "漢字", "병상", "배정", "OK" };
    int n = 0;

    for (int words = 1 + rand() % 4; words > 0; words--)
        n += snprintf(out + n, (size_t)(200 - n), "%s%s", parts[rand() % 22], rand() % 2 ? " " : "");
    return out;
}

static void hide(struct world *w, int which)
{
    w->all[which].hidden = true;
}

/* Says something, or changes or takes back what was said; the model follows. */
static void say_anything(struct world *w)
{
    char    line[200], inner[400];
    int64_t peer = rand() % 3 ? BOB : CAROL;
    bool    sent = rand() % 2;
    int     old = w->count ? rand() % w->count : 0;

    random_line(line);
    if (w->count < 10 || rand() % 20 || w->all[old].hidden) {
        say_text(w, peer, sent, line);
        return;
    }
    /* only whoever wrote it: the model remembers that by the parity of the peer's lines, so let the author be told by the row */
    struct archive_row row;
    struct arena       a;

    arena_init(&a);
    CHECK_OK(w->t, archive_get(w->c, &a, w->all[old].id, &row));
    sent = memmem(row.stanza.p, row.stanza.len, "from='alice", 11) != NULL;
    arena_done(&a);
    if (rand() % 2) {
        snprintf(inner, sizeof inner, "<retract xmlns='urn:xmpp:message-retract:1' id='m%d'/><body>took back 학교</body>", old);
        say(w, w->all[old].peer, sent, inner, "");
    } else {
        snprintf(inner, sizeof inner, "<replace xmlns='urn:xmpp:message-correct:0' id='m%d'/><body>%s</body>", old, line);
        say(w, w->all[old].peer, sent, inner, line);
    }
    hide(w, old);
}

/* ---- the truth ---- */

static bool has_word(const char *text, const char *word)
{
    struct buf a, b;
    bool       has;

    buf_init(&a, 0);
    buf_init(&b, 0);
    fold_put(&a, str_of(text));
    fold_put(&b, str_of(word));
    has = a.len && memmem(a.p, a.len, b.p, b.len);
    buf_done(&a);
    buf_done(&b);
    return has;
}

struct ask { const char *words[3]; int64_t peer, start, end; int max; bool backwards; };

static bool fits(const struct model *m, const struct ask *q)
{
    for (int i = 0; i < 3 && q->words[i]; i++)
        if (!has_word(m->text, q->words[i]))
            return false;
    return !m->hidden && (!q->peer || m->peer == q->peer) && m->id >= q->start && (!q->end || m->id <= q->end);
}

static int truth(const struct world *w, const struct ask *q, int64_t *out)
{
    int n = 0;

    for (int i = 0; i < w->count; i++) {
        int at = q->backwards ? w->count - 1 - i : i;

        if (fits(&w->all[at], q))
            out[n++] = w->all[at].id;
    }
    return n;
}

static void question(struct ask *q, char text[200])
{
    int n = 0;

    text[0] = '\0';
    for (int i = 0; i < 3 && q->words[i]; i++)
        n += snprintf(text + n, (size_t)(200 - n), "%s%s", i ? " " : "", q->words[i]);
}

/* Walks all pages and compares. */
static void answers_are_true(struct world *w, struct ask *q)
{
    static int64_t        want[MESSAGES_MAX];
    struct search_query   search;
    struct archive_filter f = { .owner = ALICE, .peer = q->peer, .start_us = q->start, .end_us = q->end, .search = &search };
    struct archive_page   page;
    struct arena          a;
    char                  text[200];
    int                   n = truth(w, q, want), seen = 0;

    arena_init(&a);
    question(q, text);
    CHECK_OK(w->t, search_query_read(&a, str_of(text), key, &search));
    do {
        if (!CHECK_OK(w->t, archive_read(w->c, &a, &f, q->max, q->backwards, &page)) || page.missing)
            break;
        for (int i = 0; i < page.count; i++, seen++)
            if (seen >= n || !CHECK_INT(w->t, want[seen], page.rows[q->backwards ? page.count - 1 - i : i].id)) {
                printf("    %s, page of %d, %s\n", text, q->max, q->backwards ? "backwards" : "forwards");
                seen = n + 1;
                break;
            }
        if (page.count == 0 || seen > n)
            break;
        if (q->backwards)
            f.before_id = page.rows[0].id;
        else
            f.after_id = page.rows[page.count - 1].id;
    } while (!page.complete);
    if (!CHECK_INT(w->t, n, seen))
        printf("    %s, page of %d, %s, of %d messages\n", text, q->max, q->backwards ? "backwards" : "forwards", w->count);
    CHECK(w->t, !search.broken);
    arena_done(&a);
}

static struct ask random_ask(const struct world *w)
{
    static const char *const words[] = { "학교", "학", "교", "여자", "친구", "school", "SCHOOL", "schön", "o", "oo", "ㅋㅋ", "ㅋ", "밥", "가", "자친",
                                         "여자친구", "noon", "漢", "병상배정", "없는말", "ok", "meetat" };
    struct ask q = { .max = 1 + rand() % 60, .backwards = rand() % 2 };
    int        count = 1 + (rand() % 4 == 0);

    for (int i = 0; i < count; i++)
        q.words[i] = words[rand() % 22];
    if (rand() % 3 == 0)
        q.peer = rand() % 2 ? BOB : CAROL;
    if (rand() % 3 == 0)
        q.start = place(rand() % w->count);
    if (rand() % 3 == 0)
        q.end = place(rand() % w->count);
    return q;
}

static void index_all(struct world *w, int64_t owner)
{
    bool more = true;

    for (int i = 0; more && i < 1000; i++)
        if (!CHECK_OK(w->t, search_step(w->c, key, owner, &more)))
            break;
}

static void settle(struct world *w, int upto)
{
    CHECK_OK(w->t, archive_settle(w->c, place(upto)));
}

static void search_finds_what_reading_finds(struct test *t)
{
    struct world *w = world_new(t);

    srand(11);
    for (int round = 0; round < 12; round++) {
        for (int n = rand() % 300; n >= 0; n--)
            say_anything(w);
        if (round % 4 != 1)
            settle(w, w->count - 1 - rand() % 20);
        if (round % 3 != 1)
            index_all(w, ALICE);
        for (int i = 0; i < 40; i++) {
            struct ask q = random_ask(w);

            answers_are_true(w, &q);
        }
    }
    world_free(w);
}

static int64_t number(struct world *w, const char *sql)
{
    struct db_sql   q = { sql };
    struct db_stmt *s;
    int64_t         n = CHECK_OK(w->t, db_get(w->c, &s, &q, "")) ? db_i64(s, 0) : -1;

    db_done(s);
    return n;
}

static void segments_grow_and_merge(struct test *t)
{
    struct world *w = world_new(t);
    struct ask    q = { .words = { "여행" }, .max = 20, .backwards = true };

    srand(12);
    for (int i = 0; i < 10; i++) {
        char line[200];

        for (int n = 0; n < 260; n++)
            say_text(w, n % 3 ? BOB : CAROL, n % 2, random_line(line));
        settle(w, w->count - 1);
        index_all(w, ALICE);
    }
    CHECK_INT(t, 3, number(w, "SELECT count(*) FROM search_segment"));       /* eight of 256 became one */
    answers_are_true(w, &q);
    CHECK_INT(t, 0, number(w, "SELECT count(*) FROM search_segment WHERE owner = 2"));
    index_all(w, BOB);
    CHECK(t, number(w, "SELECT count(*) FROM search_segment WHERE owner = 2") > 0);
    CHECK_INT(t, 8, number(w, "SELECT count(*) FROM search_trash"));
    world_free(w);
}

/* However long the texts are: a build ends early, and what is large stays for itself. */
static void long_texts_have_bounds(struct test *t)
{
    enum { LETTERS = 9000, LONG_ONES = 280 };
    struct world *w = world_new(t);
    struct ask    q = { .words = { "끝말" }, .max = 20 };
    struct buf    b;

    srand(17);
    for (int i = 0; i < LONG_ONES; i++) {
        struct archive_put p = { .id = place(w->count), .sender = ALICE, .recipient = BOB, .keeps = ARCHIVE_SENDER_KEEPS, .origin = i + 1 };

        buf_init(&b, 0);
        BUF_LIT(&b, "<message from='alice@x/1' to='bob@x' type='chat'><body>");
        for (int n = 0; n < LETTERS; n++) {
            unsigned c = 0xAC00 + (unsigned)(rand() % 11172);

            buf_put(&b, (const char[]){ (char)(0xE0 | c >> 12), (char)(0x80 | (c >> 6 & 63)), (char)(0x80 | (c & 63)) }, 3);
        }
        BUF_LIT(&b, " 끝말</body></message>");
        p.stanza = buf_str(&b);
        CHECK_OK(t, archive_write(w->c, &p));
        buf_done(&b);
        w->all[w->count] = (struct model){ .id = p.id, .peer = BOB, .text = "끝말" };
        w->count++;
    }
    settle(w, w->count - 1);
    index_all(w, ALICE);
    CHECK_INT(t, 1, number(w, "SELECT count(*) FROM search_segment"));
    CHECK(t, number(w, "SELECT count FROM search_segment") < 256);
    CHECK_INT(t, number(w, "SELECT chunks FROM search_segment"), number(w, "SELECT count(*) FROM search_chunk"));
    answers_are_true(w, &q);
    CHECK_OK(t, search_forget(w->c, ALICE, place(1)));
    index_all(w, ALICE);
    CHECK_INT(t, 0, number(w, "SELECT count(*) FROM search_segment WHERE made = 0"));
    answers_are_true(w, &q);
    world_free(w);
}

static void large_segments_are_not_merged(struct test *t)
{
    struct world *w = world_new(t);
    char          line[200];
    struct ask    q = { .words = { "학교" }, .max = 20 };

    srand(18);
    for (int i = 0; i < 8 * 256; i++) {
        say_text(w, BOB, i % 2, random_line(line));
        if (i % 256 == 255) {
            settle(w, i);
            index_all(w, ALICE);
            CHECK_OK(t, db_exec(w->c, "UPDATE search_segment SET chunks = 10000"));
        }
    }
    CHECK_INT(t, 8, number(w, "SELECT count(*) FROM search_segment"));
    CHECK_OK(t, db_exec(w->c, "UPDATE search_segment SET chunks = 3000"));
    index_all(w, ALICE);
    CHECK_INT(t, 4, number(w, "SELECT count(*) FROM search_segment"));       /* five of them are not too much */
    answers_are_true(w, &q);
    world_free(w);
}

static bool grams_hold(struct world *w, const char *word)
{
    static struct db_sql chunks = {
        "SELECT c.at, c.body FROM search_chunk c JOIN search_segment g ON g.owner = c.owner AND g.segment = c.segment WHERE c.owner = 1" };
    struct gram_range r[4];
    uint64_t          bits[2048] = { 0 };
    struct db_stmt   *s = db_prepare(w->c, &chunks);

    grams_of_word(str_of(word), r, 4);
    while (db_step(s) == OK)
        if (db_i64(s, 0) >= 0)
            chunk_mark(db_i64(s, 0), db_blob(s, 1), r[0], bits, 2048 * 64);
    db_done(s);
    for (int i = 0; i < 2048; i++)
        if (bits[i])
            return true;
    return false;
}

/* What was taken back is not found at once, and leaves the index itself when the retraction joins it. */
static void a_retracted_text_leaves_the_index(struct test *t)
{
    struct world *w = world_new(t);
    struct ask    secret = { .words = { "비밀번호" }, .max = 20 }, fresh = { .words = { "새단어" }, .max = 20 };
    char          line[200];

    srand(13);
    say_text(w, BOB, true, "비밀번호 1234");
    for (int i = 1; i < 300; i++)
        say_text(w, BOB, i % 2, random_line(line));
    settle(w, w->count - 1);
    index_all(w, ALICE);
    CHECK(t, grams_hold(w, "비밀"));
    answers_are_true(w, &secret);
    say(w, BOB, true, "<retract xmlns='urn:xmpp:message-retract:1' id='m0'/>", "");
    hide(w, 0);
    answers_are_true(w, &secret);
    say(w, BOB, false, "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/><body>새단어</body>", "새단어");
    hide(w, 1);
    answers_are_true(w, &fresh);
    for (int i = 0; i < 300; i++)
        say_text(w, BOB, i % 2, random_line(line));
    settle(w, w->count - 1);
    index_all(w, ALICE);
    answers_are_true(w, &secret);
    answers_are_true(w, &fresh);
    CHECK(t, !grams_hold(w, "비밀"));
    CHECK(t, grams_hold(w, "새단"));
    world_free(w);
}

/* An edit by somebody else changes nothing. */
static void only_the_author_takes_back(struct test *t)
{
    struct world *w = world_new(t);
    struct ask    q = { .words = { "약속" }, .max = 20 };

    say_text(w, BOB, true, "약속 시간");
    say(w, BOB, false, "<retract xmlns='urn:xmpp:message-retract:1' id='m0'/>", "");
    answers_are_true(w, &q);
    settle(w, 1);
    answers_are_true(w, &q);
    world_free(w);
}

static void who_leaves_or_expires_is_not_in_the_index(struct test *t)
{
    struct world *w = world_new(t);
    char          line[200];
    struct ask    q = { .words = { "학교" }, .max = 20 };

    srand(14);
    for (int i = 0; i < 900; i++)
        say_text(w, BOB, i % 2, random_line(line));
    settle(w, w->count - 1);
    index_all(w, ALICE);
    index_all(w, BOB);
    CHECK_OK(t, search_forget_owner(w->c, BOB));
    CHECK_INT(t, 0, number(w, "SELECT count(*) FROM search_chunk WHERE owner = 2"));
    CHECK_OK(t, search_forget_before(w->c, place(300)));
    CHECK_OK(t, db_exec(w->c, "DELETE FROM log WHERE id < 1700000000300000; DELETE FROM message WHERE id < 1700000000300000"));
    for (int i = 0; i < 300; i++)
        hide(w, i);
    CHECK_INT(t, 0, number(w, "SELECT count(*) FROM search_segment WHERE last < 1700000000300000"));
    answers_are_true(w, &q);
    CHECK_OK(t, search_forget(w->c, ALICE, place(400)));        /* that segment is made anew */
    CHECK_INT(t, 1, number(w, "SELECT count(*) FROM search_segment WHERE made = 0"));
    index_all(w, ALICE);
    CHECK_INT(t, 0, number(w, "SELECT count(*) FROM search_segment WHERE made = 0"));
    answers_are_true(w, &q);
    world_free(w);
}

/* `bongsu db reindex`: at each step of it people find the same. */
static void it_is_made_anew_while_people_search(struct test *t)
{
    struct world *w = world_new(t);
    char          line[200];
    struct ask    q = { .words = { "여자" }, .max = 20 };
    bool          more = true;
    int           steps = 0;

    srand(15);
    for (int i = 0; i < 1200; i++) {
        say_text(w, BOB, i % 2, random_line(line));
        if (i % 300 == 299) {
            settle(w, i);
            index_all(w, ALICE);
        }
    }
    CHECK_OK(t, db_exec(w->c, "UPDATE search_wanted SET made = made + 1"));
    for (; more && steps < 100; steps++) {
        CHECK_OK(t, search_step(w->c, key, ALICE, &more));
        answers_are_true(w, &q);
    }
    CHECK(t, steps > 2 && !more);
    world_free(w);
}

static void a_broken_segment_is_read_around(struct test *t)
{
    struct world         *w = world_new(t);
    char                  line[200];
    struct search_query   search;
    struct archive_filter f = { .owner = ALICE, .search = &search };
    struct archive_page   page;
    static int64_t        want[MESSAGES_MAX];
    struct ask            q = { .words = { "학교" }, .max = 250 };

    srand(16);
    for (int i = 0; i < 600; i++) {
        say_text(w, BOB, i % 2, random_line(line));
        if (i % 300 == 299) {
            settle(w, i);
            index_all(w, ALICE);
        }
    }
    CHECK_OK(t, db_exec(w->c, "UPDATE search_chunk SET body = x'ff' WHERE segment = (SELECT segment FROM search_segment ORDER BY last LIMIT 1)"));
    CHECK_OK(t, search_query_read(&w->arena, STR("학교"), key, &search));
    CHECK_OK(t, archive_read(w->c, &w->arena, &f, 250, false, &page));
    CHECK(t, search.broken);
    CHECK_INT(t, truth(w, &q, want), page.count);
    CHECK_OK(t, search_stale(w->c, ALICE, search.broken));
    CHECK_INT(t, 1, number(w, "SELECT count(*) FROM search_segment WHERE made = 0"));       /* the other one is fine */
    index_all(w, ALICE);
    answers_are_true(w, &q);
    world_free(w);
}

static void a_log_that_grows_much_is_indexed_in_between(struct test *t)
{
    struct talk *talk = NEW(struct talk);

    search_init(talk);
    for (int i = 0; i < 2 * INDEX_LARGE + 1; i++)
        search_note(talk, ALICE);
    CHECK_INT(t, 2, search_waiting(talk, true));
    CHECK_INT(t, 2 * INDEX_LARGE / INDEX_SMALL, search_waiting(talk, false));
    search_done(talk);
    free(talk);
}

static void a_question_has_bounds(struct test *t)
{
    struct search_query q;
    struct arena        a;
    char                words[200] = "";

    arena_init(&a);
    CHECK_INT(t, ERR_NOT_FOUND, search_query_read(&a, STR("  \xe3\x80\x80 "), key, &q));
    CHECK_OK(t, search_query_read(&a, STR(" 학교　여행 "), key, &q));
    CHECK_INT(t, 2, q.word_count);
    CHECK_STR(t, "여행", q.words[1]);
    for (int i = 0; i < 17; i++)
        strcat(words, "ab ");
    CHECK_INT(t, ERR_LIMIT, search_query_read(&a, str_of(words), key, &q));
    arena_done(&a);
}

DB_TEST_MAIN(TEST(search_finds_what_reading_finds), TEST(segments_grow_and_merge),
             TEST(long_texts_have_bounds), TEST(large_segments_are_not_merged), TEST(a_retracted_text_leaves_the_index),
             TEST(only_the_author_takes_back), TEST(who_leaves_or_expires_is_not_in_the_index),
             TEST(it_is_made_anew_while_people_search), TEST(a_broken_segment_is_read_around),
             TEST(a_log_that_grows_much_is_indexed_in_between), TEST(a_question_has_bounds))
