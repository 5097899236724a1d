/* load.h: the load generator's parts. It speaks plain standard XMPP and
 * shares no code with the server, so it drives any server the same way and
 * a mistake of ours cannot stand on both sides of a measurement.
 *
 * One coordinator forks workers; each worker is one epoll loop with its own
 * clients. What they count lies in memory both see. Start at load.c.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

/* ---- histogram.c: latencies in nanoseconds, within 1.6 % ---- */

enum { HISTOGRAM_SUB = 64, HISTOGRAM_BUCKETS = HISTOGRAM_SUB * 44 };

struct histogram { uint64_t count, bucket[HISTOGRAM_BUCKETS]; };

void     histogram_add(struct histogram *h, uint64_t ns);
void     histogram_merge(struct histogram *into, const struct histogram *h);
uint64_t histogram_at(const struct histogram *h, double share); /* 0.99: the 99th percentile, ns */

/* ---- options ---- */

enum tls_kind { TLS_NONE, TLS_STARTTLS, TLS_DIRECT };

struct options {
    const char   *host, *host2;   /* host2: every second session goes there; NULL: all to host */
    const char   *domain, *prefix, *password, *mechanism;
    int           port;
    enum tls_kind tls;
    int           first;          /* number of the first account: prefix + number */
    int           pairs, clients; /* clients: sessions of idle, login and archive */
    int           warm;           /* idle: sessions before the first reading */
    int           procs;
    int           talkers;        /* talk: how many of the clients say something */
    int           login_width;    /* log-ins in progress at one time, per worker */
    int           window;         /* pairs: messages in flight per pair */
    int           rate;           /* open: messages a second, all pairs together */
    int           count;          /* pairs: messages per pair, then stop; 0: by time */
    int           page;           /* archive: messages a page */
    int           contacts;       /* rename, roster: of the account */
    int64_t       duration_ms, warmup_ms;
    bool          sm;             /* XEP-0198: ask for an acknowledgement with every message */
    bool          presence;       /* send <presence/> after log-in */
    bool          step;           /* wait for a line on stdin after "warm" and "ready" */
};

extern struct options opt;

/* ---- what is counted ---- */

struct tally {                    /* one per worker, in shared memory */
    uint64_t ready;               /* sessions logged in */
    uint64_t done;                /* worker has nothing left to do */
    uint64_t sent, received;      /* messages inside the window; of contacts: presences, pushes, items */
    uint64_t logins;              /* finished inside the window */
    uint64_t pages;               /* archive pages inside the window */
    uint64_t bounced;             /* stanzas of type error, at any time */
    uint64_t unsent;              /* open loop: skipped, the connection was full */
    struct histogram latency;     /* pairs: to arrival; archive: a page; login: a log-in */
    struct histogram acked;       /* sm: to the acknowledgement */
};

struct shared {
    volatile uint64_t target;     /* sessions each worker may log in by now */
    volatile uint64_t start_ns, end_ns; /* the window; 0: not known yet */
    volatile uint64_t running;    /* messages may flow */
    volatile uint64_t stop;
};

extern struct shared *shared;
extern struct tally  *tally;      /* this worker's own */

uint64_t now_ns(void);
static inline bool in_window(uint64_t ns)
{
    return shared->start_ns && ns >= shared->start_ns && ns < shared->end_ns;
}
_Noreturn void die(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- scram.c: RFC 5802 and RFC 7677, client's side ---- */

enum { SCRAM_KEY_MAX = 32, SCRAM_TEXT_MAX = 512 };

struct scram {
    bool    sha256;
    char    nonce[25];
    char    user[64];
    uint8_t server_signature[SCRAM_KEY_MAX];
};

/* All write NUL-terminated text. PBKDF2 runs once per account and salt. */
void scram_first(struct scram *s, bool sha256, const char *user, char out[SCRAM_TEXT_MAX]);
bool scram_final(struct scram *s, int account, const char *challenge, char out[SCRAM_TEXT_MAX]);
bool scram_check(const struct scram *s, const char *success);
bool base64_decode(const char *text, size_t len, uint8_t *out, size_t out_max, size_t *out_len);
void base64_encode(const void *p, size_t len, char *out);

/* ---- client.c: one connection, from connect to a bound session ---- */

struct client;
struct text { const char *p; size_t len; };

struct scenario {
    const char *name, *help;
    bool gathers;                                     /* ready only when it says so (tally->done) */
    void (*begin)(void);                              /* in the worker, before any client */
    void (*ready)(struct client *c);                  /* log-in finished */
    void (*stanza)(struct client *c, struct text t);  /* one stanza of a ready session */
    void (*closed)(struct client *c);                 /* NULL: a lost connection ends the run */
    int64_t (*tick)(uint64_t now);                    /* NULL, or: do what is due, return ns to the next */
};

enum client_state {
    CLIENT_CLOSED, CLIENT_CONNECTING, CLIENT_HANDSHAKE, CLIENT_FEATURES, CLIENT_PROCEED,
    CLIENT_SASL, CLIENT_BINDING, CLIENT_SESSION, CLIENT_ENABLING, CLIENT_READY,
    CLIENT_CLOSING,
};

struct bytes { char *p; size_t len, cap; };

enum { ACK_RING = 256 };

struct client {
    int               fd, account, index;
    enum client_state state;
    bool              secured, authed, wants_out, dirty;
    SSL              *ssl;
    struct scram     *scram;
    struct bytes      in, out;
    size_t            scanned;    /* bytes of `in` looked at, up to a tag's start */
    int               depth;
    uint64_t          began_ns;
    struct client    *next_dirty;
    /* XEP-0198 */
    uint32_t          sm_in, sm_out, sm_acked;
    uint64_t         *sm_sent_ns; /* ring of ACK_RING, only with --sm */
    /* scenario's own */
    struct client    *partner;
    uint64_t          asked_ns, last_ns;
    uint32_t          sent_count, arrived_count;
    int               page_messages;
    char              page_first[128];
};

void client_setup(const struct scenario *s);          /* once per worker */
void client_connect(struct client *c);
void client_send(struct client *c, const char *p, size_t len); /* leaves at the end of the round */
void client_sendf(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void client_counted(struct client *c, uint64_t ns);   /* --sm: a stanza was sent at `ns`; 0: do not measure it */
void client_hang_up(struct client *c);                /* closes the stream, waits for the server's end */
void client_round(int64_t wait_ns);                   /* one epoll round */
size_t client_backlog(const struct client *c);        /* bytes not yet taken by the socket */

/* Finds text in a stanza; NULL when absent. */
const char *text_find(struct text t, const char *needle);
/* Value of an attribute of the stanza's own start tag. */
bool text_attr(struct text t, const char *name, struct text *out);
bool text_is(struct text t, const char *name);        /* the stanza's name begins so */
bool text_typed(struct text t, const char *type);     /* its type is that */
/* Ends the run, and shows what has come. */
_Noreturn void die_at(const struct client *c, const char *what, struct text t);

/* ---- scenarios.c, rooms.c, contacts.c ---- */

extern const struct scenario scenario_pairs, scenario_open, scenario_idle, scenario_login, scenario_archive,
                             scenario_room, scenario_talk, scenario_enter,
                             scenario_presence, scenario_appear, scenario_rename, scenario_roster;
extern struct client *clients;    /* this worker's */
extern int            client_count;
