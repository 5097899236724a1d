/* floor.c: bongsu-floor, the least a message server could do. It answers
 * log-in with canned lines, finds the end of each message, and passes its
 * bytes on to the account named in `to`: no XML, no checks, no routing
 * rules. There is one room: whoever sends a presence with an address is in
 * it, and its messages go to all. With a log it first appends each message
 * to one file and passes it on after fdatasync, many messages to a sync.
 * What a real server costs above this is the price of being one.
 *
 * It takes any password and holds nothing: for bench/run on loopback only.
 * Accounts are named by a letter and a number ("u17").
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

enum { ACCOUNTS_MAX = 65536, READ_BYTES = 65536, STANZA_BYTES_MAX = 262144 };

struct bytes { char *p; size_t len, cap; };

struct peer {
    int          fd, account;           /* -1: not logged in */
    bool         authed, secured, shaking, wants_out, listening, direct, inside;
    SSL         *ssl;
    struct bytes in, out;
    struct peer *next_dirty;
    bool         dirty;
};

static int           epoll_fd, wake_fd = -1, log_fd = -1;
static SSL_CTX      *tls;
static struct peer  *accounts[ACCOUNTS_MAX];
static struct peer  *dirty;
static int           account_count;         /* one more than the highest that has logged in */
static char          input[READ_BYTES];

/* Group commit: one batch fills while the other is written and synced. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t  filled = PTHREAD_COND_INITIALIZER;
static struct bytes    filling, durable;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "bongsu-floor: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void put(struct bytes *b, const void *p, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            fail("memory");
    }
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

static void drop(struct bytes *b, size_t len)
{
    memmove(b->p, b->p + len, b->len - len);
    b->len -= len;
}

/* ---- peers ---- */

static void peer_watch(struct peer *c, bool out)
{
    struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c };

    if (c->wants_out != out)
        epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
    c->wants_out = out;
}

static void peer_close(struct peer *c)
{
    if (c->account >= 0 && accounts[c->account] == c)
        accounts[c->account] = NULL;
    if (c->ssl)
        SSL_free(c->ssl);
    close(c->fd);
    c->fd = -1;
    c->ssl = NULL;
    free(c->in.p);
    free(c->out.p);
    c->in = c->out = (struct bytes){ 0 };
    /* The struct stays: it may stand in this round's list. A few bytes a connection. */
}

static void peer_send(struct peer *c, const char *p, size_t len)
{
    put(&c->out, p, len);
    if (!c->dirty) {
        c->dirty = true;
        c->next_dirty = dirty;
        dirty = c;
    }
}

static void peer_flush(struct peer *c)
{
    while (c->fd >= 0 && !c->shaking && c->out.len) {
        ssize_t n = c->secured ? SSL_write(c->ssl, c->out.p, (int)c->out.len)
                               : send(c->fd, c->out.p, c->out.len, MSG_NOSIGNAL);
        if (n <= 0)
            break;                      /* full or gone: epoll will tell which */
        drop(&c->out, (size_t)n);
    }
    if (c->fd >= 0 && !c->shaking)
        peer_watch(c, c->out.len > 0);
}

static void peer_shake(struct peer *c)
{
    int n = SSL_accept(c->ssl);

    if (n == 1) {
        c->shaking = false;
        c->secured = true;
        peer_watch(c, false);
    } else if (SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_READ || SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE) {
        peer_watch(c, SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE);
    } else {
        peer_close(c);
    }
}

static void peer_secure(struct peer *c)
{
    peer_flush(c);                      /* <proceed/> leaves unencrypted */
    c->ssl = SSL_new(tls);
    SSL_set_fd(c->ssl, c->fd);
    c->shaking = true;
    c->in.len = 0;
    peer_shake(c);
}

/* ---- log-in, canned ---- */

#define SAY(c, lit) peer_send((c), (lit), sizeof(lit) - 1)

static bool has(const char *p, size_t len, const char *what) { return memmem(p, len, what, strlen(what)); }

static void login_piece(struct peer *c, const char *p, size_t len)
{
    if (has(p, len, "<stream:stream")) {
        SAY(c, "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='f' version='1.0'>"
               "<stream:features>");
        if (c->authed)
            SAY(c, "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>");
        else
            SAY(c, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
                   "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>");
        SAY(c, "</stream:features>");
    } else if (has(p, len, "<starttls")) {
        SAY(c, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        peer_secure(c);
    } else if (has(p, len, "</auth>")) {
        unsigned char plain[256] = { 0 };
        const char *text = (const char *)memchr(p, '>', len) + 1;
        size_t n = (size_t)(p + len - 7 - text);
        if (n >= 4 && n < 256 && EVP_DecodeBlock(plain, (const unsigned char *)text, (int)n) > 2)
            c->account = atoi((char *)plain + 2) % ACCOUNTS_MAX;
        c->authed = true;
        SAY(c, "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    } else if (has(p, len, "</iq>")) {
        if (c->account >= 0)
            accounts[c->account] = c;
        if (c->account >= account_count)
            account_count = c->account + 1;
        if (has(p, len, "'setup'"))
            SAY(c, "<iq type='result' id='setup'/>");
        else
            SAY(c, "<iq type='result' id='bind'/>");
    }
}

/* ---- the room ---- */

static void room_send(const char *p, size_t len)
{
    for (int i = 0; i < account_count; i++)
        if (accounts[i] && accounts[i]->inside)
            peer_send(accounts[i], p, len);
}

/* What a room's presence holds at least, about as long as those of others. */
static size_t room_put_presence(char *out, size_t size, int account, const char *type, const char *code)
{
    return (size_t)snprintf(out, size, "<presence from='room@rooms.bench.test/n%d'%s><x xmlns='http://jabber.org/protocol/muc#user'>"
                                       "<item affiliation='none' role='participant'/>%s</x></presence>", account, type, code);
}

static void room_presence(struct peer *c, bool gone)
{
    const char *type = gone ? " type='unavailable'" : "";
    char        text[512];
    size_t      n = room_put_presence(text, sizeof text, c->account, type, "");

    c->inside = false;
    room_send(text, n);
    for (int i = 0; i < account_count && !gone; i++) {
        if (!accounts[i] || !accounts[i]->inside)
            continue;
        n = room_put_presence(text, sizeof text, i, "", "");
        peer_send(c, text, n);
    }
    n = room_put_presence(text, sizeof text, c->account, type, "<status code='110'/>");
    peer_send(c, text, n);
    c->inside = !gone;
}

static void presence_take(struct peer *c, const char *p, size_t len)
{
    const char *end = memchr(p, '>', len);

    if (c->account >= 0 && end && has(p, (size_t)(end - p), " to='"))
        room_presence(c, has(p, (size_t)(end - p), "unavailable"));
}

/* ---- messages ---- */

/* Passes one whole message on; `to='u17@…'` is near its start. */
static void message_deliver(const char *p, size_t len)
{
    const char *to = memmem(p, len, " to='", 5);
    int account = to && to + 6 < p + len ? atoi(to + 6) : -1;

    if (has(p, len, "type='groupchat'"))
        room_send(p, len);
    else if (account >= 0 && account < ACCOUNTS_MAX && accounts[account])
        peer_send(accounts[account], p, len);
}

static void messages_deliver(const char *p, size_t len)
{
    const char *end;

    while (len && (end = memmem(p, len, "</message>", 10))) {
        size_t n = (size_t)(end + 10 - p);
        message_deliver(p, n);
        p += n;
        len -= n;
    }
}

static void message_take(const char *p, size_t len)
{
    if (log_fd < 0) {
        message_deliver(p, len);
        return;
    }
    pthread_mutex_lock(&lock);
    put(&filling, p, len);
    pthread_cond_signal(&filled);
    pthread_mutex_unlock(&lock);
}

static void *sync_thread(void *arg)
{
    struct bytes batch = { 0 };
    uint64_t one = 1;

    for (;;) {
        pthread_mutex_lock(&lock);
        while (!filling.len)
            pthread_cond_wait(&filled, &lock);
        struct bytes swap = filling;
        filling = batch;
        batch = swap;
        pthread_mutex_unlock(&lock);

        if (write(log_fd, batch.p, batch.len) != (ssize_t)batch.len || fdatasync(log_fd) < 0)
            fail("could not write the log");

        pthread_mutex_lock(&lock);
        put(&durable, batch.p, batch.len);
        pthread_mutex_unlock(&lock);
        batch.len = 0;
        if (write(wake_fd, &one, sizeof one) < 0)
            fail("eventfd");
    }
    return arg;
}

static void durable_deliver(void)
{
    static struct bytes ready;
    uint64_t n;

    if (read(wake_fd, &n, sizeof n) < 0)
        return;
    pthread_mutex_lock(&lock);
    struct bytes swap = durable;
    durable = ready;
    ready = swap;
    pthread_mutex_unlock(&lock);
    messages_deliver(ready.p, ready.len);
    ready.len = 0;
}

/* ---- reading ---- */

/* Bytes of the first whole piece; 0: more are needed. The '>' is all that is looked at, except that
 * a message, an <auth/> and an <iq/> end with their own end tag. */
static size_t piece_bytes(const char *p, size_t len)
{
    static const char *const ends[][2] = { { "<message", "</message>" }, { "<auth", "</auth>" }, { "<iq", "</iq>" } };
    const char *end;

    for (size_t i = 0; i < 3; i++) {
        size_t n = strlen(ends[i][0]);
        if (len >= n && memcmp(p, ends[i][0], n) == 0) {
            end = memmem(p, len, ends[i][1], strlen(ends[i][1]));
            return end ? (size_t)(end - p) + strlen(ends[i][1]) : 0;
        }
    }
    end = memchr(p, '>', len);
    return end ? (size_t)(end + 1 - p) : 0;
}

static size_t peer_pieces(struct peer *c, const char *p, size_t len)
{
    size_t used = 0, n;

    while (c->fd >= 0 && used < len && (n = piece_bytes(p + used, len - used))) {
        const char *piece = p + used;
        used += n;
        if (memcmp(piece, "<message", n < 8 ? n : 8) == 0) {
            message_take(piece, n);
        } else if (memcmp(piece, "<presence", n < 9 ? n : 9) == 0) {
            presence_take(c, piece, n);
        } else if (memcmp(piece, "</stream", n < 8 ? n : 8) == 0) {
            SAY(c, "</stream:stream>");
            peer_flush(c);
            peer_close(c);
        } else {
            login_piece(c, piece, n);
            if (c->shaking)
                return len;
        }
    }
    return used;
}

static void peer_read(struct peer *c)
{
    while (c->fd >= 0 && !c->shaking) {
        ssize_t n = c->secured ? SSL_read(c->ssl, input, sizeof input) : recv(c->fd, input, sizeof input, 0);
        if (n <= 0) {
            bool again = c->secured ? SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ : n < 0 && errno == EAGAIN;
            if (!again)
                peer_close(c);
            return;
        }
        if (c->in.len == 0) {
            size_t used = peer_pieces(c, input, (size_t)n);
            if (c->fd >= 0 && used < (size_t)n)
                put(&c->in, input + used, (size_t)n - used);
        } else {
            put(&c->in, input, (size_t)n);
            size_t used = peer_pieces(c, c->in.p, c->in.len);
            if (c->fd >= 0 && c->in.len)
                drop(&c->in, used);
        }
        if (c->fd >= 0 && c->in.len > STANZA_BYTES_MAX)
            peer_close(c);
        if (!c->secured || (c->fd >= 0 && !SSL_has_pending(c->ssl)))
            return;
    }
}

static void peer_accept(const struct peer *listener)
{
    int fd, one = 1;

    while ((fd = accept4(listener->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *c = calloc(1, sizeof *c);
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
        if (!c)
            fail("memory");
        c->fd = fd;
        c->account = -1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e);
        if (listener->direct)
            peer_secure(c);
    }
}

static void peer_event(struct peer *c, uint32_t events)
{
    if (c->listening) {
        peer_accept(c);
    } else if (c->fd == wake_fd && wake_fd >= 0) {
        durable_deliver();
    } else if (c->fd >= 0 && c->shaking) {
        peer_shake(c);
    } else if (c->fd >= 0) {
        if (events & EPOLLOUT)
            peer_flush(c);
        peer_read(c);
    }
}

/* ---- starting ---- */

static void listen_on(int port, bool direct)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct peer *c = calloc(1, sizeof *c);
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };
    int one = 1;

    if (!c)
        fail("memory");
    *c = (struct peer){ .listening = true, .direct = direct, .account = -1 };
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(c->fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(c->fd, 1024) < 0)
        fail("could not listen");
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

static void sync_to(const char *path)
{
    static struct peer wake;
    struct epoll_event e = { .events = EPOLLIN, .data.ptr = &wake };
    pthread_t t;

    log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (log_fd < 0 || wake_fd < 0)
        fail(path);
    wake.fd = wake_fd;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &e);
    if (pthread_create(&t, NULL, sync_thread, NULL))
        fail("thread");
}

int main(int argc, char **argv)
{
    struct rlimit files;

    if (argc < 5) {
        fputs("usage: bongsu-floor PORT TLS_PORT KEY.pem CERTIFICATE.pem [LOG-TO-SYNC]\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls = SSL_CTX_new(TLS_server_method());
    if (!tls || SSL_CTX_use_certificate_chain_file(tls, argv[4]) != 1
        || SSL_CTX_use_PrivateKey_file(tls, argv[3], SSL_FILETYPE_PEM) != 1)
        fail("could not read the certificate");
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (argc > 5)
        sync_to(argv[5]);
    listen_on(atoi(argv[1]), false);
    listen_on(atoi(argv[2]), true);
    for (;;) {
        struct epoll_event events[256];
        int n = epoll_wait(epoll_fd, events, 256, -1);
        for (int i = 0; i < n; i++)
            peer_event(events[i].data.ptr, events[i].events);
        while (dirty) {
            struct peer *c = dirty;
            dirty = c->next_dirty;
            c->dirty = false;
            peer_flush(c);
        }
    }
}
