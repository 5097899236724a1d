/* test_powercut.c: the power goes at every sync, and nothing that was told is lost.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <signal.h>
#include <sys/wait.h>
#include "db/powercut.h"
#include "db/test_util.h"

enum { BATCHES = 16, BATCH = 20, PUTS = BATCHES * BATCH };

/* 60 KB each: the log passes its bound after 13 batches, so a checkpoint is cut too, and the log's new beginning. */
static void write_until_dark(struct loop *l, struct db *d, struct put *p)
{
    for (int b = 0; b < BATCHES && !db_powercut_happened(); b++) {
        for (int i = b * BATCH; i < (b + 1) * BATCH; i++)
            if (commit_add(d, &p[i].op) != OK)
                return;
        rounds_until(l, &p[(b + 1) * BATCH - 1].told);
    }
}

static bool check_after(struct test *t, const char *path, const struct put *p)
{
    struct db_settings s = { .path = path };
    struct db_conn *c = NULL;
    struct arena a;
    struct str why = STR_NULL;
    bool good;

    arena_init(&a);
    good = CHECK_OK(t, db_conn_open(&s, true, &c, &a, &why));
    if (good && !CHECK_OK(t, db_check(c, notes_migrations, &a, &why))) {
        printf("%.*s\n", STR_ARG(why));
        good = false;
    }
    for (int i = 0; i < PUTS && good; i++)
        if (p[i].told && p[i].e == OK)
            good = CHECK_INT(t, 1, notes_with(c, p[i].id));
    db_conn_close(&c);
    arena_done(&a);
    return good;
}

static bool run_to_cut(struct test *t, int nth, enum powercut_mode mode, bool *went_dark)
{
    struct loop *l = loop_new();
    char path[256];
    struct db_settings s = { .path = path };
    struct put *p = calloc(PUTS, sizeof *p);
    struct db *d;
    bool good;

    snprintf(path, sizeof path, "%s/cut-%d-%d.db", test_dir(t), mode, nth);
    for (int i = 0; i < PUTS; i++) {
        p[i] = put_of(i + 1);
        p[i].body_bytes = 60000;
    }
    d = notes_open_at(t, l, &s);
    db_powercut_arm(nth, mode, (uint64_t)nth * 7919 + 1);
    write_until_dark(l, d, p);
    db_close(&d);
    *went_dark = db_powercut_happened();
    db_powercut_reset();
    good = check_after(t, path, p);
    db_powercut_reset();
    unlink(path);
    free(p);
    loop_free(&l);
    return good;
}

static void cut_at_every_sync(struct test *t, enum powercut_mode mode)
{
    bool dark = true;
    int nth;

    db_powercut_vfs_register();
    for (nth = 1; dark && nth < 200; nth++)
        if (!run_to_cut(t, nth, mode, &dark))
            break;
    CHECK(t, !dark);
    CHECK(t, nth > BATCHES);
}

static void told_survives_a_clean_cut(struct test *t)
{
    cut_at_every_sync(t, POWERCUT_DROP);
}

static void told_survives_a_torn_cut(struct test *t)
{
    cut_at_every_sync(t, POWERCUT_TORN);
}

/* The disk itself can lose: with syncing off a cut does lose what was told, which proves that the test can see it. */
static void without_sync_a_cut_is_seen(struct test *t)
{
    struct loop *l = loop_new();
    struct db_settings s = { .path = notes_path(t), .sync_off = true };
    struct db_conn *c = NULL;
    struct put p = put_of(1);
    struct db *d;
    struct arena a;
    struct str why;

    db_powercut_vfs_register();
    arena_init(&a);
    d = notes_open_at(t, l, &s);
    CHECK_OK(t, put_and_wait(d, l, &p));
    db_powercut_now();
    db_close(&d);
    db_powercut_reset();
    CHECK_OK(t, db_conn_open(&s, true, &c, &a, &why));
    CHECK(t, notes_with(c, 1) != 1);
    db_conn_close(&c);
    db_powercut_reset();
    arena_done(&a);
    loop_free(&l);
}

/* ---- BONGSU_POWERCUT: a process of its own, which says what it was told ---- */

static int child_main(const char *path)
{
    struct test t = { .name = "child" };
    struct db_settings s = { .path = path };
    struct loop *l = loop_new();
    struct db *d = notes_open_at(&t, l, &s);

    alarm(20);
    for (int64_t id = 1;; id++) {
        struct put p = put_of(id);

        if (put_and_wait(d, l, &p) == OK && write(1, &id, sizeof id) != sizeof id)
            return 1;
    }
}

static pid_t child_start(const char *path, const char *cut, int out)
{
    pid_t pid = fork();

    if (pid == 0) {
        setenv("BONGSU_POWERCUT", cut, 1);
        dup2(out, 1);
        execl("/proc/self/exe", "test_powercut", "child", path, NULL);
        _exit(127);
    }
    return pid;
}

static void a_process_dies_at_the_cut(struct test *t)
{
    static const char *const cuts[] = { "30", "31:torn" };

    for (int i = 0; i < 2; i++) {
        struct db_settings s = { 0 };
        struct db_conn *c = NULL;
        char path[256];
        int64_t id, told = 0;
        int out[2], status;
        struct arena a;
        struct str why;
        pid_t pid;

        arena_init(&a);
        snprintf(path, sizeof path, "%s/%d.db", test_dir(t), i);
        s.path = path;
        CHECK(t, pipe(out) == 0);
        pid = child_start(path, cuts[i], out[1]);
        close(out[1]);
        waitpid(pid, &status, 0);
        CHECK(t, WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        CHECK_OK(t, db_conn_open(&s, true, &c, &a, &why));
        CHECK_OK(t, db_check(c, notes_migrations, &a, &why));
        while (read(out[0], &id, sizeof id) == sizeof id) {
            CHECK_INT(t, 1, notes_with(c, id));
            told++;
        }
        CHECK(t, told > 10 && told < 31);
        db_conn_close(&c);
        close(out[0]);
        arena_done(&a);
    }
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        TEST(a_process_dies_at_the_cut), TEST(told_survives_a_clean_cut), TEST(told_survives_a_torn_cut),
        TEST(without_sync_a_cut_is_seen),
    };

    if (argc > 2 && strcmp(argv[1], "child") == 0)
        return child_main(argv[2]);
    return test_run(cases, (int)(sizeof cases / sizeof cases[0]), argc, argv);
}
