/* local.c: links between the processes of one machine: unix sockets, dir/<role>.bus.
 *
 *   wanted ──connect──▶ greeting ──hello──▶ open
 *     ▲                    │ closed           │ closed
 *     └──── back-off ◀─────┴──────────────────┘   (while a question waits, or it is kept)
 *
 * The keeper holds the listening sockets, so a connect to a role that is being
 * restarted succeeds and waits in the kernel's queue.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/log.h"
#include "base/mem.h"
#include "bus/inner.h"
#include "net/conn.h"

enum {
    BACKOFF_MS_MIN = 20,
    BACKOFF_MS_MAX = 1000,
    LINKS_MAX = 256,
    PEERS_MAX = 64,
};

static const struct conn_limits limits = {
    .in_bytes_max = FRAME_BYTES_MAX,
    .out_bytes_max = BUS_OUT_BYTES_MAX,
    .stall_ms_max = 30000,
};

struct local {
    struct bus      *bus;
    char             dir[sizeof ((struct sockaddr_un *)0)->sun_path];
    struct listener *listener;
    struct list      peers;
    int              peer_count, link_count;
};

struct local_peer {                  /* a role we connect to */
    struct list        link;
    struct local      *local;
    char               role[BUS_ROLE_BYTES_MAX + 1];
    bool               keep;
    struct local_link *outgoing;
    struct timer       retry;
    int                backoff_ms;
};

struct local_link {
    struct bus_link    base;
    struct conn       *conn;
    struct local_peer *peer;         /* NULL: it connected to us */
};

static struct local_link *local_of(struct bus_link *k)
{
    return LIST_ITEM(k, struct local_link, base);
}

/* ---- the link ---- */

static enum err local_send(struct bus_link *k, struct str bytes)
{
    return conn_write(local_of(k)->conn, bytes);
}

static void local_abort(struct bus_link *k)
{
    conn_abort(local_of(k)->conn, ERR_INVALID);
}

static const struct bus_link_ops local_ops = { .send = local_send, .abort = local_abort };

static size_t link_data(void *arg, struct conn *c, struct str in)
{
    struct local_link *lk = arg;
    size_t done = 0;

    while (!conn_is_closing(c)) {
        struct frame f;
        size_t used;
        enum err e = frame_read(str_make(in.p + done, in.len - done), &f, &used);

        if (e == ERR_AGAIN)
            break;
        if (e) {
            LOG_WARN("bus.refused", LF_Z("peer", lk->base.role), LF_ERR(e));
            conn_abort(c, e);
            break;
        }
        done += used;
        link_frame(&lk->base, &f);
    }
    return done;
}

static void peer_retry(struct local_peer *p);

static void link_closed(void *arg, struct conn *c, enum err why)
{
    struct local_link *lk = arg;
    struct local_peer *p = lk->peer;
    bool was_open = lk->base.open;

    ((struct local *)lk->base.bus->own)->link_count--;
    if (p)
        p->outgoing = NULL;
    if (p && was_open)
        p->backoff_ms = 0;
    link_down(&lk->base);
    free(lk);
    if (p)
        peer_retry(p);
}

static const struct conn_handlers link_handlers = { .data = link_data, .closed = link_closed };

/* Same user or root (the keeper that made the socket): nobody else has a say here. */
static bool peer_is_ours(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return false;
    if (who.uid == 0 || who.uid == geteuid())
        return true;
    LOG_WARN("bus.stranger", LF_I64("uid", who.uid));
    return false;
}

static struct local_link *link_new(struct local *lo, int fd, struct local_peer *p)
{
    struct local_link *lk;

    if (lo->link_count >= LINKS_MAX || !peer_is_ours(fd)) {
        close(fd);
        return NULL;
    }
    lk = NEW(struct local_link);
    lk->peer = p;
    if (p)
        memcpy(lk->base.role, p->role, sizeof lk->base.role);
    lo->link_count++;
    lk->conn = conn_new(lo->bus->loop, fd, &limits, &link_handlers, lk);
    link_init(&lk->base, lo->bus, &local_ops);
    link_greet(&lk->base);
    return lk;
}

static void link_accepted(void *arg, int fd)
{
    link_new(arg, fd, NULL);
}

/* ---- connecting ---- */

static bool address_of(const char *dir, const char *role, struct sockaddr_un *out)
{
    *out = (struct sockaddr_un){ .sun_family = AF_UNIX };
    return snprintf(out->sun_path, sizeof out->sun_path, "%s/%s.bus", dir, role) < (int)sizeof out->sun_path;
}

/* Never blocks: a full queue is EAGAIN, an absent role ENOENT or ECONNREFUSED. */
static int role_connect(const char *dir, const char *role)
{
    struct sockaddr_un to;
    int fd;

    if (!address_of(dir, role, &to))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static void peer_connect(struct local_peer *p)
{
    int fd;

    if (p->outgoing || timer_running(&p->retry))
        return;
    fd = role_connect(p->local->dir, p->role);
    if (fd >= 0)
        p->outgoing = link_new(p->local, fd, p);
    if (!p->outgoing)
        peer_retry(p);
}

static void retry_due(struct timer *t)
{
    peer_connect(LIST_ITEM(t, struct local_peer, retry));
}

static void peer_retry(struct local_peer *p)
{
    struct bus *b = p->local->bus;

    if (p->outgoing || (!p->keep && !bus_wants(b, str_of(p->role))))
        return;
    p->backoff_ms = p->backoff_ms ? p->backoff_ms * 2 : BACKOFF_MS_MIN;
    if (p->backoff_ms > BACKOFF_MS_MAX)
        p->backoff_ms = BACKOFF_MS_MAX;
    timer_start(b->loop, &p->retry, p->backoff_ms, retry_due);
}

static struct local_peer *peer_of(struct local *lo, struct str role)
{
    struct local_peer *p;

    LIST_EACH(it, &lo->peers)
        if (str_is(role, LIST_ITEM(it, struct local_peer, link)->role))
            return LIST_ITEM(it, struct local_peer, link);
    if (lo->peer_count >= PEERS_MAX)
        return NULL;
    p = NEW(struct local_peer);
    p->local = lo;
    str_copy(role, p->role, sizeof p->role);
    list_append(&lo->peers, &p->link);
    lo->peer_count++;
    return p;
}

static void local_want(struct bus *b, struct str role, bool keep)
{
    struct local_peer *p;

    if (str_is(role, b->role))
        return;                      /* the link to itself opens by itself */
    p = peer_of(b->own, role);
    if (!p)
        return;
    p->keep |= keep;
    peer_connect(p);
}

/* ---- life ---- */

static size_t quiet_data(void *arg, struct conn *c, struct str in)
{
    return in.len;
}

static void quiet_closed(void *arg, struct conn *c, enum err why)
{
}

static const struct conn_handlers quiet_handlers = { .data = quiet_data, .closed = quiet_closed };

static void local_free(struct bus *b)
{
    struct local *lo = b->own;

    listener_free(&lo->listener);
    LIST_EACH(it, &b->links) {
        struct local_link *lk = local_of(LIST_ITEM(it, struct bus_link, link));

        conn_set_handlers(lk->conn, &quiet_handlers, NULL);
        conn_abort(lk->conn, ERR_CLOSED);
        link_forget(&lk->base);
        free(lk);
    }
    LIST_EACH(it, &lo->peers) {
        struct local_peer *p = LIST_ITEM(it, struct local_peer, link);

        timer_stop(b->loop, &p->retry);
        free(p);
    }
    free(lo);
}

static const struct bus_transport local_transport = { .want = local_want, .free = local_free };

static enum err role_listen(const char *dir, const char *role, int *fd)
{
    struct sockaddr_un at;
    char address[sizeof at.sun_path + 8];
    mode_t before;
    enum err e;

    if (!address_of(dir, role, &at))
        return ERR_INVALID;
    snprintf(address, sizeof address, "unix:%s", at.sun_path);
    before = umask(0077);
    e = listen_socket(str_of(address), fd);
    umask(before);
    return e;
}

enum err bus_new_local(struct loop *l, const char *role, const char *dir, int listen_fd, struct bus **out)
{
    struct local *lo;
    enum err e;

    if (!role_is_valid(str_of(role)) || strlen(dir) >= sizeof lo->dir)
        return ERR_INVALID;
    if (listen_fd < 0) {
        e = role_listen(dir, role, &listen_fd);
        if (e)
            return e;
    }
    lo = NEW(struct local);
    str_copy(str_of(dir), lo->dir, sizeof lo->dir);
    list_init(&lo->peers);
    lo->bus = bus_new(l, role, &local_transport, lo);
    lo->listener = listener_new(l, listen_fd, link_accepted, lo);
    queue_join(lo->bus, lo->bus);
    *out = lo->bus;
    return OK;
}
