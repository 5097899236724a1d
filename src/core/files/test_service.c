/* test_service.c: the store over the bus: slots, what keeps them from being given, and an export; and uploads without HTTP.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/test.h"
#include "bus/codec.h"
#include "crypto/digest.h"
#include "files/client.h"
#include "files/receive.h"
#include "files/usage.h"
#include "wire/json.h"

static const struct setting others[] = {
    { "domain", SETTING_TEXT, "town.example", 0, 0, false, "" },
    { "data_dir", SETTING_PATH, "/nowhere", 0, 0, false, "" },
    { "web.listen", SETTING_ADDRESSES, "0.0.0.0:5280", 0, 0, false, "" },
    { "tls.certificate", SETTING_PATH, "", 0, 0, false, "" },
    { 0 },
};
static const struct setting *const tables[] = { others, files_settings, NULL };

/* ---- a pool whose threads are always faster than the loop: a job is done when pool_add returns ---- */

struct pool {
    struct loop     *loop;
    struct loop_task back;
    struct list      finished;
};

static void bring_back(struct pool *p, enum err e)
{
    LIST_EACH(it, &p->finished) {
        struct pool_job *j = LIST_ITEM(it, struct pool_job, link);

        list_remove(it);
        j->done(j, e);
    }
}

static void back(struct loop_task *task) { bring_back(LIST_ITEM(task, struct pool, back), OK); }

enum err pool_new(struct loop *l, int threads, struct pool **out)
{
    struct pool *p = NEW(struct pool);

    *p = (struct pool){ .loop = l, .back = { .run = back } };
    list_init(&p->finished);
    *out = p;
    return OK;
}

void pool_free(struct pool **pp)
{
    struct pool *p = *pp;

    *pp = NULL;
    loop_task_cancel(p->loop, &p->back);
    bring_back(p, ERR_CLOSED);
    free(p);
}

enum err pool_add(struct pool *p, struct pool_job *j)
{
    list_append(&p->finished, &j->link);
    loop_at_end(p->loop, &p->back);
    j->work(j);
    return OK;
}

/* ---- a store ---- */

struct fixture {
    struct loop     *l;
    struct bus_hub  *hub;
    struct bus      *ident, *web, *talk;
    struct store    *st;
    struct settings *s;
    struct arena     a;
    bool             answered;
    enum err         e;
    struct files_slot slot;
    int64_t          count, bytes;
};

static void give_key(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    struct buf out = { 0 };

    codec_begin(&out, 1);
    codec_put_bytes(&out, STR("0123456789abcdef0123456789abcdef"));
    bus_answer(rq, OK, buf_str(&out));
    buf_done(&out);
}

static void set(struct fixture *f, const char *name, const char *value)
{
    struct buf report = { 0 };

    settings_set(f->s, name, str_of(value), &report);
    buf_done(&report);
}

static void rounds(struct fixture *f, int n)
{
    for (int i = 0; i < n; i++)
        loop_round(f->l, 1);
}

static bool setup(struct test *t, struct fixture *f, bool with_ident)
{
    struct str why = STR_NULL;

    *f = (struct fixture){ .l = loop_new() };
    arena_init(&f->a);
    CHECK_OK(t, settings_new(tables, &f->s));
    set(f, "data_dir", test_dir(t));
    set(f, "files.folder", arena_printf(&f->a, "%s/files", test_dir(t)).p);
    set(f, "files.bytes_max", "1000");
    set(f, "files.account_bytes_max", "2000");
    set(f, "files.day_bytes_max", "1500");
    CHECK_OK(t, bus_new_inproc(f->l, "ident", &f->hub, &f->ident));
    CHECK_OK(t, bus_new_inproc(f->l, "web", &f->hub, &f->web));
    CHECK_OK(t, bus_new_inproc(f->l, "talk", &f->hub, &f->talk));
    if (with_ident)
        bus_serve(f->ident, "ident.*", give_key, f);
    if (!CHECK_OK(t, store_new(f->l, f->web, f->s, &f->st, &f->a, &why)))
        return false;
    rounds(f, 20);
    return true;
}

static void teardown(struct fixture *f)
{
    store_free(&f->st);
    rounds(f, 3);
    bus_free(&f->talk);
    bus_free(&f->web);
    bus_free(&f->ident);
    loop_round(f->l, 0);
    loop_free(&f->l);
    settings_free(&f->s);
    arena_done(&f->a);
}

static void wait_answer(struct test *t, struct fixture *f)
{
    for (int i = 0; i < 2000 && !f->answered; i++)
        loop_round(f->l, 5);
    CHECK(t, f->answered);
    f->answered = false;
}

static void slot_came(void *arg, enum err e, const struct files_slot *s)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
    f->slot = *s;
    f->slot.url = s->url.p ? arena_str(&f->a, s->url) : s->url;
    f->slot.token = s->token.p ? arena_str(&f->a, s->token) : s->token;
}

static enum err ask(struct test *t, struct fixture *f, const char *owner, const char *name, int64_t bytes, const char *type)
{
    CHECK_OK(t, files_slot_ask(f->talk, str_of(owner), str_of(name), bytes, str_of(type), slot_came, f));
    wait_answer(t, f);
    return f->e;
}

/* A whole file, without HTTP. */
static void keep(struct test *t, struct fixture *f, uint8_t n, const char *owner, struct str name, struct str text)
{
    struct file_row    row = { .id = { n }, .owner = str_of(owner), .name = name, .type = STR("text/plain"), .bytes = (int64_t)text.len,
                               .made_us = 1790000000000000 + n };
    struct db_settings s = { .path = files_index_path(f->s, &f->a).p };
    struct db_conn    *c = NULL;
    struct str         why;
    bool               fresh;
    int                fd;

    digest(DIGEST_SHA256, text, row.hash);
    CHECK_OK(t, part_open(&f->st->blobs, row.id, true, (int64_t)text.len, &fd));
    CHECK_INT(t, text.len, write(fd, text.p, text.len));
    close(fd);
    CHECK_OK(t, part_place(&f->st->blobs, row.id, row.hash));
    if (CHECK_OK(t, db_conn_open(&s, true, &c, &f->a, &why)))
        CHECK_OK(t, catalog_put(c, &row, &fresh));
    db_conn_close(&c);
}

static void a_slot_is_signed_and_has_an_address(struct test *t)
{
    struct fixture f;
    struct slot    s;

    if (!setup(t, &f, true))
        return;
    CHECK_OK(t, ask(t, &f, "alice", "../a b.jpg", 10, "Image/JPEG"));
    CHECK(t, str_starts(f.slot.url, STR("https://town.example:5280/files/")) && str_ends(f.slot.url, STR("/a%20b.jpg")));
    CHECK_OK(t, slot_read(&f.a, f.slot.token, &f.st->key, SLOT_UPLOAD, &s));
    CHECK(t, str_is(s.owner, "alice") && str_is(s.name, "a b.jpg") && str_is(s.type, "image/jpeg") && s.bytes == 10);
    CHECK(t, slot_id_is_ours(&f.st->key, s.id));
    CHECK_INT(t, ERR_INVALID, ask(t, &f, "alice", "", 10, ""));
    CHECK_INT(t, ERR_INVALID, ask(t, &f, "alice", "a", 10, "no type"));
    CHECK_INT(t, ERR_INVALID, ask(t, &f, "alice", "a", -1, ""));
    CHECK_INT(t, ERR_INVALID, ask(t, &f, "", "a", 1, ""));
    set(&f, "files.url", "https://files.example/");
    store_reload(f.st, f.s);
    CHECK_OK(t, ask(t, &f, "alice", "a", 10, ""));
    CHECK(t, str_starts(f.slot.url, STR("https://files.example/files/")));
    teardown(&f);
}

static void use(struct test *t, struct fixture *f, const char *owner, int64_t bytes, bool today)
{
    const struct usage *u;

    usage_forget(f->st, str_of(owner));
    if (CHECK_OK(t, usage_find(f->st, str_of(owner), &u))) {
        ((struct usage *)u)->all = bytes;
        ((struct usage *)u)->today = today ? bytes : 0;
    }
}

static void each_refusal_says_which_it_is(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f, true))
        return;
    CHECK_INT(t, ERR_LIMIT, ask(t, &f, "alice", "a", 1001, ""));
    CHECK(t, f.slot.why == FILES_TOO_LARGE && f.slot.value == 1000);
    use(t, &f, "alice", 1200, true);
    CHECK_INT(t, ERR_LIMIT, ask(t, &f, "alice", "a", 400, ""));
    CHECK(t, f.slot.why == FILES_DAY_FULL && f.slot.value > 1000000);
    CHECK_OK(t, ask(t, &f, "bob", "a", 400, ""));
    use(t, &f, "bob", 1700, false);
    CHECK_INT(t, ERR_LIMIT, ask(t, &f, "bob", "a", 400, ""));
    CHECK(t, f.slot.why == FILES_ACCOUNT_FULL && f.slot.value == 300);
    teardown(&f);
}

static void without_a_key_there_are_no_slots(struct test *t)
{
    struct fixture f;

    if (!setup(t, &f, false))
        return;
    CHECK(t, store_trouble(f.st));
    CHECK_INT(t, ERR_UNAVAILABLE, ask(t, &f, "alice", "a", 10, ""));
    bus_serve(f.ident, "ident.*", give_key, &f);
    for (int i = 0; i < 400 && !f.st->has_key; i++)
        loop_round(f.l, 5);
    CHECK(t, !store_trouble(f.st));
    CHECK_OK(t, ask(t, &f, "alice", "a", 10, ""));
    teardown(&f);
}

static void exported(void *arg, enum err e, int64_t count, int64_t bytes)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
    f->count = count;
    f->bytes = bytes;
}

static void an_export_has_ones_own_files(struct test *t)
{
    struct fixture f;
    struct str     dir, text, why;
    json_t        *list;
    char           read_back[600];
    int            fd;

    if (!setup(t, &f, true))
        return;
    keep(t, &f, 1, "alice", STR("first.txt"), STR("hello"));
    keep(t, &f, 2, "bob", STR("his.txt"), STR("secret"));
    keep(t, &f, 3, "alice", STR("다음.txt"), STR("world!"));
    dir = arena_printf(&f.a, "%s/out", test_dir(t));
    CHECK_INT(t, 0, mkdir(dir.p, 0700));
    CHECK_OK(t, files_export_ask(f.talk, STR("alice"), dir, exported, &f));
    wait_answer(t, &f);
    CHECK(t, f.e == OK && f.count == 2 && f.bytes == 11);
    fd = open(arena_printf(&f.a, "%s/711e9609339e-다음.txt", dir.p).p, O_RDONLY | O_CLOEXEC);
    CHECK(t, fd >= 0 && read(fd, read_back, sizeof read_back) == 6 && memcmp(read_back, "world!", 6) == 0);
    close(fd);
    fd = open(arena_printf(&f.a, "%s/index.json", dir.p).p, O_RDONLY | O_CLOEXEC);
    text = str_make(read_back, fd < 0 ? 0 : (size_t)read(fd, read_back, sizeof read_back));
    close(fd);
    text.len = text.len > sizeof read_back ? 0 : text.len;
    CHECK(t, text.len > 100 && memmem(text.p, text.len, "first.txt", 9) && !memmem(text.p, text.len, "his.txt", 7));
    if (text.len < sizeof read_back && CHECK_OK(t, json_read(&f.a, text, sizeof read_back, &list, &why)))
        json_decref(list);
    CHECK_INT(t, 0, unlink(arena_printf(&f.a, "%s/index.json", dir.p).p));      /* it was cut off before the end */
    CHECK_OK(t, files_export_ask(f.talk, STR("alice"), dir, exported, &f));
    wait_answer(t, &f);
    CHECK(t, f.e == OK && f.count == 2 && f.bytes == 11);
    CHECK_INT(t, 0, access(arena_printf(&f.a, "%s/index.json", dir.p).p, R_OK));
    CHECK_OK(t, files_export_ask(f.talk, STR("alice"), STR("/nowhere/at/all"), exported, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_NOT_FOUND, f.e);
    CHECK_OK(t, files_export_ask(f.talk, STR("alice"), STR("relative"), exported, &f));
    wait_answer(t, &f);
    CHECK_INT(t, ERR_INVALID, f.e);
    teardown(&f);
}

/* ---- uploads ---- */

enum { FILE_BYTES = 700000, PIECE_BYTES = 100000 };

static void ignore(void *arg) { }

static void came(void *arg, enum err e, int64_t at)
{
    struct fixture *f = arg;

    f->answered = true;
    f->e = e;
    f->bytes = at;
}

static const struct receive_events events = { ignore, ignore, came };

static struct receipt *begin(struct test *t, struct fixture *f, const uint8_t id[SLOT_ID_BYTES], int64_t bytes)
{
    struct slot     s = { .kind = SLOT_UPLOAD, .owner = STR("alice"), .name = STR("a.bin"), .type = STR("a/b"), .bytes = bytes,
                        .made_us = clock_us() };
    struct receipt *r = NULL;

    memcpy(s.id, id, sizeof s.id);
    f->answered = false;
    CHECK_OK(t, receive_new(f->st, &s, -1, bytes, false, &events, f, &r));
    return r;
}

static void give(struct fixture *f, struct receipt *r, uint8_t n, int64_t bytes)
{
    char *piece = mem_new(PIECE_BYTES);

    for (int64_t at = 0; at < bytes && !f->answered; at += PIECE_BYTES) {
        memset(piece, n + (int)(at / PIECE_BYTES), PIECE_BYTES);
        receive_bytes(r, str_make(piece, bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES));
        loop_round(f->l, 0);
    }
    if (!f->answered)
        receive_end(r);
    free(piece);
}

static enum err upload(struct test *t, struct fixture *f, const uint8_t id[SLOT_ID_BYTES], int64_t bytes)
{
    struct receipt *r = begin(t, f, id, bytes);

    if (!r)
        return ERR_BUG;
    give(f, r, id[0], bytes);
    wait_answer(t, f);
    return f->e;
}

/* Wherever the disk fails, the upload is told so and is not there; the next try is whole. */
static void a_failing_disk_is_told(struct test *t)
{
    static const char *const places[] = { "files.open", "files.write", "files.sync", "files.place" };
    static const int64_t     sizes[] = { 1000, FILE_BYTES };
    struct fixture           f;
    struct file_row          row;
    uint8_t                  id[SLOT_ID_BYTES] = { 0 };

    if (!setup(t, &f, true))
        return;
    for (size_t i = 0; i < 8; i++)
        for (int nth = 1; ++id[0] && !t->failures; nth++) {
            fault_arm(places[i / 2], nth, ERR_FULL);
            upload(t, &f, id, sizes[i % 2]);
            if (!fault_disarm(places[i / 2]))
                break;
            CHECK_INT(t, ERR_FULL, f.e);
            CHECK_INT(t, ERR_NOT_FOUND, catalog_find(db_loop_conn(f.st->db), &f.a, id, &row));
            CHECK_INT(t, -1, part_bytes(&f.st->blobs, id));
            CHECK_OK(t, upload(t, &f, id, sizes[i % 2]));
            CHECK(t, catalog_find(db_loop_conn(f.st->db), &f.a, id, &row) == OK && row.whole && blob_is_there(&f.st->blobs, row.hash));
        }
    CHECK(t, id[0] > 16);
    teardown(&f);
}

/* A file costs a row, however small it is. */
static void there_is_an_end_to_empty_files(struct test *t)
{
    struct fixture f;
    uint8_t        id[SLOT_ID_BYTES] = { 0 };

    if (!setup(t, &f, true))
        return;
    set(&f, "files.account_bytes_max", "12289");
    set(&f, "files.day_bytes_max", "100000");
    store_reload(f.st, f.s);
    for (id[0] = 1; id[0] <= 4; id[0]++) {
        CHECK_OK(t, ask(t, &f, "alice", "a", 0, ""));
        CHECK_OK(t, upload(t, &f, id, 0));
    }
    CHECK_INT(t, ERR_LIMIT, ask(t, &f, "alice", "a", 0, ""));
    CHECK(t, f.slot.why == FILES_ACCOUNT_FULL && f.slot.value == 0);
    usage_clear(f.st);
    CHECK_INT(t, ERR_LIMIT, ask(t, &f, "alice", "a", 0, ""));
    set(&f, "files.account_bytes_max", "100000");
    set(&f, "files.day_bytes_max", "16383");
    store_reload(f.st, f.s);
    CHECK_INT(t, ERR_LIMIT, ask(t, &f, "alice", "a", 0, ""));
    CHECK(t, f.slot.why == FILES_DAY_FULL);
    teardown(&f);
}

/* Who takes the name later has a clean place. */
static void a_slot_of_before_the_deletion_is_worth_nothing(struct test *t)
{
    struct fixture  f;
    struct file_row row;
    uint8_t         id[SLOT_ID_BYTES] = { 1 };
    int64_t         before_us = clock_us() + 5000000;     /* so long a loaded machine may take for what comes before */

    if (!setup(t, &f, true))
        return;
    sweep_owner(f.st, STR("alice"), before_us, false);
    CHECK_INT(t, ERR_NOT_FOUND, upload(t, &f, id, 1000));
    CHECK_INT(t, ERR_NOT_FOUND, upload(t, &f, id, FILE_BYTES));
    CHECK_INT(t, ERR_NOT_FOUND, catalog_find(db_loop_conn(f.st->db), &f.a, id, &row));
    CHECK(t, clock_us() < before_us);
    while (clock_us() <= before_us)
        loop_round(f.l, 50);
    CHECK_OK(t, upload(t, &f, id, 1000));
    id[0]++;
    CHECK_OK(t, upload(t, &f, id, FILE_BYTES));
    teardown(&f);
}

/* The server ends between the last byte and the row of the upload's beginning. */
static void an_end_in_the_middle_is_told(struct test *t)
{
    struct fixture  f;
    struct receipt *r;
    uint8_t         id[SLOT_ID_BYTES] = { 1 };

    if (!setup(t, &f, true))
        return;
    r = begin(t, &f, id, FILE_BYTES);
    loop_round(f.l, 0);
    receive_bytes(r, STR("the first bytes"));
    receive_abandon(r);
    teardown(&f);
    CHECK(t, !f.answered);
}

TEST_MAIN(TEST(a_slot_is_signed_and_has_an_address), TEST(each_refusal_says_which_it_is), TEST(without_a_key_there_are_no_slots),
          TEST(an_export_has_ones_own_files), TEST(a_failing_disk_is_told),
          TEST(there_is_an_end_to_empty_files), TEST(a_slot_of_before_the_deletion_is_worth_nothing),
          TEST(an_end_in_the_middle_is_told))
