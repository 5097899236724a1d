/* client.c: one XMPP connection, from connect to a bound session
 * (RFC 6120, RFC 6121, XEP-0198), and the epoll loop that carries them.
 *
 *   CLOSED → CONNECTING → [HANDSHAKE, direct TLS] → FEATURES
 *     FEATURES → PROCEED → HANDSHAKE → FEATURES       (STARTTLS)
 *     FEATURES → SASL → FEATURES                      (log-in)
 *     FEATURES → [SESSION →] BINDING → [ENABLING] → READY
 *   READY → CLOSING → CLOSED                          (client_hang_up)
 *
 * Stanzas are framed, not parsed: tags are counted, and the few values
 * needed are searched for. The input buffer is shared; a connection owns
 * memory only for a stanza that came in pieces.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/err.h>
#include "load.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

enum { READ_BYTES = 128 * 1024, EVENTS = 256, STANZA_BYTES_MAX = 4 * 1024 * 1024 };

static const struct scenario *scenario;
static SSL_CTX       *tls;
static int            epoll_fd = -1;
static struct client *dirty;        /* have something to send at the end of the round */
static char           input[READ_BYTES];
static unsigned       connect_count;

/* ---- small helpers ---- */

static void bytes_put(struct bytes *b, const char *p, size_t len)
{
    if (b->len + len > b->cap) {
        b->cap = (b->len + len) * 2;
        b->p = realloc(b->p, b->cap);
        if (!b->p)
            die("out of memory");
    }
    memcpy(b->p + b->len, p, len);
    b->len += len;
}

static void bytes_free(struct bytes *b)
{
    free(b->p);
    *b = (struct bytes){ 0 };
}

const char *text_find(struct text t, const char *needle)
{
    return memmem(t.p, t.len, needle, strlen(needle));
}

bool text_attr(struct text t, const char *name, struct text *out)
{
    const char *end = memchr(t.p, '>', t.len), *p = t.p;
    size_t n = strlen(name);

    while (end && (p = memchr(p, '=', (size_t)(end - p)))) {
        const char *value = p + 2, *close;
        if (value > end || (p[1] != '\'' && p[1] != '"'))
            return false;
        close = memchr(value, p[1], t.len - (size_t)(value - t.p));
        if (!close)
            return false;
        if ((size_t)(p - t.p) > n && memcmp(p - n, name, n) == 0 && (p[-(long)n - 1] == ' ')) {
            *out = (struct text){ value, (size_t)(close - value) };
            return true;
        }
        if (close > end)            /* a '>' stood inside the value */
            end = memchr(close, '>', t.len - (size_t)(close - t.p));
        p = close;
    }
    return false;
}

bool text_is(struct text t, const char *name)
{
    size_t n = strlen(name);

    return t.len > n && t.p[0] == '<' && memcmp(t.p + 1, name, n) == 0;
}

bool text_typed(struct text t, const char *type)
{
    struct text is;

    return text_attr(t, "type", &is) && is.len == strlen(type) && memcmp(is.p, type, is.len) == 0;
}

/* Character data of the element that fills `t`, markup excluded. */
static bool text_inner(struct text t, char *out, size_t out_max)
{
    const char *a = memchr(t.p, '>', t.len), *b;

    if (!a)
        return false;
    a++;
    b = memchr(a, '<', t.len - (size_t)(a - t.p));
    if (!b || (size_t)(b - a) >= out_max)
        return false;
    memcpy(out, a, (size_t)(b - a));
    out[b - a] = 0;
    return true;
}

static bool starts(struct text t, const char *what)
{
    size_t n = strlen(what);
    return t.len >= n && memcmp(t.p, what, n) == 0;
}

void die_at(const struct client *c, const char *what, struct text t)
{
    int shown = t.len > 400 ? 400 : (int)t.len;
    die("%s%d: %s (state %d): %.*s", opt.prefix, c->account, what, (int)c->state, shown, t.p);
}

/* ---- sending ---- */

static void client_watch(struct client *c, bool out)
{
    struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c };

    if (c->wants_out == out)
        return;
    c->wants_out = out;
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void client_lost(struct client *c, const char *why);

static void client_flush(struct client *c)
{
    size_t done = 0;

    if (c->fd < 0 || c->state == CLIENT_CONNECTING || c->state == CLIENT_HANDSHAKE)
        return;
    while (done < c->out.len) {
        ssize_t n;
        if (c->secured) {
            n = SSL_write(c->ssl, c->out.p + done, (int)(c->out.len - done));
            if (n <= 0) {
                int e = SSL_get_error(c->ssl, (int)n);
                if (e == SSL_ERROR_WANT_WRITE || e == SSL_ERROR_WANT_READ)
                    break;
                client_lost(c, "TLS write failed");
                return;
            }
        } else {
            n = send(c->fd, c->out.p + done, c->out.len - done, MSG_NOSIGNAL);
            if (n < 0) {
                if (errno == EAGAIN)
                    break;
                client_lost(c, strerror(errno));
                return;
            }
        }
        done += (size_t)n;
    }
    if (done == c->out.len) {
        /* Talkers keep their memory; silent sessions own none. */
        if (c->out.cap > 8192 || scenario == &scenario_idle)
            bytes_free(&c->out);
        c->out.len = 0;
    } else {
        memmove(c->out.p, c->out.p + done, c->out.len - done);
        c->out.len -= done;
    }
    client_watch(c, c->out.len > 0);
}

void client_send(struct client *c, const char *p, size_t len)
{
    bytes_put(&c->out, p, len);
    if (!c->dirty) {
        c->dirty = true;
        c->next_dirty = dirty;
        dirty = c;
    }
}

void client_sendf(struct client *c, const char *fmt, ...)
{
    char text[2048];
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (n < 0 || n >= (int)sizeof text)
        die("stanza too long for the generator");
    client_send(c, text, (size_t)n);
}

void client_counted(struct client *c, uint64_t ns)
{
    if (opt.sm)
        c->sm_sent_ns[c->sm_out++ % ACK_RING] = ns;
}

size_t client_backlog(const struct client *c) { return c->out.len; }

/* ---- connecting and closing ---- */

static void client_release(struct client *c)
{
    if (c->ssl)
        SSL_free(c->ssl);
    if (c->fd >= 0)
        close(c->fd);
    free(c->scram);
    bytes_free(&c->in);
    bytes_free(&c->out);
    c->ssl = NULL;
    c->scram = NULL;
    c->fd = -1;
    c->secured = c->authed = c->wants_out = false;
    c->scanned = 0;
    c->depth = 0;
    c->state = CLIENT_CLOSED;
}

static void client_lost(struct client *c, const char *why)
{
    bool expected = c->state == CLIENT_CLOSING;

    if (!expected)
        die("%s%d lost its connection (state %d): %s", opt.prefix, c->account, (int)c->state, why);
    client_release(c);
    if (scenario->closed)
        scenario->closed(c);
}

static void stream_open(struct client *c)
{
    c->depth = 0;
    c->scanned = 0;
    c->in.len = 0;
    c->state = CLIENT_FEATURES;
    client_sendf(c, "<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
                    "xmlns:stream='http://etherx.jabber.org/streams'>", opt.domain);
}

static void tls_step(struct client *c)
{
    int n = SSL_connect(c->ssl);

    if (n == 1) {
        c->secured = true;
        client_watch(c, false);
        stream_open(c);
        return;
    }
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:  client_watch(c, false); return;
    case SSL_ERROR_WANT_WRITE: client_watch(c, true);  return;
    default:
        client_lost(c, ERR_reason_error_string(ERR_peek_last_error()) ? ERR_reason_error_string(ERR_peek_last_error())
                                                                      : "TLS handshake failed");
    }
}

static void tls_begin(struct client *c)
{
    c->state = CLIENT_HANDSHAKE;
    c->ssl = SSL_new(tls);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd))
        die("could not start TLS");
    SSL_set_tlsext_host_name(c->ssl, opt.domain);
    tls_step(c);
}

void client_connect(struct client *c)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)opt.port) };
    struct sockaddr_in from = { .sin_family = AF_INET };
    int one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("could not open a socket: %s", strerror(errno));
    inet_pton(AF_INET, opt.host2 && c->index % 2 ? opt.host2 : opt.host, &to.sin_addr);
    /* Many loopback addresses, so that ports in TIME_WAIT are not used up. */
    if ((ntohl(to.sin_addr.s_addr) >> 24) == 127) {
        from.sin_addr.s_addr = htonl(0x7f000002u + connect_count++ % 200);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof from) < 0)
            die("could not bind a loopback address: %s", strerror(errno));
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CLIENT_CONNECTING;
    c->began_ns = now_ns();
    c->sm_in = c->sm_out = c->sm_acked = 0;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        die("could not connect to %s:%d: %s", opt.host, opt.port, strerror(errno));
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    c->wants_out = true;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
}

void client_hang_up(struct client *c)
{
    client_send(c, "</stream:stream>", 16);
    c->state = CLIENT_CLOSING;
}

static void client_connected(struct client *c)
{
    int e = 0;
    socklen_t n = sizeof e;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n);
    if (e)
        die("could not connect to %s:%d: %s", opt.host, opt.port, strerror(e));
    if (opt.tls == TLS_DIRECT) {
        tls_begin(c);
    } else {
        client_watch(c, false);
        stream_open(c);
    }
}

/* ---- log-in ---- */

static void auth_send(struct client *c, struct text features)
{
    char user[64], offered[64], text[SCRAM_TEXT_MAX];

    snprintf(offered, sizeof offered, ">%s<", opt.mechanism);
    if (!text_find(features, offered))
        die_at(c, "the server does not offer this mechanism", features);
    snprintf(user, sizeof user, "%s%d", opt.prefix, c->account);
    if (strcmp(opt.mechanism, "PLAIN") == 0) {
        char plain[256];
        int n = snprintf(plain, sizeof plain, "%c%s%c%s", 0, user, 0, opt.password);
        base64_encode(plain, (size_t)n, text);
    } else {
        c->scram = calloc(1, sizeof *c->scram);
        scram_first(c->scram, strcmp(opt.mechanism, "SCRAM-SHA-256") == 0, user, text);
    }
    c->state = CLIENT_SASL;
    client_sendf(c, "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='%s'>%s</auth>", opt.mechanism, text);
}

static void sasl_stanza(struct client *c, struct text t)
{
    char in[SCRAM_TEXT_MAX], out[SCRAM_TEXT_MAX] = "";

    if (starts(t, "<challenge")) {
        if (!c->scram || !text_inner(t, in, sizeof in))
            die_at(c, "unexpected challenge", t);
        if (!scram_final(c->scram, c->account, in, out) && !scram_check(c->scram, in))
            die_at(c, "wrong challenge", t);
        client_sendf(c, "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>%s</response>", out);
    } else if (starts(t, "<success")) {
        if (c->scram && text_inner(t, in, sizeof in) && in[0] && !scram_check(c->scram, in))
            die_at(c, "the server's signature is wrong", t);
        free(c->scram);
        c->scram = NULL;
        c->authed = true;
        stream_open(c);
    } else {
        die_at(c, "could not log in", t);
    }
}

static void session_ready(struct client *c)
{
    c->state = CLIENT_READY;
    if (opt.presence) {
        client_send(c, "<presence/>", 11);
        client_counted(c, 0);
    }
    tally->ready++;
    scenario->ready(c);
}

static void session_next(struct client *c)
{
    if (opt.sm) {
        c->state = CLIENT_ENABLING;
        client_send(c, "<enable xmlns='urn:xmpp:sm:3'/>", 31);
    } else {
        session_ready(c);
    }
}

static void features_stanza(struct client *c, struct text t)
{
    if (!starts(t, "<stream:features") && !starts(t, "<features"))
        die_at(c, "expected stream features", t);
    if (opt.tls == TLS_STARTTLS && !c->secured) {
        if (!text_find(t, "urn:ietf:params:xml:ns:xmpp-tls"))
            die_at(c, "the server does not offer STARTTLS", t);
        c->state = CLIENT_PROCEED;
        client_sendf(c, "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    } else if (!c->authed) {
        auth_send(c, t);
    } else {
        /* Older servers want the session request of RFC 3921 unless it is marked optional. */
        const char *session = text_find(t, "urn:ietf:params:xml:ns:xmpp-session");
        bool needed = session && !text_find((struct text){ session, (size_t)(t.p + t.len - session) }, "<optional");

        c->state = needed ? CLIENT_SESSION : CLIENT_BINDING;
        client_sendf(c, "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>"
                        "<resource>load%d</resource></bind></iq>", c->index);
    }
}

static void bound_stanza(struct client *c, struct text t)
{
    struct text type, id;

    if (!starts(t, "<iq"))
        return;                     /* a server may push before it answers */
    if (!text_attr(t, "type", &type) || !text_attr(t, "id", &id) || memcmp(type.p, "result", 6) != 0) {
        die_at(c, "could not bind", t);
    }
    if (c->state == CLIENT_SESSION) {
        c->state = CLIENT_BINDING;
        client_sendf(c, "<iq type='set' id='session'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>");
        return;
    }
    session_next(c);
}

/* ---- a session's stanzas ---- */

static void acked(struct client *c, struct text t)
{
    struct text h;
    uint64_t now = now_ns();

    if (!text_attr(t, "h", &h))
        die_at(c, "acknowledgement without h", t);
    uint32_t upto = (uint32_t)strtoul(h.p, NULL, 10);
    while ((int32_t)(upto - c->sm_acked) > 0) {
        uint64_t sent = c->sm_sent_ns[c->sm_acked++ % ACK_RING];
        if (sent && in_window(now))
            histogram_add(&tally->acked, now - sent);
    }
}

static void session_stanza(struct client *c, struct text t)
{
    if (opt.sm) {
        if (starts(t, "<r ") || starts(t, "<r/")) {
            client_sendf(c, "<a xmlns='urn:xmpp:sm:3' h='%u'/>", c->sm_in);
            return;
        }
        if (starts(t, "<a ")) {
            acked(c, t);
            return;
        }
        c->sm_in++;
    }
    if (starts(t, "<stream:error"))
        die_at(c, "the server ended the stream", t);
    scenario->stanza(c, t);
}

static void client_stanza(struct client *c, struct text t)
{
    switch (c->state) {
    case CLIENT_FEATURES: features_stanza(c, t); break;
    case CLIENT_PROCEED:
        if (!starts(t, "<proceed"))
            die_at(c, "could not start TLS", t);
        tls_begin(c);
        break;
    case CLIENT_SASL:     sasl_stanza(c, t); break;
    case CLIENT_SESSION:
    case CLIENT_BINDING:  bound_stanza(c, t); break;
    case CLIENT_ENABLING:
        if (starts(t, "<enabled")) {
            if (!c->sm_sent_ns)
                c->sm_sent_ns = calloc(ACK_RING, sizeof *c->sm_sent_ns);
            session_ready(c);
        } else if (starts(t, "<failed")) {
            die_at(c, "could not enable stream management", t);
        }
        break;
    case CLIENT_READY:    session_stanza(c, t); break;
    default: break;
    }
}

/* Where the tag that starts at `p` ends; quotes may hide a '>'. */
static const char *tag_end(const char *p, const char *end)
{
    char quote = 0;

    for (; p < end; p++) {
        if (quote) {
            if (*p == quote)
                quote = 0;
        } else if (*p == '>') {
            return p;
        } else if (*p == '\'' || *p == '"') {
            quote = *p;
        }
    }
    return NULL;
}

/* Hands on every complete stanza in p..p+len and returns the bytes used up.
 * `*scanned` is where to go on looking next time. */
static size_t frames(struct client *c, const char *p, size_t len, size_t *scanned)
{
    const char *start = p, *at = p + *scanned, *end = p + len;

    while (c->fd >= 0 && (at = memchr(at, '<', (size_t)(end - at)))) {
        const char *close = tag_end(at, end);
        bool whole = false;

        if (!close)
            break;
        if (c->depth == 0)
            start = at;
        if (at[1] == '/')
            whole = --c->depth <= 1;
        else if (at[1] == '?')
            start = close + 1;
        else if (close[-1] == '/')
            whole = c->depth == 1;
        else
            c->depth++;
        if (c->depth == 1 && !whole)
            start = close + 1;                   /* the stream's start tag */
        at = close + 1;
        if (whole && c->depth == 0) {            /* </stream:stream> */
            client_lost(c, "the server closed the stream");
            return 0;
        }
        if (whole) {
            while (start < at && *start != '<')
                start++;
            enum client_state before = c->state;
            client_stanza(c, (struct text){ start, (size_t)(at - start) });
            start = at;
            /* A new stream begins: nothing of the old one may follow. */
            if (before != c->state && (c->state == CLIENT_FEATURES || c->state == CLIENT_HANDSHAKE))
                return len;
        }
    }
    *scanned = (size_t)((at ? at : end) - start);
    return (size_t)(start - p);
}

static void client_take(struct client *c, char *p, size_t len)
{
    size_t scanned = c->scanned, used;

    if (c->in.len) {
        bytes_put(&c->in, p, len);
        /* frames() may restart the stream, which empties c->in */
        struct bytes whole = c->in;
        c->in = (struct bytes){ 0 };
        c->scanned = 0;
        used = frames(c, whole.p, whole.len, &scanned);
        if (c->fd >= 0 && used < whole.len) {
            bytes_put(&c->in, whole.p + used, whole.len - used);
            c->scanned = scanned;
        }
        free(whole.p);
    } else {
        c->scanned = 0;
        scanned = 0;
        used = frames(c, p, len, &scanned);
        if (c->fd >= 0 && used < len) {
            bytes_put(&c->in, p + used, len - used);
            c->scanned = scanned;
        }
    }
    if (c->in.len > STANZA_BYTES_MAX)
        die("%s%d: a stanza without end", opt.prefix, c->account);
}

static void client_read(struct client *c)
{
    while (c->fd >= 0 && c->state != CLIENT_HANDSHAKE) {
        ssize_t n;
        if (c->secured) {
            n = SSL_read(c->ssl, input, sizeof input);
            if (n <= 0) {
                int e = SSL_get_error(c->ssl, (int)n);
                if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
                    client_lost(c, "closed by the server");
                ERR_clear_error();
                return;
            }
        } else {
            n = recv(c->fd, input, sizeof input, 0);
            if (n < 0 && errno == EAGAIN)
                return;
            if (n <= 0) {
                client_lost(c, n == 0 ? "closed by the server" : strerror(errno));
                return;
            }
        }
        client_take(c, input, (size_t)n);
        if (!c->secured && n < (ssize_t)sizeof input)
            return;                              /* level-triggered: more will be told */
        if (c->secured && !SSL_has_pending(c->ssl))
            return;
    }
}

/* ---- the loop ---- */

static void client_event(struct client *c, uint32_t events)
{
    if (c->fd < 0)
        return;
    if (c->state == CLIENT_CONNECTING) {
        client_connected(c);
        return;
    }
    if (c->state == CLIENT_HANDSHAKE) {
        tls_step(c);
        return;
    }
    if (events & EPOLLOUT)
        client_flush(c);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        client_read(c);
}

void client_round(int64_t wait_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec wait = { .tv_sec = wait_ns / 1000000000, .tv_nsec = wait_ns % 1000000000 };
    int n = epoll_pwait2(epoll_fd, events, EVENTS, &wait, NULL);

    for (int i = 0; i < n; i++)
        client_event(events[i].data.ptr, events[i].events);
    while (dirty) {
        struct client *c = dirty;
        dirty = c->next_dirty;
        c->dirty = false;
        client_flush(c);
    }
}

/* One cipher suite and one group, the same for every server, so that their
 * lists of preference do not decide the comparison. The certificate is not
 * checked: it is the benchmark's own. */
void client_setup(const struct scenario *s)
{
    scenario = s;
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls = SSL_CTX_new(TLS_client_method());
    if (epoll_fd < 0 || !tls)
        die("could not set up the loop");
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256");
    SSL_CTX_set1_groups_list(tls, "X25519");
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
}
