/* exports.c: see exports.h. The file goes out piece by piece, as the reader takes it.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "web/exports.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/mem.h"

enum { TOKEN_CHARS = 43, PIECE_BYTES = 64 * 1024 };

struct sending {
    int  fd;
    char piece[PIECE_BYTES];
    size_t kept;                /* of `piece`, refused so far */
};

static size_t ignore_data(void *arg, struct conn *c, struct str in)
{
    return in.len;
}

static void sending_closed(void *arg, struct conn *c, enum err why)
{
    struct sending *s = arg;

    close(s->fd);
    free(s);
}

/* Until the connection has enough, or there is no more. */
static void send_on(void *arg, struct conn *c)
{
    struct sending *s = arg;

    for (;;) {
        ssize_t n = (ssize_t)s->kept;

        if (n == 0)
            n = read(s->fd, s->piece, PIECE_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            conn_abort(c, ERR_IO);      /* shorter than announced: the reader sees that it is not whole */
            return;
        }
        if (n == 0) {
            conn_close(c);
            return;
        }
        s->kept = (size_t)n;
        if (conn_write(c, str_make(s->piece, s->kept)) != OK)
            return;
        s->kept = 0;
    }
}

static void send_file(struct http_exchange *x, int fd, int64_t bytes)
{
    static const struct conn_handlers handlers = { .data = ignore_data, .writable = send_on, .closed = sending_closed };
    struct conn    *c = http_take_over(x);
    struct sending *s = mem_new(sizeof *s);
    char            head[512];
    int             n;

    s->fd = fd;
    s->kept = 0;
    conn_set_handlers(c, &handlers, s);
    n = snprintf(head, sizeof head,
                 "HTTP/1.1 200 OK\r\nContent-Type: application/zip\r\nContent-Length: %lld\r\nConnection: close\r\n"
                 "Content-Disposition: attachment; filename=\"my-data.zip\"\r\nCache-Control: no-store\r\n"
                 "X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\nContent-Security-Policy: default-src 'none'\r\n\r\n",
                 (long long)bytes);
    conn_write(c, str_make(head, (size_t)n));
    send_on(s, c);
}

static bool is_token(struct str s)
{
    if (s.len != TOKEN_CHARS)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') || (s.p[i] >= '0' && s.p[i] <= '9') || s.p[i] == '-'
              || s.p[i] == '_'))
            return false;
    return true;
}

static int open_file(struct str token, const char *data_dir, int64_t *bytes)
{
    char        path[4096];
    struct stat st;
    int         fd;

    if (!is_token(token) || snprintf(path, sizeof path, "%s/exports/%.*s.zip", data_dir, STR_ARG(token)) >= (int)sizeof path)
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && fstat(fd, &st) != 0) {
        close(fd);
        return -1;
    }
    *bytes = fd >= 0 ? st.st_size : 0;
    return fd;
}

bool exports_answer(struct http_exchange *x, const struct http_request *rq, struct str path, const char *data_dir)
{
    static const struct str prefix = { "/exports/", 9 };
    int64_t bytes;
    int     fd;

    if (!str_starts(path, prefix))
        return false;
    fd = open_file(str_make(path.p + prefix.len, path.len - prefix.len), data_dir, &bytes);
    if (fd < 0) {
        http_answer(x, 404, STR("text/plain; charset=utf-8"), STR("Cache-Control: no-store\r\n"), STR("there is nothing here, or no longer\n"));
    } else if (str_is(rq->method, "HEAD")) {
        close(fd);
        http_answer(x, 200, STR("application/zip"), STR("Cache-Control: no-store\r\n"), STR_NULL);
    } else {
        send_file(x, fd, bytes);
    }
    return true;
}
