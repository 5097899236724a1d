/* storm.c: bongsu-storm: thousands of people of a lost site come back at once.
 *
 *   bongsu-storm --from HOST:PORT --to HOST:PORT[,HOST:PORT…] [--clients N] …
 *
 * First all log in at --from: one after the other with the password, asking for a FAST token (XEP-0484) and a
 * resumable stream (XEP-0198). "ready" is printed. At a line on stdin every client gives its connection up, waits a
 * random part of what the server advises (urn:bongsu:reconnect:0) or of --jitter-ms, and comes back at one of --to:
 * TLS, stream header and <authenticate/> with token, resumption and Bind2 in one flight (XEP-0388, 0386). Where resuming
 * fails it is bound anew, says that it is there, and asks for what it missed. "back" tells how long that took. Then the
 * sessions stay until stdin ends.
 *
 *   CLOSED ─due─▶ CONNECTING ─▶ HANDSHAKE ─▶ LOGIN ─success─▶ IN
 *      ▲               └──────────────┴────────┴── failure, loss, deadline: the next address, later
 *      └───────────────────────────────────────────┘
 *
 * Stanzas are searched, not parsed, and what comes in is never acknowledged: h is 0, which every server must take.
 * Like bongsu-load it shares nothing with the server. One JSON object a line.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/ssl.h>

enum {
    TARGETS_MAX = 8, EVENTS = 256, INPUT_MAX = 16 * 1024, TOKEN_MAX = 128, ID_MAX = 64,
    DEADLINE_MS = 10000,            /* of one attempt; the server may be busy with all the others */
    BACKOFF_MS = 250, BACKOFF_MS_MAX = 2000, JITTER_MS = 300,
    ROUNDS_MAX = 64,
    GATHER_TRIES_MAX = 8,           /* before the storm: a busy server may put somebody off, but not for ever */
};

enum state { CLOSED, CONNECTING, HANDSHAKE, LOGIN, IN };

struct target { char host[48]; int port; };

struct client {
    int        fd, tries;
    enum state state;
    bool       was_in, resumed;
    int64_t    due_ms, deadline_ms, left_ms, back_ms;   /* back_ms: after the start of the storm */
    SSL       *ssl;
    char       token[TOKEN_MAX], stream_id[ID_MAX];
    char      *in;                  /* what came of the log-in's answer so far */
    size_t     in_len;
};

static struct {
    const char   *domain, *prefix;
    int           clients, width, jitter_ms, seconds;
    struct target from, to[TARGETS_MAX];
    int           to_count;
} opt = { .domain = "town.example", .prefix = "storm", .clients = 5000, .width = 32, .jitter_ms = -1, .seconds = 60 };

static struct client *clients;
static SSL_CTX       *tls;
static int            epoll_fd, ready_count, begun_count, busy_count;
static bool           storming;
static int64_t        storm_ms;
static long           failures, resumed_count, bound_count;
static int            advice_ms;    /* the most that anybody was advised: at a site that has long been full all are */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    fputs("bongsu-storm: ", stderr);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static int64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int number_of(const struct client *c) { return (int)(c - clients); }

/* ---- coming and going ---- */

static void hang_up(struct client *c)
{
    if (c->ssl) {
        SSL_set_quiet_shutdown(c->ssl, 1);
        SSL_free(c->ssl);
        c->ssl = NULL;
    }
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
    free(c->in);
    c->in = NULL;
    c->in_len = 0;
    if (c->state == CONNECTING || c->state == HANDSHAKE || c->state == LOGIN)
        busy_count--;
    if (c->state == IN)
        ready_count--;
    c->state = CLOSED;
}

/* Why attempts failed, for who reads the result. */
static struct { char why[48]; long count; } reasons[16];

static void note_reason(const char *why)
{
    size_t n = sizeof reasons / sizeof reasons[0], i = 0;
    char clean[sizeof reasons[0].why];

    snprintf(clean, sizeof clean, "%s", why);
    for (char *at = clean; *at; at++)
        if (*at < ' ' || *at == '"' || *at == '\\')
            *at = ' ';
    while (i < n - 1 && reasons[i].count && strcmp(reasons[i].why, clean) != 0)
        i++;
    if (!reasons[i].count++)
        strcpy(reasons[i].why, i < n - 1 ? clean : "anything else");
}

static void failed(struct client *c, const char *why)
{
    int64_t wait = (int64_t)BACKOFF_MS << (c->tries < 3 ? c->tries : 3);

    if (!storming && c->state != IN && c->tries >= GATHER_TRIES_MAX)
        die("%s%d could not log in: %s", opt.prefix, number_of(c), why);
    if (storming) {
        failures++;
        note_reason(why);
    }
    hang_up(c);
    c->tries++;
    c->due_ms = now_ms() + (wait > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : wait) + rand() % (JITTER_MS + 1);
}

static const struct target *target_of(const struct client *c)
{
    return storming ? &opt.to[(number_of(c) + c->tries) % opt.to_count] : &opt.from;
}

static void begin(struct client *c)
{
    const struct target *t = target_of(c);
    struct sockaddr_in   to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)t->port) };
    struct epoll_event   e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    int                  one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || inet_pton(AF_INET, t->host, &to.sin_addr) != 1)
        die("could not open a socket to \"%s\": %s", t->host, strerror(errno));
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CONNECTING;
    busy_count++;
    c->deadline_ms = now_ms() + DEADLINE_MS;
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        failed(c, strerror(errno));
}

static void watch(struct client *c, bool out)
{
    struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0u), .data.ptr = c };

    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

/* ---- log-in ---- */

/* draft-schmaus-kitten-sasl-ht-09: name NUL HMAC-SHA-256(token, "Initiator"). */
static int token_proof(const struct client *c, char *out)
{
    int      n = sprintf(out, "%s%d", opt.prefix, number_of(c)) + 1;
    unsigned size = 32;

    HMAC(EVP_sha256(), c->token, (int)strlen(c->token), (const unsigned char *)"Initiator", 9, (unsigned char *)out + n, &size);
    return n + (int)size;
}

static void say_login(struct client *c)
{
    char text[2048], initial[256], coded[400], resume[160] = "";
    int  n;

    if (c->token[0])
        n = token_proof(c, initial);
    else
        n = sprintf(initial, "%c%s%d%csecret-%s%d", 0, opt.prefix, number_of(c), 0, opt.prefix, number_of(c));
    EVP_EncodeBlock((unsigned char *)coded, (unsigned char *)initial, n);
    if (c->stream_id[0])
        snprintf(resume, sizeof resume, "<resume xmlns='urn:xmpp:sm:3' previd='%s' h='0'/>", c->stream_id);
    n = snprintf(text, sizeof text,
                 "<?xml version='1.0'?><stream:stream to='%s' version='1.0' xmlns='jabber:client' "
                 "xmlns:stream='http://etherx.jabber.org/streams'><authenticate xmlns='urn:xmpp:sasl:2' mechanism='%s'>"
                 "<initial-response>%s</initial-response><user-agent id='d4565fa7-4d72-4749-b3d3-%012d'/>%s%s"
                 "<bind xmlns='urn:xmpp:bind:0'><tag>storm</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind></authenticate>",
                 opt.domain, c->token[0] ? "HT-SHA-256-NONE" : "PLAIN", coded, number_of(c),
                 c->token[0] ? "<fast xmlns='urn:xmpp:fast:0'/>"
                             : "<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", resume);
    c->state = LOGIN;
    watch(c, false);
    if (SSL_write(c->ssl, text, n) != n)
        failed(c, "the log-in could not be sent");
}

/* The value of an attribute of the first element that begins with `element`. */
static bool attribute(const char *text, const char *element, const char *name, char *out, size_t out_max)
{
    const char *at = strstr(text, element), *end = at ? strchr(at, '>') : NULL, *value;
    size_t      n = strlen(name), len;

    for (at = at ? strchr(at, ' ') : NULL; at && at < end; at = strchr(at + 1, ' ')) {
        if (strncmp(at + 1, name, n) != 0 || at[n + 1] != '=')
            continue;
        value = at + n + 3;
        len = strcspn(value, "'\"");
        if (len >= out_max)
            return false;
        memcpy(out, value, len);
        out[len] = '\0';
        return true;
    }
    return false;
}

/* It stands in the features behind the log-in. */
static void hear_advice(const char *text)
{
    char spread[8];

    if (attribute(text, "<reconnect ", "spread", spread, sizeof spread) && atoi(spread) * 1000 > advice_ms)
        advice_ms = atoi(spread) * 1000;
}

static void say(struct client *c, const char *text)
{
    if (SSL_write(c->ssl, text, (int)strlen(text)) <= 0)
        failed(c, "the connection is full");
}

static void logged_in(struct client *c)
{
    attribute(c->in, "<token", "token", c->token, sizeof c->token);
    hear_advice(c->in);
    c->resumed = strstr(c->in, "<resumed") != NULL;
    if (!c->resumed && !attribute(c->in, "<enabled", "id", c->stream_id, sizeof c->stream_id))
        die("%s%d got no resumable stream: %s", opt.prefix, number_of(c), c->in);
    busy_count--;
    ready_count++;
    c->state = IN;
    c->tries = 0;
    free(c->in);
    c->in = NULL;
    c->in_len = 0;
    if (storming && !c->back_ms) {
        c->back_ms = now_ms() - storm_ms + 1;
        *(c->resumed ? &resumed_count : &bound_count) += 1;
    }
    if (!c->resumed)
        say(c, "<presence/>");
    if (!c->resumed && storming && c->state == IN)
        say(c, "<iq type='set' id='missed'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'>"
               "<max>20</max><before/></set></query></iq>");
}

static void login_text(struct client *c, const char *p, size_t len)
{
    c->in = realloc(c->in, c->in_len + len + 1);
    if (!c->in || c->in_len + len > INPUT_MAX)
        die("%s%d: an answer without end", opt.prefix, number_of(c));
    memcpy(c->in + c->in_len, p, len);
    c->in_len += len;
    c->in[c->in_len] = '\0';
    if (strstr(c->in, "</success>"))
        logged_in(c);
    else if (strstr(c->in, "</failure>") || strstr(c->in, "</stream:error>"))
        failed(c, c->in);
}

/* ---- events ---- */

static void read_some(struct client *c)
{
    static char input[64 * 1024];

    while (c->fd >= 0) {
        int n = SSL_read(c->ssl, input, sizeof input - 1);

        if (n <= 0) {
            int e = SSL_get_error(c->ssl, n);

            ERR_clear_error();
            if (e != SSL_ERROR_WANT_READ && e != SSL_ERROR_WANT_WRITE)
                failed(c, "closed by the server");
            return;
        }
        input[n] = '\0';
        if (c->state == LOGIN)
            login_text(c, input, (size_t)n);
        else if (!storming)
            hear_advice(input);
    }
}

static void handshake(struct client *c)
{
    int n = SSL_connect(c->ssl);

    if (n == 1) {
        say_login(c);
        return;
    }
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:  watch(c, false); return;
    case SSL_ERROR_WANT_WRITE: watch(c, true);  return;
    default:                   ERR_clear_error(); failed(c, "the TLS handshake failed");
    }
}

static void connected(struct client *c)
{
    int       e = 0;
    socklen_t n = sizeof e;

    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &n);
    if (e) {
        failed(c, strerror(e));
        return;
    }
    c->ssl = SSL_new(tls);
    if (!c->ssl || !SSL_set_fd(c->ssl, c->fd))
        die("could not start TLS");
    SSL_set_tlsext_host_name(c->ssl, opt.domain);
    c->state = HANDSHAKE;
    handshake(c);
}

static void event(struct client *c)
{
    switch (c->state) {
    case CONNECTING: connected(c); break;
    case HANDSHAKE:  handshake(c); break;
    case LOGIN:
    case IN:         read_some(c); break;
    case CLOSED:     break;
    }
}

static void look_at_clocks(void)
{
    int64_t now = now_ms();

    for (int i = 0; i < begun_count; i++) {
        struct client *c = &clients[i];

        if (c->state == CLOSED && c->due_ms <= now)
            begin(c);
        else if (c->state != CLOSED && c->state != IN && c->deadline_ms <= now)
            failed(c, "no answer in time");
    }
}

/* Whose answer is there already has not waited in vain, however busy this process was: all that is there is read first. */
static void round_of_events(void)
{
    struct epoll_event events[EVENTS];
    int                n, rounds = 0;

    do {
        n = epoll_wait(epoll_fd, events, EVENTS, rounds ? 0 : 5);
        for (int i = 0; i < n; i++)
            event(events[i].data.ptr);
    } while (n == EVENTS && ++rounds < ROUNDS_MAX);
    look_at_clocks();
}

/* ---- the course ---- */

static void log_all_in(void)
{
    while (ready_count < opt.clients) {
        while (begun_count < opt.clients && busy_count < opt.width)
            begin(&clients[begun_count++]);
        round_of_events();
    }
    printf("{\"event\":\"ready\",\"sessions\":%d}\n", ready_count);
    fflush(stdout);
}

/* False: stdin has ended. Meanwhile the sessions live on. */
static bool wait_for_line(void)
{
    struct pollfd in = { .fd = 0, .events = POLLIN };
    char          line[16];

    while (poll(&in, 1, 0) == 0)
        round_of_events();
    return read(0, line, sizeof line) > 0;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void say_back(void)
{
    int64_t *times = calloc((size_t)opt.clients, sizeof *times);
    int      n = 0;

    for (int i = 0; i < opt.clients && times; i++)
        if (clients[i].back_ms)
            times[n++] = clients[i].back_ms;
    if (n)
        qsort(times, (size_t)n, sizeof *times, by_time);
    printf("{\"event\":\"back\",\"clients\":%d,\"back\":%d,\"resumed\":%ld,\"bound\":%ld,\"failures\":%ld,\"p50_ms\":%lld,"
           "\"p99_ms\":%lld,\"max_ms\":%lld,\"reasons\":{", opt.clients, n, resumed_count, bound_count, failures,
           n ? (long long)times[n / 2] : 0, n ? (long long)times[(n - 1) * 99 / 100] : 0, n ? (long long)times[n - 1] : 0);
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0] && reasons[i].count; i++)
        printf("%s\"%s\":%ld", i ? "," : "", reasons[i].why, reasons[i].count);
    printf("},\"by_second\":[");
    for (int i = 0, second = 1; i < n; second++) {
        int from = i;

        while (i < n && times[i] <= second * 1000)
            i++;
        printf("%s%d", second > 1 ? "," : "", i - from);
    }
    printf("]}\n");
    fflush(stdout);
    free(times);
}

static int back_count(void)
{
    return (int)(resumed_count + bound_count);
}

static void storm(void)
{
    int jitter_ms = opt.jitter_ms >= 0 ? opt.jitter_ms : advice_ms > JITTER_MS ? advice_ms : JITTER_MS;

    storming = true;
    storm_ms = now_ms();
    failures = 0;
    memset(reasons, 0, sizeof reasons);
    for (int i = 0; i < opt.clients; i++) {
        hang_up(&clients[i]);
        clients[i].due_ms = storm_ms + rand() % (jitter_ms + 1);
        clients[i].tries = 0;
    }
    while (back_count() < opt.clients && now_ms() - storm_ms < (int64_t)opt.seconds * 1000)
        round_of_events();
    say_back();
}

/* ---- options ---- */

static void target_read(char *text, struct target *t)
{
    char *colon = strrchr(text, ':');

    if (!colon || colon - text >= (long)sizeof t->host)
        die("\"%s\" is not HOST:PORT", text);
    *colon = '\0';
    snprintf(t->host, sizeof t->host, "%s", text);
    t->port = atoi(colon + 1);
}

static void targets_read(char *list)
{
    for (char *one = strtok(list, ","); one && opt.to_count < TARGETS_MAX; one = strtok(NULL, ","))
        target_read(one, &opt.to[opt.to_count++]);
}

static void options_read(int argc, char **argv)
{
    static const struct option longs[] = {
        { "domain", 1, NULL, 'd' }, { "prefix", 1, NULL, 'p' }, { "clients", 1, NULL, 'c' }, { "from", 1, NULL, 'f' },
        { "to", 1, NULL, 't' }, { "width", 1, NULL, 'w' }, { "jitter-ms", 1, NULL, 'j' }, { "seconds", 1, NULL, 's' }, { 0 },
    };
    int c;

    while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1)
        switch (c) {
        case 'd': opt.domain = optarg; break;
        case 'p': opt.prefix = optarg; break;
        case 'c': opt.clients = atoi(optarg); break;
        case 'w': opt.width = atoi(optarg); break;
        case 'j': opt.jitter_ms = atoi(optarg); break;
        case 's': opt.seconds = atoi(optarg); break;
        case 'f': target_read(optarg, &opt.from); break;
        case 't': targets_read(optarg); break;
        default:  die("usage: --from HOST:PORT --to HOST:PORT[,…] [--domain D] [--prefix storm] [--clients N] [--width N] "
                      "[--jitter-ms N] [--seconds N]");
        }
    if (!opt.from.port || !opt.to_count || opt.clients < 1 || opt.width < 1)
        die("--from and --to are needed, and the numbers above zero");
}

int main(int argc, char **argv)
{
    struct rlimit files;

    options_read(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    srand(1);
    clients = calloc((size_t)opt.clients, sizeof *clients);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    tls = SSL_CTX_new(TLS_client_method());
    if (!clients || epoll_fd < 0 || !tls)
        die("could not set up");
    for (int i = 0; i < opt.clients; i++)
        clients[i].fd = -1;
    SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);     /* a certificate of the laboratory's own */
    log_all_in();
    if (!wait_for_line())
        return 0;
    storm();
    while (wait_for_line())
        ;
    return 0;
}
