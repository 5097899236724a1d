/* control.c: the control socket, both sides.
 *
 *   accepted ──a line──▶ asked ──control_answer──▶ draining ──▶ closed
 *       └── no line in time, or nonsense ──▶ closed
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "proc/control.h"

enum { REQUESTS_MAX = 64, LINE_MS_MAX = 10000 };

struct control {
    struct loop     *loop;
    struct listener *listener;
    char             path[sizeof ((struct sockaddr_un *)0)->sun_path];
    control_fn      *fn;
    void            *arg;
    struct list      requests;
    int              request_count;
};

struct control_request {
    struct list     link;            /* in control->requests while the conn lives */
    struct control *control;
    struct conn    *conn;            /* NULL: the tool has gone away */
    struct timer    late;
    bool            asked, answered;
    json_t         *args;
};

static const struct conn_limits limits = {
    .in_bytes_max = CONTROL_LINE_BYTES_MAX,
    .out_bytes_max = CONTROL_ANSWER_BYTES_MAX,
    .stall_ms_max = 30000,
};

static bool address_of(const char *path, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return str_copy(str_of(path), out->sun_path, sizeof out->sun_path);
}

/* ---- the server's side ---- */

static void request_free(struct control_request *rq)
{
    json_decref(rq->args);
    free(rq);
}

static struct buf answer_text(enum err e, json_t *answer)
{
    struct buf out;
    char *text;

    if (!json_is_object(answer)) {
        json_decref(answer);
        answer = json_object();
    }
    json_object_set_new(answer, "ok", json_boolean(e == OK));
    if (e) {
        json_object_set_new(answer, "error", json_string(err_info(e)->name));
        if (!json_object_get(answer, "text"))
            json_object_set_new(answer, "text", json_string(err_info(e)->sentence));
    }
    text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    buf_init(&out, CONTROL_ANSWER_BYTES_MAX);
    if (text)
        buf_put_z(&out, text);
    buf_put_c(&out, '\n');
    if (text)
        mem_wipe(text, strlen(text));
    free(text);
    return out;
}

void control_answer(struct control_request *rq, enum err e, json_t *answer)
{
    struct buf out = answer_text(e, answer);

    rq->answered = true;
    if (!rq->conn) {
        request_free(rq);
    } else {
        if (out.overflow || conn_write(rq->conn, buf_str(&out)) != OK)
            LOG_WARN("control.answer", LF_I64("bytes", (int64_t)out.len));
        conn_close(rq->conn);
    }
    if (out.p)
        mem_wipe(out.p, out.len);        /* it may hold a password made for someone */
    buf_done(&out);
}

static void request_ask(struct control_request *rq, struct str line)
{
    struct control *c = rq->control;
    const char *command;

    rq->asked = true;
    timer_stop(c->loop, &rq->late);
    rq->args = json_loadb(line.p, line.len, JSON_REJECT_DUPLICATES, NULL);
    command = json_string_value(json_object_get(rq->args, "command"));
    if (!command)
        control_answer(rq, ERR_INVALID, json_pack("{s:s}", "text", "a request is a JSON object with a \"command\""));
    else
        c->fn(c->arg, rq, command, rq->args);
}

static size_t request_data(void *arg, struct conn *conn, struct str in)
{
    struct control_request *rq = arg;
    ptrdiff_t end = str_find(in, '\n');

    if (rq->asked)
        return in.len;               /* one request, one answer */
    if (end < 0)
        return 0;
    request_ask(rq, str_make(in.p, (size_t)end));
    return in.len;
}

static void request_closed(void *arg, struct conn *conn, enum err why)
{
    struct control_request *rq = arg;

    timer_stop(rq->control->loop, &rq->late);
    rq->control->request_count--;
    list_remove(&rq->link);
    rq->conn = NULL;
    if (!rq->asked || rq->answered)
        request_free(rq);
}

static const struct conn_handlers request_handlers = { .data = request_data, .closed = request_closed };

static void request_late(struct timer *t)
{
    conn_abort(LIST_ITEM(t, struct control_request, late)->conn, ERR_TIMEOUT);
}

/* The mode of the socket says so already; this holds where modes of sockets are ignored. */
static bool peer_is_ours(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0 && (who.uid == 0 || who.uid == geteuid());
}

static void accepted(void *arg, int fd)
{
    struct control *c = arg;
    struct control_request *rq;

    if (c->request_count >= REQUESTS_MAX || !peer_is_ours(fd)) {
        close(fd);
        return;
    }
    rq = NEW(struct control_request);
    rq->control = c;
    rq->conn = conn_new(c->loop, fd, &limits, &request_handlers, rq);
    list_append(&c->requests, &rq->link);
    c->request_count++;
    timer_start(c->loop, &rq->late, LINE_MS_MAX, request_late);
}

static int try_connect(const char *path)
{
    struct sockaddr_un to;
    int fd;

    if (!address_of(path, &to))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

enum err control_listen(struct loop *l, const char *socket_path, control_fn *fn, void *arg, struct control **out)
{
    struct sockaddr_un at;
    char address[sizeof at.sun_path + 8];
    struct control *c;
    mode_t before;
    int fd;
    enum err e;

    if (!address_of(socket_path, &at))
        return ERR_INVALID;
    fd = try_connect(socket_path);
    if (fd >= 0) {
        close(fd);
        return ERR_EXISTS;           /* another server answers there */
    }
    unlink(socket_path);             /* left by one that was killed */
    snprintf(address, sizeof address, "unix:%s", socket_path);
    before = umask(0177);
    e = listen_socket(str_of(address), &fd);
    umask(before);
    if (e)
        return e;
    c = NEW(struct control);
    c->loop = l;
    c->fn = fn;
    c->arg = arg;
    list_init(&c->requests);
    memcpy(c->path, at.sun_path, sizeof c->path);
    c->listener = listener_new(l, fd, accepted, c);
    *out = c;
    return OK;
}

static size_t quiet_data(void *arg, struct conn *c, struct str in)
{
    return in.len;
}

static void quiet_closed(void *arg, struct conn *c, enum err why)
{
}

static const struct conn_handlers quiet_handlers = { .data = quiet_data, .closed = quiet_closed };

void control_free(struct control **cp)
{
    struct control *c = *cp;

    if (!c)
        return;
    listener_free(&c->listener);
    unlink(c->path);
    LIST_EACH(it, &c->requests) {
        struct control_request *rq = LIST_ITEM(it, struct control_request, link);

        timer_stop(c->loop, &rq->late);
        conn_set_handlers(rq->conn, &quiet_handlers, NULL);
        /* An answer on its way ("stopping") still leaves. */
        if (rq->answered)
            conn_close(rq->conn);
        else
            conn_abort(rq->conn, ERR_CLOSED);
        rq->conn = NULL;
        if (!rq->asked || rq->answered)
            request_free(rq);        /* else its holder still answers it */
    }
    free(c);
    *cp = NULL;
}

/* ---- the tool's side ---- */

static enum err wait_for(int fd, short events, int64_t until_ms)
{
    for (;;) {
        struct pollfd p = { .fd = fd, .events = events };
        int64_t left_ms = until_ms - clock_mono_ms();
        int n;

        if (left_ms <= 0)
            return ERR_TIMEOUT;
        n = poll(&p, 1, (int)left_ms);
        if (n > 0)
            return OK;
        if (n < 0 && errno != EINTR)
            return err_from_errno(errno);
    }
}

static enum err send_all(int fd, struct str text, int64_t until_ms)
{
    while (text.len) {
        enum err e = wait_for(fd, POLLOUT, until_ms);
        ssize_t n;

        if (e)
            return e;
        n = send(fd, text.p, text.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return ERR_CLOSED;
        if (n > 0) {
            text.p += n;
            text.len -= (size_t)n;
        }
    }
    return OK;
}

static enum err receive_line(int fd, struct buf *in, int64_t until_ms)
{
    while (!in->len || in->p[in->len - 1] != '\n') {
        enum err e = wait_for(fd, POLLIN, until_ms);
        char chunk[16384];
        ssize_t n;

        if (e)
            return e;
        n = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n == 0)
            return ERR_CLOSED;
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return ERR_CLOSED;
        if (n > 0)
            buf_put(in, chunk, (size_t)n);
        mem_wipe(chunk, sizeof chunk);
        if (in->overflow)
            return ERR_LIMIT;
    }
    return OK;
}

enum err control_call(const char *socket_path, const json_t *request, int timeout_ms, json_t **answer)
{
    int64_t until_ms = clock_mono_ms() + timeout_ms;
    char *line = json_dumps(request, JSON_COMPACT);
    int fd = try_connect(socket_path);
    struct buf in;
    enum err e;

    *answer = NULL;
    buf_init(&in, CONTROL_ANSWER_BYTES_MAX + 1);
    e = fd < 0 ? ERR_UNAVAILABLE : line ? OK : ERR_INVALID;
    if (!e)
        e = send_all(fd, str_of(line), until_ms);
    if (!e)
        e = send_all(fd, STR("\n"), until_ms);
    if (!e)
        e = receive_line(fd, &in, until_ms);
    if (!e) {
        *answer = json_loadb(in.p, in.len, 0, NULL);
        e = json_is_object(*answer) ? OK : ERR_INVALID;
    }
    if (e) {
        json_decref(*answer);
        *answer = NULL;
    }
    if (in.p)
        mem_wipe(in.p, in.len);
    buf_done(&in);
    if (line)
        mem_wipe(line, strlen(line));
    free(line);
    if (fd >= 0)
        close(fd);
    return e;
}
