/* session.h: one client's stream, from accept to the end, and what it may be sent.
 *
 *   HANDSHAKE ─stream open─▶ FEATURES ─SASL─▶ (restart) AUTHENTICATED ─bind─▶ BOUND
 *        │                                                                     │ connection lost,
 *        └──────────────── any error ──────▶ CLOSED ◀── expiry ── DETACHED ◀───┘ stream resumable
 *                                                                     └─ resume ▶ BOUND
 *
 * Sending: everything to a client goes through session_send (now) or
 * session_expect/session_release_entry (when a commit is durable), so order is kept and XEP-0198 counts hold.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "net/conn.h"
#include "net/websocket.h"
#include "talk/stanza.h"
#include "talk/talk.h"

enum session_state {
    SESSION_HANDSHAKE,      /* nothing but a stream header (or TLS) may come */
    SESSION_FEATURES,       /* our features are out; not authenticated */
    SESSION_AUTHENTICATED,  /* authenticated, not bound */
    SESSION_BOUND,
    SESSION_DETACHED,       /* connection gone, waiting for resume */
    SESSION_CLOSED,         /* freed at the end of the round */
};

struct login;               /* talk/sasl.h: log-in under way, freed once bound */
struct sm;                  /* talk/xep/xep0198_sm.h: acknowledgement state, NULL when off */
struct csi;                 /* talk/xep/xep0352_csi.h: held stanzas, NULL while active */
struct guest;               /* talk/guest.h: somebody of another domain; then there is neither person nor connection */

struct session {
    struct talk      *talk;
    struct conn      *conn;          /* NULL when DETACHED or CLOSED */
    struct person    *person;        /* NULL before authentication, and of a guest */
    struct guest     *guest;         /* NULL: a client */
    struct list       in_talk;       /* talk->sessions_all */
    struct list       in_person;     /* person->sessions, once bound */
    int64_t           key;           /* of its device row (devices.h); 0: none */
    int64_t           agent;         /* ident_device_id of the client that logged in last; 0: it did not say (signed_in.h) */
    uint64_t          id;            /* handle: session_find(talk, id); in the log as "session" */
    struct jid        jid;           /* full once bound; bare after authentication; one malloc, freed with the session */
    struct login     *login;
    struct sm        *sm;
    struct csi       *csi;
    struct xml_scan   scan;
    struct ws_reader *ws;            /* WebSocket only */
    char             *presence;      /* last available presence as sent out, NUL-terminated; NULL: unavailable */
    int8_t            priority;
    uint8_t           state;         /* enum session_state */
    uint8_t           roster_tries;  /* how often the stanza at hand has been handled before (roster.c) */
    uint8_t           transport;     /* enum talk_transport */
    bool              secure : 1;    /* TLS is on */
    bool              carbons : 1;
    bool              interested : 1;   /* asked for the roster: gets pushes (RFC 6121 §2.2) */
    bool              blocklist : 1;    /* asked for the block list: gets pushes (XEP-0191 §3.3) */
    bool              probed : 1;       /* initial presence has been sent */
    bool              held : 1;         /* input waits for an answer from elsewhere */
    bool              entering : 1;     /* so does its log-in (talk->entering) */
    bool              unhandled : 1;    /* the last stanza of `received` waits for ident (route.c) and does not count yet */
    bool              xml_open : 1;     /* our stream header is out */
    bool              closing : 1;
    bool              reached : 1;      /* its device row says that it takes messages */
    bool              pep_due : 1;      /* may have missed news of its contacts' nodes (xep0163_pep.c) */
    bool              dirty_read : 1;   /* input is left over from the rate limit */
    uint32_t          received;      /* stanzas taken from the client (for XEP-0198) */
    uint32_t          commits;       /* of them, operations still in a batch */
    int64_t           heard_ms;      /* last bytes from the client */
    int64_t           accepted_ms;
    int64_t           bound_us, reached_us;    /* in a cluster: reached_us, since when messages come here, 0: unknown */
    int32_t           rate_stanzas, rate_bytes;  /* what is left in this second's allowance */
    struct strset    *directed;      /* who got directed presence (RFC 6121 §4.6); NULL: nobody */
    struct caps      *caps;          /* what the client can do (xep0115_clients.h); NULL: it has not said */
    struct pep_news  *pep_news;      /* while last items are being read (xep0163_pep.c) */
    int64_t           caps_question; /* it is being asked; 0: it is not */
    char             *lang;          /* default language of the stream; NULL: none */
};

struct session *session_find(struct talk *t, uint64_t id);      /* NULL when gone */
static inline bool session_available(const struct session *s) { return s->presence != NULL; }
/* Does it get what is sent to the bare JID (RFC 6121 §8.5.2.1)? */
static inline bool session_takes_messages(const struct session *s)
{
    return session_available(s) && s->priority >= 0 && !s->closing;
}

/* ---- sending to a client ---- */

/* One stanza, complete text without xmlns on its element ("<message …>…</message>"). Adds
 * what the transport needs, counts it for XEP-0198, passes XEP-0352. If the
 * session has expected entries before it, it waits behind them.
 * A reader too slow for its buffer is disconnected (and resumes, if it can). */
void session_send(struct session *s, struct str stanza);
/* The same for what may come a moment later: alone, it waits up to SESSION_PATIENCE_MS for other stanzas, so that all leave in one write. */
enum { SESSION_PATIENCE_MS = 100 };
void session_send_patiently(struct session *s, struct str stanza);
/* Not a stanza (nonza): features, SASL, <a/>. Never counted. */
void session_send_nonza(struct session *s, struct str xml);

/* Logged messages: the place in the client's stream is taken when the message joins the batch,
 * and filled or given up when the batch is decided. */
enum delivery { DELIVERY_DIRECT, DELIVERY_CARBON_RECEIVED, DELIVERY_CARBON_SENT, DELIVERY_ROOM };
void session_expect(struct session *s, int64_t log_id, enum delivery how);
/* `stanza` is the complete text to send; p == NULL: it did not happen (failed or a duplicate). */
void session_fill(struct session *s, int64_t log_id, struct str stanza);

/* A message that is durable and has its place in the log (a shared database: places are known only then). */
void session_send_logged(struct session *s, int64_t log_id, enum delivery how, struct str stanza);

/* ---- replies to an iq ---- */
enum err iq_result(struct session *s, const struct stanza *iq, const char *payload /* NULL: empty */);
enum err iq_result_str(struct session *s, const struct stanza *iq, struct str payload);
/* From the error table of base/err.h. */
enum err iq_error(struct session *s, const struct stanza *iq, enum err e);
enum err iq_error_condition(struct session *s, const struct stanza *iq, const char *type, const char *condition, const char *text);
/* For any stanza kind; answers nothing to errors and results. `from` of the reply is the address it was sent to. */
void     session_bounce(struct session *s, const struct stanza *st, const char *type, const char *condition, const char *text);

/* An iq that waits (for a commit, a read, another process) is kept by its essentials: */
struct iq_later { uint64_t session_id; char *id; char *to; };   /* `to`: as the client addressed it, NULL if it did not */
struct iq_later iq_keep(const struct session *s, const struct stanza *iq);
/* Answers (if the session still exists) and frees the parts. `payload` p NULL: empty result. */
void     iq_later_result(struct talk *t, struct iq_later *k, struct str payload);
void     iq_later_error(struct talk *t, struct iq_later *k, enum err e);
/* `type`: "result" or "error"; `payload`: for an error, the whole <error/>. */
void     iq_later_answer(struct talk *t, struct iq_later *k, const char *type, struct str payload);

/* ---- waiting and order ---- */

/* Stop taking input from this client until session_continue: the next stanza
 * must not overtake what is being asked elsewhere. */
void session_hold(struct session *s);
void session_continue(struct session *s);

/* A change that must be durable before its effects show. Runs `apply` on the writer
 * thread (see commit.h), then `done` in the loop. Counts as one of the session's unfinished
 * stanzas, so XEP-0198 does not acknowledge it early. `s` may be NULL (not caused by a client). */
struct change {
    struct commit_op op;                     /* first */
    enum err (*apply)(struct db_conn *c, struct change *self);
    void     (*done)(struct talk *t, struct change *self, enum err e);  /* frees self */
    struct talk *talk;
    uint64_t session_id;
};
/* ERR_LIMIT: too much is waiting; nothing was queued, `done` is not called and self is still yours. */
enum err session_change(struct session *s, struct talk *t, struct change *c);
/* Runs fn(t, arg) now, or once everything this session has in the batch is durable: keeps
 * the order of what one client sends to another (RFC 6120 §10.1). */
void session_after_commits(struct session *s, void (*fn)(struct talk *t, void *arg), void *arg);
/* The same for everything that anybody has in the batch: what was on its way to a device that this one takes the place of is
 * in the archive then. */
void session_after_all(struct session *s, void (*fn)(struct talk *t, void *arg), void *arg);

/* ---- life ---- */
struct session *session_new(struct talk *t, struct conn *c, enum talk_transport how);
/* Takes the identity; `user` is the normalised local part, in memory already (person_open) in a shared database. Next: bind. */
enum err session_authenticate(struct session *s, struct str user);
/* Binds `resource` (empty: we choose). An existing session with that resource is ended with
 * <conflict/> (RFC 6120 §7.7.2.2). The person is loaded and linked. */
enum err session_bind(struct session *s, struct str resource);
/* <stream:error/>, close. `text` may be NULL. Unresumable afterwards. */
void session_fail(struct session *s, const char *condition, const char *text);
/* Orderly end from us or from </stream:stream>: goes unavailable, stream row removed. */
void session_end(struct session *s);
/* The connection is gone: DETACHED if resumable, else session_end. */
void session_lost(struct session *s, enum err why);
