/* test_bus.c: what the bus promises, over both transports.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/mem.h"
#include "base/test.h"
#include "bus/inner.h"
#include "net/conn.h"

struct fixture {
    struct loop    *l;
    struct bus_hub *hub;
    struct bus     *talk, *ident;
    bool            local;
    const char     *dir;
};

static struct bus *join(struct test *t, struct fixture *f, const char *role)
{
    struct bus *b = NULL;

    if (f->local)
        CHECK_OK(t, bus_new_local(f->l, role, f->dir, -1, &b));
    else
        CHECK_OK(t, bus_new_inproc(f->l, role, &f->hub, &b));
    return b;
}

static struct fixture opened(struct test *t, bool local)
{
    struct fixture f = { .l = loop_new(), .local = local, .dir = local ? test_dir(t) : NULL };

    f.talk = join(t, &f, "talk");
    f.ident = join(t, &f, "ident");
    return f;
}

static void closed(struct fixture *f)
{
    bus_free(&f->talk);
    bus_free(&f->ident);
    loop_round(f->l, 0);
    loop_free(&f->l);
}

/* ---- an answer, kept ---- */

struct answer {
    int      told;
    enum err e;
    size_t   bytes;
    char     text[64];
};

static void keep(void *arg, enum err e, struct str payload)
{
    struct answer *a = arg;

    a->told++;
    a->e = e;
    a->bytes = payload.len;
    if (!str_copy(payload, a->text, sizeof a->text))
        str_copy(str_make(payload.p, 63), a->text, sizeof a->text);
}

static void rounds(struct loop *l, const int *told, int ms_max)
{
    int64_t until;

    loop_round(l, 0);
    until = loop_now_ms(l) + ms_max;
    while (!*told && loop_now_ms(l) < until)
        loop_round(l, 10);
}

static struct answer ask(struct test *t, struct fixture *f, struct bus *b, const char *subject, struct str payload)
{
    struct answer a = { 0 };

    if (CHECK_OK(t, bus_ask(b, subject, payload, 3000, keep, &a))) {
        CHECK_INT(t, 0, a.told);
        rounds(f->l, &a.told, 4000);
        CHECK_INT(t, 1, a.told);
    }
    return a;
}

static void echo(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    bus_answer(rq, OK, payload);
}

static void refuse(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    bus_answer(rq, ERR_DENIED, bus_asker(rq));
}

static void hold(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    *(struct bus_request **)arg = rq;
}

/* ---- promises, each over both ---- */

static void a_question_is_answered(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct answer a;

    CHECK_OK(t, bus_serve(f.ident, "ident.echo", echo, NULL));
    CHECK_OK(t, bus_serve(f.ident, "ident.all.*", refuse, NULL));
    CHECK_INT(t, ERR_EXISTS, bus_serve(f.ident, "ident.echo", echo, NULL));
    for (int i = 0; i < 3; i++) {
        a = ask(t, &f, f.talk, "ident.echo", STR("hello"));
        CHECK_OK(t, a.e);
        CHECK_STR(t, "hello", str_of(a.text));
    }
    a = ask(t, &f, f.talk, "ident.all.that.is", STR(""));
    CHECK_INT(t, ERR_DENIED, a.e);
    CHECK_STR(t, "talk", str_of(a.text));
    CHECK_INT(t, ERR_UNSUPPORTED, ask(t, &f, f.talk, "ident.nothing", STR("")).e);
    CHECK_OK(t, ask(t, &f, f.ident, "ident.echo", STR("to itself")).e);
    closed(&f);
}

static void a_payload_has_a_bound(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    char *big = mem_new(BUS_PAYLOAD_BYTES_MAX + 1);
    struct answer a = { 0 };

    bus_serve(f.ident, "ident.echo", echo, NULL);
    a = ask(t, &f, f.talk, "ident.echo", str_make(big, BUS_PAYLOAD_BYTES_MAX));
    CHECK(t, a.e == OK && a.bytes == BUS_PAYLOAD_BYTES_MAX);
    CHECK_INT(t, ERR_LIMIT, bus_ask(f.talk, "ident.echo", str_make(big, BUS_PAYLOAD_BYTES_MAX + 1), 1000, keep, &a));
    free(big);
    closed(&f);
}

static void an_answer_may_come_late_or_never(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct bus_request *held = NULL;
    struct answer a = { 0 };

    bus_serve(f.ident, "ident.hold", hold, &held);
    CHECK_OK(t, bus_ask(f.talk, "ident.hold", STR("x"), 3000, keep, &a));
    for (int i = 0; i < 100 && !held; i++)
        loop_round(f.l, 10);
    CHECK(t, held && !a.told);
    bus_answer(held, OK, STR("later"));
    rounds(f.l, &a.told, 1000);
    CHECK_STR(t, "later", str_of(a.text));

    held = NULL;
    a = (struct answer){ 0 };
    CHECK_OK(t, bus_ask(f.talk, "ident.hold", STR("x"), 50, keep, &a));
    rounds(f.l, &a.told, 2000);
    CHECK_INT(t, ERR_TIMEOUT, a.e);
    CHECK(t, held != NULL);
    bus_answer(held, OK, STR("too late"));
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 5);
    CHECK_INT(t, 1, a.told);
    closed(&f);
}

static void an_absent_role_is_unavailable(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct answer a = { 0 };

    CHECK_OK(t, bus_ask(f.talk, "money.pay", STR("x"), 60, keep, &a));
    rounds(f.l, &a.told, 2000);
    CHECK_INT(t, ERR_UNAVAILABLE, a.e);
    closed(&f);
}

static void a_question_waits_for_its_role(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct answer a = { 0 };
    struct bus *money;

    CHECK_OK(t, bus_ask(f.talk, "money.echo", STR("patient"), 4000, keep, &a));
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 5);
    money = join(t, &f, "money");
    bus_serve(money, "money.echo", echo, NULL);
    rounds(f.l, &a.told, 4000);
    CHECK_OK(t, a.e);
    CHECK_STR(t, "patient", str_of(a.text));
    bus_free(&money);
    closed(&f);
}

static void a_dead_role_leaves_uncertainty(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct bus_request *held = NULL;
    struct answer a = { 0 };

    bus_serve(f.ident, "ident.hold", hold, &held);
    CHECK_OK(t, bus_ask(f.talk, "ident.hold", STR("x"), 3000, keep, &a));
    for (int i = 0; i < 100 && !held; i++)
        loop_round(f.l, 10);
    bus_free(&f.ident);
    CHECK_INT(t, 0, a.told);
    rounds(f.l, &a.told, 1000);
    CHECK_INT(t, ERR_UNCERTAIN, a.e);
    bus_answer(held, OK, STR("to nobody"));
    closed(&f);
}

static void an_answer_to_a_gone_asker_goes_nowhere(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct bus_request *held = NULL;
    struct answer a = { 0 };

    bus_serve(f.ident, "ident.hold", hold, &held);
    bus_ask(f.talk, "ident.hold", STR("x"), 3000, keep, &a);
    for (int i = 0; i < 100 && !held; i++)
        loop_round(f.l, 10);
    bus_free(&f.talk);
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 5);
    CHECK_INT(t, 0, a.told);
    bus_answer(held, OK, STR("to nobody"));
    loop_round(f.l, 0);
    closed(&f);
}

static void too_many_questions_are_refused(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct answer a = { 0 };
    int taken = 0;

    while (taken < BUS_PENDING_MAX + 1 && bus_ask(f.talk, "money.pay", STR("x"), 60, keep, &a) == OK)
        taken++;
    CHECK_INT(t, BUS_PENDING_MAX, taken);
    CHECK_INT(t, 0, a.told);
    for (int i = 0; i < 200 && a.told < taken; i++)
        loop_round(f.l, 10);
    CHECK_INT(t, taken, a.told);
    closed(&f);
}

struct heard {
    int  count;
    char subjects[256];
};

static void hear(void *arg, struct str subject, struct str payload)
{
    struct heard *h = arg;

    h->count++;
    strncat(h->subjects, subject.p, subject.len);
    strcat(h->subjects, " ");
}

static void events_reach_who_subscribed(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct heard all = { 0 }, one = { 0 }, own = { 0 };

    bus_subscribe(f.talk, "ident.*", hear, &all);
    bus_subscribe(f.talk, "ident.user.gone", hear, &one);
    bus_subscribe(f.ident, "ident.user.*", hear, &own);
    for (int i = 0; i < 20; i++)
        loop_round(f.l, 5);
    CHECK_OK(t, bus_publish(f.ident, "ident.user.gone", STR("bob")));
    CHECK_OK(t, bus_publish(f.ident, "ident.key.new", STR("")));
    CHECK_OK(t, bus_publish(f.talk, "talk.other", STR("")));
    CHECK_INT(t, 0, all.count);
    for (int i = 0; i < 20 && all.count < 2; i++)
        loop_round(f.l, 5);
    loop_round(f.l, 5);
    CHECK_STR(t, "ident.user.gone ident.key.new ", str_of(all.subjects));
    CHECK_STR(t, "ident.user.gone ", str_of(one.subjects));
    CHECK_STR(t, "ident.user.gone ", str_of(own.subjects));
    closed(&f);
}

static void an_unsubscribed_subject_is_silent(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct heard one = { 0 }, two = { 0 };

    bus_subscribe(f.talk, "ident.user.gone", hear, &one);
    bus_subscribe(f.talk, "ident.user.gone", hear, &two);
    for (int i = 0; i < 20; i++)
        loop_round(f.l, 5);
    bus_unsubscribe(f.talk, "ident.user.gone", hear, &one);
    bus_unsubscribe(f.talk, "ident.user.other", hear, &one);     /* never was */
    bus_publish(f.ident, "ident.user.gone", STR("bob"));
    for (int i = 0; i < 20 && !two.count; i++)
        loop_round(f.l, 5);
    CHECK_INT(t, 0, one.count);
    CHECK_INT(t, 1, two.count);
    bus_unsubscribe(f.talk, "ident.user.gone", hear, &two);
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 5);
    bus_publish(f.ident, "ident.user.gone", STR("bob"));
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 5);
    CHECK_INT(t, 1, two.count);
    bus_subscribe(f.talk, "ident.user.gone", hear, &one);
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 5);
    bus_publish(f.ident, "ident.user.gone", STR("bob"));
    for (int i = 0; i < 20 && !one.count; i++)
        loop_round(f.l, 5);
    CHECK_INT(t, 1, one.count);
    closed(&f);
}

struct told { int lost, whole; };

static void broke(void *arg, bool connected)
{
    struct told *told = arg;

    *(connected ? &told->whole : &told->lost) += 1;
}

static void what_cannot_break_is_whole_once(struct test *t, bool local)
{
    struct fixture f = opened(t, local);
    struct told told = { 0 };

    bus_on_break(f.talk, broke, &told);
    CHECK_INT(t, 0, told.whole);
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 1);
    CHECK(t, told.whole == 1 && told.lost == 0 && bus_connected(f.talk));
    closed(&f);
}

#define BOTH(promise) \
    static void local_##promise(struct test *t) { promise(t, true); } \
    static void inproc_##promise(struct test *t) { promise(t, false); }
BOTH(a_question_is_answered)
BOTH(a_payload_has_a_bound)
BOTH(an_answer_may_come_late_or_never)
BOTH(an_absent_role_is_unavailable)
BOTH(a_question_waits_for_its_role)
BOTH(a_dead_role_leaves_uncertainty)
BOTH(an_answer_to_a_gone_asker_goes_nowhere)
BOTH(too_many_questions_are_refused)
BOTH(events_reach_who_subscribed)
BOTH(an_unsubscribed_subject_is_silent)
BOTH(what_cannot_break_is_whole_once)

/* ---- standing in for NATS ---- */

static void a_standin_behaves_like_nats(struct test *t)
{
    struct fixture f = { .l = loop_new() };
    struct told told = { 0 };
    struct heard ann = { 0 }, own = { 0 };
    struct answer a;

    CHECK_OK(t, bus_new_standin(f.l, "talk", &f.hub, &f.talk));
    CHECK_OK(t, bus_new_standin(f.l, "talk2", &f.hub, &f.ident));
    bus_on_break(f.talk, broke, &told);
    bus_subscribe(f.talk, "person.ann", hear, &ann);
    bus_subscribe(f.ident, "person.*", hear, &own);
    bus_serve(f.ident, "node.two", echo, NULL);
    for (int i = 0; i < 3; i++)
        loop_round(f.l, 1);
    CHECK_OK(t, bus_publish(f.ident, "person.ann", STR("x")));
    for (int i = 0; i < 3; i++)
        loop_round(f.l, 1);
    CHECK(t, ann.count == 1 && own.count == 0);
    CHECK_OK(t, ask(t, &f, f.talk, "node.two", STR("x")).e);
    CHECK_OK(t, ask(t, &f, f.ident, "node.two", STR("x")).e);
    CHECK_INT(t, ERR_UNAVAILABLE, ask(t, &f, f.talk, "node.three", STR("x")).e);

    bus_standin_break(f.talk, false);
    CHECK(t, told.lost == 1 && !bus_connected(f.talk));
    CHECK_INT(t, ERR_UNAVAILABLE, bus_publish(f.talk, "person.bob", STR("x")));
    CHECK_INT(t, ERR_UNAVAILABLE, ask(t, &f, f.talk, "node.two", STR("x")).e);
    bus_publish(f.ident, "person.ann", STR("missed"));
    bus_standin_break(f.talk, true);
    bus_publish(f.ident, "person.ann", STR("x"));
    for (int i = 0; i < 3; i++)
        loop_round(f.l, 1);
    a = ask(t, &f, f.talk, "node.two", STR("again"));
    CHECK_STR(t, "again", str_of(a.text));
    CHECK(t, ann.count == 2 && told.whole == 2);
    closed(&f);
}

/* ---- between processes ---- */

/* The other process died a moment ago, and the bus has not been told yet. */
static void a_question_over_a_dead_link_waits_for_the_next(struct test *t)
{
    struct fixture f = opened(t, true);
    struct answer a = { 0 };

    bus_serve(f.ident, "ident.echo", echo, NULL);
    CHECK_OK(t, ask(t, &f, f.talk, "ident.echo", STR("alive")).e);
    LIST_EACH(it, &f.talk->links) {
        struct bus_link *k = LIST_ITEM(it, struct bus_link, link);

        k->ops->abort(k);
    }
    CHECK_OK(t, bus_ask(f.talk, "ident.echo", STR("patient"), 4000, keep, &a));
    rounds(f.l, &a.told, 4000);
    CHECK_OK(t, a.e);
    CHECK_STR(t, "patient", str_of(a.text));
    closed(&f);
}

static void a_role_comes_back(struct test *t)
{
    struct fixture f = opened(t, true);
    struct heard h = { 0 };

    bus_subscribe(f.talk, "ident.*", hear, &h);
    for (int i = 0; i < 10; i++)
        loop_round(f.l, 5);
    for (int life = 0; life < 3; life++) {
        bus_free(&f.ident);
        for (int i = 0; i < 5; i++)
            loop_round(f.l, 5);
        f.ident = join(t, &f, "ident");
        bus_serve(f.ident, "ident.echo", echo, NULL);
        CHECK_OK(t, ask(t, &f, f.talk, "ident.echo", STR("again")).e);
        for (int i = 0; i < 200 && h.count <= life; i++) {
            if (i % 20 == 0)
                bus_publish(f.ident, "ident.up", STR(""));
            loop_round(f.l, 5);
        }
        CHECK(t, h.count > life);
    }
    closed(&f);
}

static int connect_to(const char *dir, const char *role)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(to.sun_path, sizeof to.sun_path, "%s/%s.bus", dir, role);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* True when the bus hangs up on us. */
static bool is_hung_up_on(struct loop *l, int fd)
{
    char text[256];

    for (int i = 0; i < 100; i++) {
        ssize_t n;

        loop_round(l, 5);
        n = recv(fd, text, sizeof text, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return true;
    }
    return false;
}

static void nonsense_is_hung_up_on(struct test *t)
{
    static const struct str lines[] = {
        { "GET / HTTP/1.0\r\n\r\n", 18 },
        { "\0\0\0\6\2\1\0\0\0\0", 10 },              /* another version */
        { "\0\0\0\7\1\1\0\0\3Ab", 11 },              /* a hello that is not whole */
        { "\0\0\0\x0a\1\2\1\0\5a.bb\1", 14 },        /* a question before the hello */
    };
    struct fixture f = opened(t, true);

    bus_serve(f.ident, "ident.echo", echo, NULL);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        int fd = connect_to(f.dir, "ident");

        CHECK(t, fd >= 0 && write(fd, lines[i].p, lines[i].len) == (ssize_t)lines[i].len);
        CHECK(t, is_hung_up_on(f.l, fd));
        close(fd);
    }
    CHECK_OK(t, ask(t, &f, f.talk, "ident.echo", STR("still here")).e);
    closed(&f);
}

static void another_user_is_hung_up_on(struct test *t)
{
    struct fixture f;
    char path[128];
    int ready[2], status = 0;
    pid_t pid;

    if (geteuid() != 0) {
        test_skip(t, "needs root to become somebody else");
        return;
    }
    f = opened(t, true);
    snprintf(path, sizeof path, "%s/ident.bus", f.dir);
    CHECK(t, chmod(f.dir, 0711) == 0 && chmod(path, 0666) == 0 && pipe(ready) == 0);
    pid = fork();
    if (pid == 0) {
        char c;
        int fd;

        if (setresuid(65534, 65534, 65534) != 0)
            _exit(2);
        fd = connect_to(f.dir, "ident");
        if (fd < 0 || write(ready[1], "x", 1) != 1)
            _exit(3);
        while (recv(fd, &c, 1, 0) > 0)
            _exit(4);                /* it was greeted */
        _exit(0);
    }
    CHECK(t, read(ready[0], path, 1) == 1);
    for (int i = 0; i < 200 && waitpid(pid, &status, WNOHANG) == 0; i++)
        loop_round(f.l, 5);
    CHECK(t, WIFEXITED(status));
    CHECK_INT(t, 0, WEXITSTATUS(status));
    close(ready[0]);
    close(ready[1]);
    closed(&f);
}

/* A real process, killed with the question in its hand; its listening socket is held by us, as the keeper does. */
static void die_holding(void *arg, struct bus_request *rq, struct str subject, struct str payload)
{
    kill(getpid(), SIGKILL);
}

static pid_t money_process(const char *dir, int listen_fd, bool dies)
{
    pid_t pid = fork();
    struct loop *l;
    struct bus *b;

    if (pid)
        return pid;
    l = loop_new();
    alarm(20);
    if (bus_new_local(l, "money", dir, dup(listen_fd), &b) != OK)
        _exit(1);
    bus_serve(b, "money.pay", dies ? die_holding : echo, NULL);
    loop_run(l);
    _exit(0);
}

static void a_killed_process_leaves_uncertainty_and_returns(struct test *t)
{
    struct fixture f = opened(t, true);
    char address[128];
    struct answer a = { 0 };
    pid_t pid;
    int fd;

    snprintf(address, sizeof address, "unix:%s/money.bus", f.dir);
    CHECK_OK(t, listen_socket(str_of(address), &fd));
    pid = money_process(f.dir, fd, true);
    CHECK_INT(t, ERR_UNCERTAIN, ask(t, &f, f.talk, "money.pay", STR("1")).e);
    waitpid(pid, NULL, 0);
    /* Asked while nobody runs: connects queue at the held socket until the next one takes them. */
    CHECK_OK(t, bus_ask(f.talk, "money.pay", STR("2"), 4000, keep, &a));
    for (int i = 0; i < 10; i++)
        loop_round(f.l, 5);
    CHECK_INT(t, 0, a.told);
    pid = money_process(f.dir, fd, false);
    rounds(f.l, &a.told, 4000);
    CHECK_OK(t, a.e);
    CHECK_STR(t, "2", str_of(a.text));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
    closed(&f);
}

TEST_MAIN(TEST(local_a_question_is_answered), TEST(inproc_a_question_is_answered), TEST(local_a_payload_has_a_bound),
          TEST(inproc_a_payload_has_a_bound), TEST(local_an_answer_may_come_late_or_never),
          TEST(inproc_an_answer_may_come_late_or_never), TEST(local_an_absent_role_is_unavailable),
          TEST(inproc_an_absent_role_is_unavailable), TEST(local_a_question_waits_for_its_role),
          TEST(inproc_a_question_waits_for_its_role), TEST(local_a_dead_role_leaves_uncertainty),
          TEST(inproc_a_dead_role_leaves_uncertainty), TEST(local_an_answer_to_a_gone_asker_goes_nowhere),
          TEST(inproc_an_answer_to_a_gone_asker_goes_nowhere), TEST(local_too_many_questions_are_refused),
          TEST(inproc_too_many_questions_are_refused), TEST(local_events_reach_who_subscribed),
          TEST(inproc_events_reach_who_subscribed), TEST(local_an_unsubscribed_subject_is_silent),
          TEST(inproc_an_unsubscribed_subject_is_silent), TEST(local_what_cannot_break_is_whole_once),
          TEST(inproc_what_cannot_break_is_whole_once), TEST(a_standin_behaves_like_nats), TEST(a_question_over_a_dead_link_waits_for_the_next),
          TEST(a_role_comes_back), TEST(nonsense_is_hung_up_on),
          TEST(another_user_is_hung_up_on), TEST(a_killed_process_leaves_uncertainty_and_returns))
