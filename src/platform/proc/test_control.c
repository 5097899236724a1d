/* test_control.c: commands over the control socket, both sides, one of them on a thread.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/test.h"
#include "proc/control.h"

struct fixture {
    struct loop            *l;
    struct control         *c;
    struct control_request *held;
    char                    path[128];
};

static void command_run(void *arg, struct control_request *rq, const char *command, const json_t *args)
{
    struct fixture *f = arg;

    if (strcmp(command, "hold") == 0)
        f->held = rq;
    else if (strcmp(command, "add") == 0)
        control_answer(rq, OK, json_pack("{s:s,s:O}", "text", "added", "user", json_object_get(args, "user")));
    else if (strcmp(command, "plain") == 0)
        control_answer(rq, OK, NULL);
    else
        control_answer(rq, ERR_UNSUPPORTED, NULL);
}

static void opened(struct test *t, struct fixture *f)
{
    *f = (struct fixture){ .l = loop_new() };
    snprintf(f->path, sizeof f->path, "%s/control", test_dir(t));
    CHECK_OK(t, control_listen(f->l, f->path, command_run, f, &f->c));
}

static void closed(struct fixture *f)
{
    control_free(&f->c);
    loop_round(f->l, 0);
    loop_free(&f->l);
}

struct call {
    const struct fixture *f;
    json_t   *request, *answer;
    int       timeout_ms;
    enum err  e;
    bool      over;
};

static void *call_run(void *arg)
{
    struct call *c = arg;

    c->e = control_call(c->f->path, c->request, c->timeout_ms, &c->answer);
    __atomic_store_n(&c->over, true, __ATOMIC_RELEASE);
    return NULL;
}

static struct call call(struct fixture *f, json_t *request, int timeout_ms)
{
    struct call c = { .f = f, .request = request, .timeout_ms = timeout_ms };
    pthread_t thread;

    pthread_create(&thread, NULL, call_run, &c);
    for (int i = 0; i < 1000 && !__atomic_load_n(&c.over, __ATOMIC_ACQUIRE); i++)
        loop_round(f->l, 5);
    pthread_join(thread, NULL);
    json_decref(c.request);
    return c;
}

static const char *text_of(const struct call *c, const char *key)
{
    const char *text = json_string_value(json_object_get(c->answer, key));

    return text ? text : "";
}

static void a_command_is_answered(struct test *t)
{
    struct fixture f;
    struct call c;

    opened(t, &f);
    c = call(&f, json_pack("{s:s,s:s}", "command", "add", "user", "봉수"), 3000);
    CHECK_OK(t, c.e);
    CHECK(t, json_is_true(json_object_get(c.answer, "ok")));
    CHECK_STR(t, "봉수", str_of(text_of(&c, "user")));
    json_decref(c.answer);
    c = call(&f, json_pack("{s:s}", "command", "plain"), 3000);
    CHECK(t, json_is_true(json_object_get(c.answer, "ok")));
    json_decref(c.answer);
    c = call(&f, json_pack("{s:s}", "command", "fly"), 3000);
    CHECK_OK(t, c.e);
    CHECK(t, json_is_false(json_object_get(c.answer, "ok")));
    CHECK_STR(t, "unsupported", str_of(text_of(&c, "error")));
    json_decref(c.answer);
    c = call(&f, json_pack("{s:i}", "command", 7), 3000);
    CHECK_STR(t, "invalid", str_of(text_of(&c, "error")));
    json_decref(c.answer);
    closed(&f);
}

static void the_socket_is_its_owners_alone(struct test *t)
{
    struct fixture f;
    struct stat st;

    opened(t, &f);
    CHECK(t, stat(f.path, &st) == 0 && (st.st_mode & 0777) == 0600);
    closed(&f);
    CHECK(t, stat(f.path, &st) != 0);
}

static void a_tool_gives_up_in_time(struct test *t)
{
    struct fixture f;
    struct call c;

    opened(t, &f);
    c = call(&f, json_pack("{s:s}", "command", "hold"), 100);
    CHECK_INT(t, ERR_TIMEOUT, c.e);
    CHECK(t, c.answer == NULL);
    for (int i = 0; i < 5; i++)
        loop_round(f.l, 5);
    if (CHECK(t, f.held != NULL))
        control_answer(f.held, OK, NULL);      /* to nobody */
    closed(&f);
}

static void no_server_is_unavailable(struct test *t)
{
    struct fixture f = { 0 };
    json_t *answer, *request = json_pack("{s:s}", "command", "plain");

    snprintf(f.path, sizeof f.path, "%s/nobody", test_dir(t));
    CHECK_INT(t, ERR_UNAVAILABLE, control_call(f.path, request, 100, &answer));
    json_decref(request);
}

static void a_second_server_is_refused(struct test *t)
{
    struct fixture f;
    struct control *second = NULL;

    opened(t, &f);
    CHECK_INT(t, ERR_EXISTS, control_listen(f.l, f.path, command_run, &f, &second));
    closed(&f);
}

/* A server that was killed leaves its socket file; the next one takes the place. */
static void a_stale_socket_is_replaced(struct test *t)
{
    struct sockaddr_un at = { .sun_family = AF_UNIX };
    struct fixture f;
    struct call c;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(at.sun_path, sizeof at.sun_path, "%s/control", test_dir(t));
    CHECK(t, bind(fd, (struct sockaddr *)&at, sizeof at) == 0);
    close(fd);
    opened(t, &f);
    c = call(&f, json_pack("{s:s}", "command", "plain"), 3000);
    CHECK_OK(t, c.e);
    json_decref(c.answer);
    closed(&f);
}

TEST_MAIN(TEST(a_command_is_answered), TEST(the_socket_is_its_owners_alone), TEST(a_tool_gives_up_in_time),
          TEST(no_server_is_unavailable), TEST(a_second_server_is_refused), TEST(a_stale_socket_is_replaced))
