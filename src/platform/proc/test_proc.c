/* test_proc.c: children are held, restarted and stopped; rights given up are gone. Run with an
 * argument "child-…" this program is the child.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/test.h"
#include "bus/bus.h"
#include "db/commit.h"
#include "net/conn.h"
#include "proc/proc.h"

/* ---- children ---- */

struct keeper {
    struct loop      *l;
    struct proc_child child, *children[1];
    int               pipe[2];
    int               deaths;
    int               status;
};

static void on_sigchld(void *arg, int signum)
{
    struct keeper *k = arg;

    proc_reap(k->l, k->children, 1);
}

static void on_death(struct proc_child *c, int status)
{
    struct keeper *k = c->arg;

    k->deaths++;
    k->status = status;
}

static void keeper_init(struct test *t, struct keeper *k, const char *what)
{
    *k = (struct keeper){ .l = loop_new() };
    CHECK(t, pipe2(k->pipe, O_CLOEXEC) == 0);
    k->children[0] = &k->child;
    k->child = (struct proc_child){ .role = "test", .argv = { "/proc/self/exe", what, NULL }, .fd_count = 2,
                                    .fds = { { "first", k->pipe[0] }, { "out", k->pipe[1] } }, .arg = k, .died = on_death };
    CHECK_OK(t, loop_signal(k->l, SIGCHLD, on_sigchld, k));
}

static void keeper_done(struct keeper *k)
{
    close(k->pipe[0]);
    close(k->pipe[1]);
    loop_free(&k->l);
}

static void rounds_until_deaths(struct keeper *k, int deaths)
{
    for (int i = 0; i < 1000 && k->deaths < deaths; i++)
        loop_round(k->l, 10);
}

static void a_child_finds_its_descriptors(struct test *t)
{
    struct keeper k;
    char text[16] = "";

    keeper_init(t, &k, "child-write");
    CHECK_OK(t, proc_start(k.l, &k.child));
    CHECK(t, k.child.pid > 0);
    CHECK_INT(t, 5, read(k.pipe[0], text, sizeof text));
    CHECK_STR(t, "hello", str_of(text));
    rounds_until_deaths(&k, 1);
    CHECK(t, WIFEXITED(k.status) && WEXITSTATUS(k.status) == 0);
    proc_stop(&k.child, SIGTERM);
    keeper_done(&k);
}

static void a_dead_child_is_started_again(struct test *t)
{
    struct keeper k;

    keeper_init(t, &k, "child-exit");
    CHECK_OK(t, proc_start(k.l, &k.child));
    rounds_until_deaths(&k, 1);
    CHECK(t, k.child.pid == 0 && k.child.backoff_ms == PROC_BACKOFF_MS_MIN);
    rounds_until_deaths(&k, 3);
    CHECK_INT(t, 2, k.child.restarts);
    CHECK_INT(t, 4 * PROC_BACKOFF_MS_MIN, k.child.backoff_ms);
    CHECK_INT(t, 7, WEXITSTATUS(k.status));
    proc_stop(&k.child, SIGTERM);
    loop_round(k.l, 500);
    CHECK_INT(t, 0, k.child.pid);
    keeper_done(&k);
}

static void a_stopped_child_stays_stopped(struct test *t)
{
    struct keeper k;

    keeper_init(t, &k, "child-wait");
    CHECK_OK(t, proc_start(k.l, &k.child));
    proc_stop(&k.child, SIGTERM);
    rounds_until_deaths(&k, 1);
    CHECK(t, WIFSIGNALED(k.status) && WTERMSIG(k.status) == SIGTERM);
    loop_round(k.l, 200);
    CHECK_INT(t, 0, k.child.pid);
    keeper_done(&k);
}

static void a_child_dies_with_its_parent(struct test *t)
{
    struct keeper k;
    pid_t parent;
    char c;

    keeper_init(t, &k, "child-wait");
    parent = fork();
    if (parent == 0) {
        struct loop *l = loop_new();

        if (proc_start(l, &k.child) != OK || write(k.pipe[1], "x", 1) != 1)
            _exit(1);
        pause();
    }
    CHECK_INT(t, 1, read(k.pipe[0], &c, 1));
    close(k.pipe[1]);
    k.pipe[1] = -1;
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    CHECK_INT(t, 0, read(k.pipe[0], &c, 1));     /* ends when nobody holds the other end */
    keeper_done(&k);
}

static void a_program_that_is_absent_is_tried_again(struct test *t)
{
    struct keeper k;

    keeper_init(t, &k, "");
    k.child.argv[0] = "/nonexistent/bongsu";
    CHECK_OK(t, proc_start(k.l, &k.child));
    rounds_until_deaths(&k, 2);
    CHECK_INT(t, 127, WEXITSTATUS(k.status));
    proc_stop(&k.child, SIGTERM);
    keeper_done(&k);
}

static int child_main(const char *what)
{
    alarm(20);
    if (strcmp(what, "child-write") == 0)
        return proc_fd_get("first") == 3 && proc_fd_get("none") == -1 && write(proc_fd_get("out"), "hello", 5) == 5 ? 0 : 1;
    if (strcmp(what, "child-exit") == 0)
        return 7;
    pause();
    return 0;
}

/* ---- rights: each in a child of its own, which exits with the number of the first check that failed ---- */

static bool sanitized(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
    return true;
#endif
#endif
    return false;
}

static void in_child(struct test *t, int (*run)(const char *dir))
{
    const char *dir = test_dir(t);
    int status = 0;
    pid_t pid;

    if (sanitized()) {
        test_skip(t, "the filter is off under a sanitizer");
        return;
    }
    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        alarm(20);
        _exit(run(dir));
    }
    waitpid(pid, &status, 0);
    CHECK_INT(t, 0, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    CHECK_INT(t, 0, WEXITSTATUS(status));
}

#define NEED(number, expr) do { if (!(expr)) return (number); } while (0)

static int refusals(const char *dir)
{
    char *const argv[] = { (char[]){ "true" }, NULL };

    NEED(1, proc_drop(NULL, PROC_MAY_ACCEPT) == OK);
    NEED(2, execve("/bin/true", argv, NULL) == -1 && errno == EPERM);
    NEED(3, fork() == -1);
    NEED(4, socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM);
    NEED(5, socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM);
    NEED(6, open("/etc/passwd", O_RDONLY) == -1 && errno == EPERM);
    NEED(7, ptrace(PTRACE_TRACEME, 0, NULL, NULL) == -1 && errno == EPERM);
    NEED(8, mount("none", dir, "tmpfs", 0, NULL) == -1 && errno == EPERM);
    NEED(9, kill(1, 0) == -1 && errno == EPERM);
    NEED(10, unlink(dir) == -1 && errno == EPERM);
    NEED(11, kill(getpid(), 0) == 0);
    return 0;
}

static void *thread_run(void *arg)
{
    char *p = malloc(4 * 1024 * 1024);
    bool good = p && getpid() > 0;

    free(p);
    return good ? arg : NULL;
}

static int talk_after_drop(const char *dir)
{
    char byte = 0;
    void *back = NULL;
    pthread_t thread;
    int pair[2];

    NEED(1, socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    NEED(2, proc_drop(NULL, PROC_MAY_ACCEPT) == OK);
    NEED(3, write(pair[0], "x", 1) == 1 && read(pair[1], &byte, 1) == 1);
    NEED(4, pthread_create(&thread, NULL, thread_run, dir ? &byte : NULL) == 0);
    NEED(5, pthread_join(thread, &back) == 0 && back == &byte);
    NEED(6, proc_rss_bytes() > 0);
    struct loop *l = loop_new();
    NEED(7, l != NULL);
    loop_round(l, 1);
    loop_free(&l);
    return 0;
}

static int connect_after_drop(const char *dir)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    int fd;

    snprintf(at.sun_path, sizeof at.sun_path, "%s/nobody", dir);
    NEED(1, proc_drop(NULL, PROC_MAY_ACCEPT | PROC_MAY_CONNECT) == OK);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    NEED(2, fd >= 0);
    NEED(3, connect(fd, (struct sockaddr *)&at, sizeof at) == -1 && errno == ENOENT);
    NEED(4, bind(fd, (struct sockaddr *)&at, sizeof at) == -1 && errno == EPERM);
    NEED(5, socket(AF_INET, SOCK_STREAM, 0) == -1 && errno == EPERM);
    return 0;
}

/* As much of a NATS server as a client needs to be connected. */
static void serve_nats(int fd)
{
    char said[2048];

    if (write(fd, "INFO {}\r\n", 9) == 9)
        for (ssize_t n; (n = read(fd, said, sizeof said)) > 0;)
            for (const char *p = said; (p = memmem(p, (size_t)(said + n - p), "PING\r\n", 6)); p += 6)
                if (write(fd, "PONG\r\n", 6) != 6)
                    _exit(99);
}

static int reach_after_drop(const char *dir)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t size = sizeof at;
    char servers[64];
    struct loop *l = loop_new();
    struct bus *b = NULL;
    struct arena a;
    struct str why;
    int fd;

    arena_init(&a);
    NEED(1, listen_socket(STR("127.0.0.1:0"), &fd) == OK && getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    if (fork() == 0) {
        alarm(20);
        fcntl(fd, F_SETFL, 0);
        serve_nats(accept(fd, NULL, NULL));
        _exit(0);
    }
    NEED(2, proc_drop(NULL, PROC_MAY_ACCEPT | PROC_MAY_CONNECT | PROC_MAY_REACH) == OK);
    snprintf(servers, sizeof servers, "127.0.0.1:%d", ntohs(at.sin_port));
    NEED(3, bus_new_nats(l, "talk", &(struct bus_nats){ .servers = servers }, &b, &a, &why) == OK);
    for (int i = 0; i < 200 && !bus_connected(b); i++)
        loop_round(l, 10);
    NEED(4, bus_connected(b));
    NEED(5, bind(fd, (struct sockaddr *)&at, sizeof at) == -1 && errno == EPERM);
    return 0;
}

static const struct db_migration migrations[] = { { 1, "x", "CREATE TABLE x(a INTEGER PRIMARY KEY, b BLOB);" }, { 0 } };
static struct db_sql sql_put = { .text = "INSERT INTO x(b) VALUES (zeroblob(200000))" };

struct put {
    struct commit_op op;
    enum err         e;
    bool             told;
};

static enum err put_apply(struct db_conn *c, struct commit_op *op)
{
    return db_run(c, &sql_put, "");
}

static void put_done(struct commit_op *op, enum err e)
{
    struct put *p = LIST_ITEM(op, struct put, op);

    p->told = true;
    p->e = e;
}

/* The whole database: opening, threads, commits, a checkpoint, closing. */
static int database_after_drop(const char *dir)
{
    struct loop *l = loop_new();
    char path[128];
    struct db_settings s = { .path = path };
    struct db *d;
    struct arena a;
    struct str why;

    arena_init(&a);
    snprintf(path, sizeof path, "%s/x.db", dir);
    NEED(1, proc_drop(NULL, PROC_MAY_ACCEPT | PROC_MAY_FILES) == OK);
    for (int life = 0; life < 2; life++) {
        NEED(2, db_open(l, &s, migrations, &d, &a, &why) == OK);
        for (int n = 0; n < 100; n++) {
            struct put p = { .op = { .apply = put_apply, .done = put_done } };

            NEED(3, commit_add(d, &p.op) == OK);
            for (int i = 0; i < 1000 && !p.told; i++)
                loop_round(l, 10);
            NEED(4, p.told && p.e == OK);
        }
        db_close(&d);
    }
    NEED(5, socket(AF_UNIX, SOCK_STREAM, 0) == -1 && errno == EPERM);
    NEED(6, open("/nonexistent/x", O_RDONLY) == -1 && errno == ENOENT);
    return 0;
}

static int another_user(const char *dir)
{
    NEED(1, proc_drop("nobody", PROC_MAY_ACCEPT) == OK);
    NEED(2, geteuid() != 0 && getegid() != 0);
    NEED(3, setuid(0) != 0);
    return 0;
}

static void what_was_given_up_is_refused(struct test *t) { in_child(t, refusals); }
static void a_role_can_still_talk(struct test *t) { in_child(t, talk_after_drop); }
static void a_role_can_connect_if_it_may(struct test *t) { in_child(t, connect_after_drop); }
static void a_role_can_reach_machines_if_it_may(struct test *t) { in_child(t, reach_after_drop); }
static void a_database_works_behind_the_filter(struct test *t) { in_child(t, database_after_drop); }

static void root_becomes_somebody(struct test *t)
{
    if (geteuid() != 0)
        test_skip(t, "needs root");
    else
        in_child(t, another_user);
}

static void the_process_knows_itself(struct test *t)
{
    CHECK(t, proc_rss_bytes() > 1024 * 1024);
    CHECK(t, proc_files_max() >= 256);
    CHECK(t, getenv("BONGSU_FDS") != NULL || proc_fd_get("talk") == -1);
}

int main(int argc, char **argv)
{
    static const struct test_case cases[] = {
        TEST(a_child_finds_its_descriptors), TEST(a_dead_child_is_started_again), TEST(a_stopped_child_stays_stopped),
        TEST(a_child_dies_with_its_parent), TEST(a_program_that_is_absent_is_tried_again),
        TEST(what_was_given_up_is_refused), TEST(a_role_can_still_talk), TEST(a_role_can_connect_if_it_may),
        TEST(a_role_can_reach_machines_if_it_may),
        TEST(a_database_works_behind_the_filter), TEST(root_becomes_somebody), TEST(the_process_knows_itself),
    };

    if (argc > 1 && strncmp(argv[1], "child-", 6) == 0)
        return child_main(argv[1]);
    return test_run(cases, (int)(sizeof cases / sizeof cases[0]), argc, argv);
}
