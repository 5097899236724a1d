/* conn.c: see conn.h. An idle connection is `struct conn` alone. What it needs while
 * bytes are under way (kept input, output, a deadline) is `struct busy`, made at the first
 * need and freed at the end of the round in which the last of it went. Reading
 * and TLS go through buffers that all connections of the thread share, so input that is used at
 * once and output that the kernel takes at once are never copied aside.
 *
 *   connecting ──connected──▶ open ──conn_start_tls──▶ handshake ──tls_in──▶ open, tls_told
 *   open ──conn_close──▶ closing ──drained──▶ half_closed ──peer_ended or deadline──▶ dead
 *   any ──die──▶ dead ──finish, at the end of the round──▶ freed
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "net/conn.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    READ_BYTES = 64 * 1024,             /* per connection and round: the share that is fair */
    SHARED_BYTES_MAX = 512 * 1024,      /* a shared buffer that grew beyond is given back */
    SPARES_MAX = 256,                   /* of `struct busy`, kept with their small buffers for whoever is next */
    SPARE_BYTES_MAX = 2048,
    DRAIN_MS = 5000,
    HANDSHAKE_MS = 10000,
    COMPANY_BYTES = 16 * 1024,          /* a full record: more company makes it no cheaper */
    FILE_PIECE_BYTES = 64 * 1024,       /* through TLS; a slow reader keeps that much of our memory */
    FILE_SHARE_BYTES = 512 * 1024,      /* per connection and round */
};

enum deadline { DEADLINE_NONE, DEADLINE_HANDSHAKE, DEADLINE_DRAIN, DEADLINE_STALL };

struct busy {
    struct conn *conn;
    struct busy *next_spare;
    struct buf   in;            /* arrived and not used */
    struct buf   plain;         /* to be encrypted at the end of the round */
    struct buf   out;           /* for the socket */
    size_t       out_sent;      /* how much of `out` the kernel has */
    int          file;          /* behind `out`, while file_left; see conn_send_file */
    int64_t      file_at, file_left;
    bool         file_gone;     /* `sent` is to be called */
    struct timer deadline;
    struct timer company;       /* output waits for more, so long; see conn_put_off */
};

struct conn {
    struct loop_fd              fd;
    struct loop_task            flush;      /* at the end of the round */
    struct loop                *loop;
    const struct conn_limits   *limits;
    const struct conn_handlers *h;
    void                       *arg;
    struct tls                 *tls;
    struct busy                *busy;       /* NULL while idle */
    uint8_t                     peer[16];   /* IPv6 or v4-mapped; kept, for a dead socket no longer tells */
    uint16_t                    peer_port;  /* 0 with no address: a unix socket */
    uint8_t                     why;        /* enum err, once dead */
    uint8_t                     deadline;   /* enum deadline */
    bool connecting : 1, paused : 1, closing : 1, dead : 1, eof : 1, refused : 1, in_data : 1;
    bool tls_told : 1, starting_tls : 1, half_closed : 1, show_kept : 1, close_sent : 1, parked : 1;
};

_Static_assert(sizeof(struct conn) <= 128, "tens of thousands of these are idle");

static __thread char       read_space[READ_BYTES], file_space[FILE_PIECE_BYTES];
static __thread struct buf plain_space, wire_space;
static __thread struct busy *spares;
static __thread int          spare_count;

static void flush_now(struct loop_task *task);
static void show_kept(struct conn *c);

static void later(struct conn *c) { loop_at_end(c->loop, &c->flush); }

/* ---- what is under way ---- */

static struct busy *busy_new(void)
{
    struct busy *b = spares;

    if (b) {
        spares = b->next_spare;
        spare_count--;
        return b;
    }
    b = NEW(struct busy);
    buf_init(&b->plain, SIZE_MAX / 2);    /* conn_write judges these two */
    buf_init(&b->out, SIZE_MAX / 2);
    return b;
}

static struct busy *busy(struct conn *c)
{
    if (!c->busy) {
        c->busy = busy_new();
        c->busy->conn = c;
        buf_init(&c->busy->in, c->limits->in_bytes_max + 2 * READ_BYTES);
    }
    return c->busy;
}

/* All of it has gone: a small one is kept, for a message to many makes as many of them. */
static void empty(struct buf *b)
{
    if (b->cap > SPARE_BYTES_MAX)
        buf_done(b);
    else
        buf_clear(b);
}

static void busy_spare(struct busy *b)
{
    struct buf plain = b->plain, out = b->out;

    if (spare_count == SPARES_MAX) {
        buf_done(&plain);
        buf_done(&out);
        free(b);
        return;
    }
    *b = (struct busy){ .next_spare = spares, .plain = plain, .out = out };
    spares = b;
    spare_count++;
}

static size_t out_bytes(const struct conn *c) { return c->busy ? c->busy->out.len - c->busy->out_sent : 0; }
static size_t plain_bytes(const struct conn *c) { return c->busy ? c->busy->plain.len : 0; }

static int64_t file_left(const struct conn *c) { return c->busy ? c->busy->file_left : 0; }

size_t conn_pending_bytes(const struct conn *c) { return out_bytes(c) + plain_bytes(c) + (size_t)file_left(c); }

static void file_drop(struct conn *c)
{
    if (file_left(c))
        close(c->busy->file);
    if (c->busy)
        c->busy->file_left = 0;
}

static void busy_free(struct conn *c)
{
    if (!c->busy)
        return;
    file_drop(c);
    timer_stop(c->loop, &c->busy->deadline);
    timer_stop(c->loop, &c->busy->company);
    buf_done(&c->busy->in);
    empty(&c->busy->plain);
    empty(&c->busy->out);
    busy_spare(c->busy);
    c->busy = NULL;
    c->deadline = DEADLINE_NONE;
}

static void busy_free_if_idle(struct conn *c)
{
    if (c->busy && !c->busy->in.len && !conn_pending_bytes(c) && c->deadline == DEADLINE_NONE)
        busy_free(c);
}

/* Makes sure the thread's shared buffer is empty and not too large. */
static struct buf *shared(struct buf *b)
{
    if (b->cap > SHARED_BYTES_MAX)
        buf_done(b);
    buf_clear(b);
    b->bytes_max = SIZE_MAX / 2;
    return b;
}

/* ---- the end ---- */

static void die(struct conn *c, enum err why)
{
    if (c->dead)
        return;
    c->dead = true;
    c->why = (uint8_t)why;
    loop_fd_remove(c->loop, &c->fd);
    if (c->busy) {
        timer_stop(c->loop, &c->busy->deadline);
        timer_stop(c->loop, &c->busy->company);
    }
    later(c);       /* `closed` is told at the end of the round, never from inside a call */
}

static void finish(struct conn *c)
{
    c->h->closed(c->arg, c, (enum err)c->why);
    loop_task_cancel(c->loop, &c->flush);
    close(c->fd.fd);
    tls_free(&c->tls);
    busy_free(c);
    loop_free_later(c->loop, c);
}

/* ---- deadlines: one at a time, the last one set counts ---- */

static void deadline_passed(struct timer *t)
{
    struct conn *c = LIST_ITEM(t, struct busy, deadline)->conn;

    /* a peer that leaves its own half open after we said all has had its time */
    die(c, c->half_closed ? OK : ERR_TIMEOUT);
}

static void deadline_set(struct conn *c, enum deadline d, int ms)
{
    c->deadline = (uint8_t)d;
    timer_start(c->loop, &busy(c)->deadline, ms, deadline_passed);
}

static void deadline_clear(struct conn *c, enum deadline d)
{
    if (c->deadline != d)
        return;
    c->deadline = DEADLINE_NONE;
    timer_stop(c->loop, &c->busy->deadline);
}

static void handshake_deadline(struct conn *c)
{
    deadline_set(c, DEADLINE_HANDSHAKE, c->limits->handshake_ms_max ? c->limits->handshake_ms_max : HANDSHAKE_MS);
}

/* ---- out ---- */

static void want(struct conn *c)
{
    unsigned events = (c->paused || c->eof ? 0u : LOOP_READ) | (out_bytes(c) || file_left(c) || c->connecting ? LOOP_WRITE : 0u);

    if (!c->parked && !c->dead)
        loop_fd_set(c->loop, &c->fd, events);
}

/* Gives the kernel what it takes; returns how much that was. */
static size_t send_bytes(struct conn *c, struct str s)
{
    size_t sent = 0;

    while (sent < s.len && !c->dead) {
        ssize_t n = send(c->fd.fd, s.p + sent, s.len - sent, MSG_NOSIGNAL);

        if (n >= 0)
            sent += (size_t)n;
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            break;
        else if (errno != EINTR)
            die(c, errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : err_from_errno(errno));
    }
    return sent;
}

/* Output without progress is a stall; handshakes and closing have deadlines of their own. */
static void watch_stall(struct conn *c, bool progress)
{
    if (c->dead || c->limits->stall_ms_max <= 0)
        return;
    if (out_bytes(c) == 0 && !file_left(c))
        deadline_clear(c, DEADLINE_STALL);
    else if (c->deadline == DEADLINE_NONE || (c->deadline == DEADLINE_STALL && progress))
        deadline_set(c, DEADLINE_STALL, c->limits->stall_ms_max);
}

static void send_out(struct conn *c)
{
    struct busy *b = c->busy;
    size_t       n;

    if (!out_bytes(c))
        return;
    n = send_bytes(c, str_make(b->out.p + b->out_sent, b->out.len - b->out_sent));
    b->out_sent += n;
    if (b->out_sent == b->out.len) {
        empty(&b->out);
        b->out_sent = 0;
    } else if (b->out_sent > b->out.len / 2) {      /* moving the rest costs less than what was sent */
        buf_consume(&b->out, b->out_sent);
        b->out_sent = 0;
    }
    watch_stall(c, n > 0);
}

/* Bytes that TLS made: to the kernel if nothing waits before them. */
static void send_wire(struct conn *c, struct str wire)
{
    size_t n;

    send_out(c);
    n = out_bytes(c) ? 0 : send_bytes(c, wire);
    if (n < wire.len && !c->dead) {
        buf_put(&busy(c)->out, wire.p + n, wire.len - n);
        watch_stall(c, n > 0);
    }
}

/* One call for all that was written in this round makes the fewest records. */
static void encrypt_and_send(struct conn *c)
{
    struct buf *wire = shared(&wire_space);
    bool        close_now = c->closing && !c->close_sent;

    if (plain_bytes(c)) {
        if (tls_write(c->tls, buf_str(&c->busy->plain), wire) != OK)
            die(c, ERR_INVALID);
        empty(&c->busy->plain);
    }
    if (close_now) {
        c->close_sent = true;
        tls_close(c->tls, wire);
    }
    if (wire->len)
        send_wire(c, buf_str(wire));
}

/* ---- a file on its way ---- */

/* Returns whether the kernel took any. */
static bool file_as_it_is(struct conn *c, int64_t bytes_max)
{
    struct busy *b = c->busy;
    off_t        at = (off_t)b->file_at;
    ssize_t      n = sendfile(c->fd.fd, b->file, &at, (size_t)bytes_max);

    if (n > 0) {
        b->file_at += n;
        b->file_left -= n;
    } else if (n == 0) {
        die(c, ERR_IO);         /* it has become shorter */
    } else if (errno != EAGAIN && errno != EINTR) {
        die(c, errno == EPIPE || errno == ECONNRESET ? ERR_CLOSED : err_from_errno(errno));
    }
    return n > 0;
}

static bool file_through_tls(struct conn *c, int64_t bytes_max)
{
    struct busy *b = c->busy;
    struct buf  *wire = shared(&wire_space);
    ssize_t      n = pread(b->file, file_space, bytes_max < FILE_PIECE_BYTES ? (size_t)bytes_max : FILE_PIECE_BYTES, (off_t)b->file_at);

    if (n <= 0 || tls_write(c->tls, str_make(file_space, (size_t)n), wire) != OK) {
        die(c, ERR_IO);
        return false;
    }
    b->file_at += n;
    b->file_left -= n;
    send_wire(c, buf_str(wire));
    return !out_bytes(c);
}

static void send_file(struct conn *c)
{
    int64_t share = FILE_SHARE_BYTES;
    bool    progress = false;

    while (file_left(c) && share > 0 && !c->dead && !out_bytes(c) && !plain_bytes(c)) {
        int64_t was = file_left(c), bytes_max = was < share ? was : share;
        bool    more = c->tls ? file_through_tls(c, bytes_max) : file_as_it_is(c, bytes_max);

        share -= was - file_left(c);
        progress = progress || was != file_left(c);
        if (!file_left(c)) {
            close(c->busy->file);
            c->busy->file_gone = true;
        }
        if (!more)
            break;
    }
    if (progress || file_left(c))
        watch_stall(c, progress);
}

static void tell_sent(struct conn *c)
{
    if (!c->busy || !c->busy->file_gone || c->closing || c->dead)
        return;
    c->busy->file_gone = false;
    if (c->h->sent)
        c->h->sent(c->arg, c);
}

void conn_send_file(struct conn *c, int fd, int64_t from, int64_t bytes)
{
    if (c->dead || c->closing) {
        close(fd);
        return;
    }
    if (bytes > FILE_SHARE_BYTES)
        posix_fadvise(fd, (off_t)from, (off_t)bytes, POSIX_FADV_SEQUENTIAL);
    busy(c)->file = fd;
    c->busy->file_at = from;
    c->busy->file_left = bytes;
    later(c);
}

static void tell_writable(struct conn *c)
{
    if (!c->refused || c->closing || conn_pending_bytes(c) > c->limits->out_bytes_max / 2)
        return;
    c->refused = false;
    if (c->h->writable)
        c->h->writable(c->arg, c);
}

/* All output is in the kernel: a connection that was to end ends now. */
static void drained(struct conn *c)
{
    if (!c->half_closed) {
        c->half_closed = true;
        shutdown(c->fd.fd, SHUT_WR);
    }
    if (c->eof)
        die(c, OK);
}

/* The peer will send no more. */
static void peer_ended(struct conn *c)
{
    c->eof = true;
    if (c->paused || c->dead)
        return;     /* who paused may have an answer to write; conn_resume comes back here */
    if (c->half_closed || conn_pending_bytes(c) == 0)
        die(c, OK);
    else
        conn_close(c);      /* they may still be reading what is under way */
}

static void flush_now(struct loop_task *task)
{
    struct conn *c = LIST_ITEM(task, struct conn, flush);

    if (c->dead) {
        finish(c);
        return;
    }
    if (c->connecting)
        return;
    if (c->show_kept && !c->paused)
        show_kept(c);
    if (!c->dead && c->eof && !c->closing)
        peer_ended(c);
    if (c->dead)
        return;     /* it queued this task again */
    if (c->busy)
        timer_stop(c->loop, &c->busy->company);
    send_out(c);
    if (c->tls && c->tls_told)
        encrypt_and_send(c);
    if (file_left(c) && (!c->tls || c->tls_told))
        send_file(c);
    if (c->dead)
        return;
    want(c);
    if (c->closing && conn_pending_bytes(c) == 0)
        drained(c);
    tell_writable(c);
    tell_sent(c);
    if (!c->dead)
        busy_free_if_idle(c);
}

enum err conn_write(struct conn *c, struct str bytes)
{
    size_t pending = conn_pending_bytes(c);

    if (c->dead || c->closing)
        return ERR_CLOSED;
    if (pending > c->limits->out_bytes_max || bytes.len > c->limits->out_bytes_max - pending) {
        c->refused = true;
        return ERR_LIMIT;
    }
    if (bytes.len == 0)
        return OK;
    buf_put_str(c->tls ? &busy(c)->plain : &busy(c)->out, bytes);
    later(c);
    return OK;
}

bool conn_is_leaving(const struct conn *c) { return list_linked(&c->flush.link); }

static void company_passed(struct timer *t) { later(LIST_ITEM(t, struct busy, company)->conn); }

void conn_put_off(struct conn *c, int ms)
{
    if (c->dead || c->closing || conn_pending_bytes(c) >= COMPANY_BYTES)
        return;
    loop_task_cancel(c->loop, &c->flush);
    if (c->busy && !timer_running(&c->busy->company))
        timer_start(c->loop, &c->busy->company, ms, company_passed);
}

/* ---- in ---- */

/* Offers `in` to the owner; returns how much is done with. */
static size_t offer(struct conn *c, struct str in)
{
    size_t used;

    c->in_data = true;
    used = c->h->data(c->arg, c, in);
    c->in_data = false;
    if (c->starting_tls) {      /* what came before the handshake is not trusted (RFC 6120 §5.4.3.3) */
        c->starting_tls = false;
        return in.len;
    }
    return used > in.len || c->closing || c->dead ? in.len : used;
}

static bool too_much_kept(struct conn *c, size_t bytes)
{
    if (bytes <= c->limits->in_bytes_max || c->paused)
        return false;
    die(c, ERR_LIMIT);
    return true;
}

static void keep(struct conn *c, struct str rest)
{
    if (rest.len == 0 || too_much_kept(c, rest.len))
        return;
    buf_put_str(&busy(c)->in, rest);
    if (c->busy->in.overflow)
        die(c, ERR_LIMIT);
}

/* Plain bytes have come. After conn_close nobody wants them. */
static void take(struct conn *c, struct str in)
{
    size_t used;

    if (c->dead || c->closing || in.len == 0)
        return;
    if (!c->paused && !(c->busy && c->busy->in.len)) {
        used = offer(c, in);
        keep(c, str_make(in.p + used, in.len - used));
        return;
    }
    buf_put_str(&busy(c)->in, in);
    if (c->busy->in.overflow)
        die(c, ERR_LIMIT);
    else if (!c->paused)
        show_kept(c);
}

static void show_kept(struct conn *c)
{
    struct buf was;
    size_t     used;

    c->show_kept = false;
    if (!c->busy || c->busy->in.len == 0 || c->dead || c->closing)
        return;
    was = c->busy->in;      /* out of the way, for the owner may do anything */
    buf_init(&c->busy->in, was.bytes_max);
    used = offer(c, buf_str(&was));
    buf_consume(&was, used);
    if (was.len == 0 || too_much_kept(c, was.len))
        buf_done(&was);
    else
        busy(c)->in = was;
}

static void tls_in(struct conn *c, struct str in)
{
    struct buf *plain = shared(&plain_space), *wire = shared(&wire_space);
    enum err    e = tls_feed(c->tls, in, plain, wire);

    if (wire->len)
        send_wire(c, buf_str(wire));
    if (tls_ready(c->tls) && !c->tls_told && !c->dead) {
        c->tls_told = true;
        deadline_clear(c, DEADLINE_HANDSHAKE);
        later(c);       /* what was written meanwhile can leave */
        if (c->h->tls_ready)
            c->h->tls_ready(c->arg, c);
    }
    take(c, buf_str(plain));
    if (out_bytes(c))
        later(c);
    if (e == ERR_CLOSED)
        c->eof = true;
    else if (e)
        die(c, e);
}

static void read_some(struct conn *c)
{
    ssize_t n = recv(c->fd.fd, read_space, sizeof read_space, 0);

    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return;
    if (n < 0)
        die(c, errno == ECONNRESET ? ERR_CLOSED : err_from_errno(errno));
    else if (n == 0)
        c->eof = true;
    else if (c->tls)
        tls_in(c, str_make(read_space, (size_t)n));
    else
        take(c, str_make(read_space, (size_t)n));
    if (c->eof)
        peer_ended(c);
    if (!c->dead)
        busy_free_if_idle(c);
}

static int socket_error(struct conn *c)
{
    int       error = 0;
    socklen_t size = sizeof error;

    getsockopt(c->fd.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return error;
}

/* A hang-up while we do not read. Epoll would tell it again and again, so a
 * paused connection leaves the loop until it is resumed and reads what is left. */
static void hung_up(struct conn *c)
{
    int           error = socket_error(c);
    struct pollfd now = { .fd = c->fd.fd };

    if (error) {
        die(c, error == ECONNRESET || error == EPIPE ? ERR_CLOSED : err_from_errno(error));
    } else if (!c->paused) {
        die(c, conn_pending_bytes(c) ? ERR_CLOSED : OK);
    } else if (poll(&now, 1, 0) > 0) {      /* else another callback of this round paused it before its event came up */
        if (file_left(c)) {
            die(c, ERR_CLOSED);
            return;
        }
        loop_fd_remove(c->loop, &c->fd);
        c->parked = true;
    }
}

static void unpark(struct conn *c)
{
    if (!c->parked)
        return;
    c->parked = false;
    if (loop_fd_add(c->loop, &c->fd, c->eof ? 0 : LOOP_READ) != OK)
        die(c, ERR_LIMIT);
}

static void remember_peer(struct conn *c);

static void connected(struct conn *c)
{
    int error = socket_error(c);

    if (error) {
        die(c, error == ECONNREFUSED || error == ENOENT ? ERR_UNAVAILABLE : err_from_errno(error));
        return;
    }
    c->connecting = false;
    remember_peer(c);
    if (!c->tls)
        deadline_clear(c, DEADLINE_HANDSHAKE);
    want(c);
    later(c);
}

static void ready(struct loop_fd *self, unsigned events)
{
    struct conn *c = LIST_ITEM(self, struct conn, fd);

    if (c->connecting) {
        connected(c);
        return;
    }
    if (events & LOOP_WRITE)
        later(c);
    if (!(events & LOOP_READ))
        return;
    if (c->paused || c->eof)
        hung_up(c);
    else
        read_some(c);
}

/* ---- life ---- */

static void tune(int fd)
{
    int one = 1, idle = 60, interval = 10, probes = 3;
    int unsent_ms = 90000;

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) < 0)
        return;     /* not TCP */
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unsent_ms, sizeof unsent_ms);
}

static struct conn *conn_make(struct loop *l, int fd, const struct conn_limits *limits,
                              const struct conn_handlers *h, void *arg, bool connecting)
{
    struct conn *c = NEW(struct conn);

    tune(fd);
    c->fd.fd = fd;
    c->fd.ready = ready;
    c->flush.run = flush_now;
    c->loop = l;
    c->limits = limits;
    c->h = h;
    c->arg = arg;
    c->connecting = connecting;
    if (loop_fd_add(l, &c->fd, connecting ? LOOP_WRITE : LOOP_READ) != OK)
        die(c, ERR_LIMIT);
    else if (connecting)
        handshake_deadline(c);
    else
        remember_peer(c);
    return c;
}

struct conn *conn_new(struct loop *l, int fd, const struct conn_limits *limits, const struct conn_handlers *h, void *arg)
{
    return conn_make(l, fd, limits, h, arg, false);
}

void conn_set_handlers(struct conn *c, const struct conn_handlers *h, void *arg)
{
    c->h = h;
    c->arg = arg;
    if (c->in_data || (c->busy && c->busy->in.len)) {   /* what the old owner left is the new one's */
        c->show_kept = true;
        later(c);
    }
}

enum err conn_start_tls(struct conn *c, struct tls_ctx *ctx, bool server, struct str server_name)
{
    struct buf *wire = shared(&wire_space);
    enum err    e;

    if (c->dead || c->closing)
        return ERR_CLOSED;
    if (c->tls)
        return ERR_EXISTS;
    c->tls = tls_new(ctx, server, server_name);
    c->starting_tls = c->in_data;
    buf_done(&busy(c)->in);
    handshake_deadline(c);
    later(c);
    if (server)
        return OK;
    e = tls_start(c->tls, wire);
    buf_put_str(&busy(c)->out, buf_str(wire));
    if (e)
        die(c, e);
    return OK;
}

struct tls *conn_tls(const struct conn *c) { return c->tls && c->tls_told ? c->tls : NULL; }

void conn_pause(struct conn *c)
{
    c->paused = true;
    if (!c->connecting)
        want(c);
}

void conn_resume(struct conn *c)
{
    if (!c->paused)
        return;
    c->paused = false;
    if (c->dead || c->connecting)
        return;
    unpark(c);
    want(c);
    if (c->in_data || c->eof || (c->busy && c->busy->in.len)) {
        c->show_kept = true;
        later(c);
    }
}

void conn_close(struct conn *c)
{
    if (c->closing || c->dead)
        return;
    c->closing = true;
    if (c->connecting) {
        die(c, OK);
        return;
    }
    file_drop(c);
    c->paused = false;      /* to see the peer's end; bytes are dropped */
    unpark(c);
    if (c->busy)
        buf_done(&c->busy->in);
    deadline_set(c, DEADLINE_DRAIN, c->limits->drain_ms_max > 0 ? c->limits->drain_ms_max : DRAIN_MS);
    later(c);
}

void conn_abort(struct conn *c, enum err why) { die(c, why); }
bool conn_is_closing(const struct conn *c) { return c->closing || c->dead; }

bool conn_peer_left(const struct conn *c)
{
    struct pollfd p = { .fd = c->fd.fd, .events = POLLRDHUP };

    return c->dead || (poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR)));
}
struct loop *conn_loop(const struct conn *c) { return c->loop; }

/* ---- addresses ---- */

union address {
    struct sockaddr         any;
    struct sockaddr_in      v4;
    struct sockaddr_in6     v6;
    struct sockaddr_un      un;
    struct sockaddr_storage room;
};

static enum err address_parse(struct str text, union address *out, socklen_t *size)
{
    char      host[128];
    ptrdiff_t colon = -1;
    uint64_t  port;

    memset(out, 0, sizeof *out);
    if (str_starts(text, STR("unix:"))) {
        out->un.sun_family = AF_UNIX;
        if (!str_copy(str_make(text.p + 5, text.len - 5), out->un.sun_path, sizeof out->un.sun_path))
            return ERR_INVALID;
        *size = sizeof out->un;
        return OK;
    }
    for (size_t i = 0; i < text.len; i++)
        if (text.p[i] == ':')
            colon = (ptrdiff_t)i;
    if (colon < 0 || !str_to_u64(str_make(text.p + colon + 1, text.len - (size_t)colon - 1), &port) || port > 65535)
        return ERR_INVALID;
    text.len = (size_t)colon;
    if (text.len >= 2 && text.p[0] == '[' && text.p[text.len - 1] == ']') {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons((uint16_t)port);
        *size = sizeof out->v6;
        return str_copy(str_make(text.p + 1, text.len - 2), host, sizeof host) &&
               inet_pton(AF_INET6, host, &out->v6.sin6_addr) == 1 ? OK : ERR_INVALID;
    }
    out->v4.sin_family = AF_INET;
    out->v4.sin_port = htons((uint16_t)port);
    *size = sizeof out->v4;
    return str_copy(text, host, sizeof host) && inet_pton(AF_INET, host, &out->v4.sin_addr) == 1 ? OK : ERR_INVALID;
}

bool conn_address_is_valid(struct str address)
{
    union address a;
    socklen_t     size;

    return address_parse(address, &a, &size) == OK;
}

enum err conn_connect(struct loop *l, struct str address, const struct conn_limits *limits,
                      const struct conn_handlers *h, void *arg, struct conn **out)
{
    union address a;
    socklen_t     size;
    enum err      e = address_parse(address, &a, &size);
    int           fd;

    if (e)
        return e;
    fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    if (connect(fd, &a.any, size) < 0 && errno != EINPROGRESS) {
        e = errno == ECONNREFUSED || errno == ENOENT || errno == EAGAIN ? ERR_UNAVAILABLE : err_from_errno(errno);
        close(fd);
        return e;
    }
    *out = conn_make(l, fd, limits, h, arg, true);
    return OK;
}

static void remember_peer(struct conn *c)
{
    union address a;
    socklen_t     size = sizeof a;

    memset(&a, 0, sizeof a);
    if (getpeername(c->fd.fd, &a.any, &size) < 0)
        return;
    if (a.any.sa_family == AF_INET) {
        memset(c->peer + 10, 0xff, 2);
        memcpy(c->peer + 12, &a.v4.sin_addr, 4);
        c->peer_port = ntohs(a.v4.sin_port);
    } else if (a.any.sa_family == AF_INET6) {
        memcpy(c->peer, &a.v6.sin6_addr, 16);
        c->peer_port = ntohs(a.v6.sin6_port);
    }
}

void conn_speak_for(struct conn *c, const struct conn *other)
{
    memcpy(c->peer, other->peer, sizeof c->peer);
    c->peer_port = other->peer_port;
}

static bool peer_is_v4(const struct conn *c)
{
    return IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)c->peer);
}

struct str conn_peer(const struct conn *c, char out[64])
{
    char host[INET6_ADDRSTRLEN];
    int  n;

    if (!c->peer_port)
        n = snprintf(out, 64, "unix");
    else if (peer_is_v4(c))
        n = snprintf(out, 64, "%s:%u", inet_ntop(AF_INET, c->peer + 12, host, sizeof host), c->peer_port);
    else
        n = snprintf(out, 64, "[%s]:%u", inet_ntop(AF_INET6, c->peer, host, sizeof host), c->peer_port);
    return str_make(out, (size_t)n);
}

struct str conn_peer_key(const struct conn *c, char out[64])
{
    uint8_t net[16] = { 0 };

    memcpy(net, c->peer, 8);
    if (!c->peer_port)
        strcpy(out, "unix");
    else if (peer_is_v4(c))
        inet_ntop(AF_INET, c->peer + 12, out, 64);
    else
        inet_ntop(AF_INET6, net, out, 64);
    return str_of(out);
}

/* ---- listening ---- */

enum { ACCEPTS_PER_ROUND = 64, ACCEPT_REST_MS = 200 };

struct listener {
    struct loop_fd fd;
    struct loop   *loop;
    listener_fn   *fn;
    void          *arg;
    struct timer   again;
    bool           closed, paused, shared;
};

/* A socket file that nobody listens on was left by a process that died. */
static bool unix_is_stale(const union address *a, socklen_t size)
{
    struct stat st;
    bool        stale;
    int         fd;

    if (a->any.sa_family != AF_UNIX || lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    stale = connect(fd, &a->any, size) < 0 && errno == ECONNREFUSED;
    close(fd);
    return stale;
}

enum err listen_socket(struct str address, int *fd_out)
{
    union address a;
    socklen_t     size;
    enum err      e = address_parse(address, &a, &size);
    int           one = 1, zero = 0, fd;

    if (e)
        return e;
    fd = socket(a.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_from_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (a.any.sa_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (unix_is_stale(&a, size))
        unlink(a.un.sun_path);
    if (bind(fd, &a.any, size) < 0 || listen(fd, 4096) < 0) {
        e = err_from_errno(errno);
        close(fd);
        return e;
    }
    *fd_out = fd;
    return OK;
}

static enum err listen_again(struct listener *ls)
{
    ls->paused = false;
    return loop_fd_add(ls->loop, &ls->fd, LOOP_READ | (ls->shared ? LOOP_ONE_WAKES : 0u));
}

static void accept_again(struct timer *t)
{
    struct listener *ls = LIST_ITEM(t, struct listener, again);

    listen_again(ls);
}

void listener_pause(struct listener *ls, int ms)
{
    if (!ls->paused)
        loop_fd_remove(ls->loop, &ls->fd);
    ls->paused = true;
    timer_start(ls->loop, &ls->again, ms, accept_again);
}

/* The kernel wakes the first in its queue, always the same one: who has accepted goes to the end of it. */
static void take_turns(struct listener *ls)
{
    if (!ls->shared || ls->closed || ls->paused)
        return;
    loop_fd_remove(ls->loop, &ls->fd);
    listen_again(ls);
}

static void accept_some(struct loop_fd *self, unsigned events)
{
    struct listener *ls = LIST_ITEM(self, struct listener, fd);

    (void)events;
    for (int i = 0; i < (ls->shared ? 1 : ACCEPTS_PER_ROUND) && !ls->closed && !ls->paused; i++) {
        int fd = accept4(self->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            ls->fn(ls->arg, fd);
            take_turns(ls);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            listener_pause(ls, ACCEPT_REST_MS);
        if (errno != EINTR && errno != ECONNABORTED)
            return;
    }
}

struct listener *listener_new(struct loop *l, int fd, listener_fn *fn, void *arg)
{
    struct listener *ls = NEW(struct listener);

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    ls->fd.fd = fd;
    ls->fd.ready = accept_some;
    ls->loop = l;
    ls->fn = fn;
    ls->arg = arg;
    if (listen_again(ls) != OK) {
        free(ls);
        return NULL;
    }
    return ls;
}

void listener_share(struct listener *ls)
{
    ls->shared = true;
    take_turns(ls);
}

void listener_free(struct listener **lsp)
{
    struct listener *ls = *lsp;

    if (!ls)
        return;
    *lsp = NULL;
    ls->closed = true;      /* perhaps inside its own callback */
    if (!ls->paused)
        loop_fd_remove(ls->loop, &ls->fd);
    timer_stop(ls->loop, &ls->again);
    close(ls->fd.fd);
    loop_free_later(ls->loop, ls);
}
