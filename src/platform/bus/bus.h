/* bus.h: asking and telling between processes: request/reply and publish/
 * subscribe on subjects, bounded, at most once. Local: unix sockets between
 * the processes of a machine; in-process: function calls (deferred to the
 * end of the round) for `one` and tests; NATS between machines.
 *
 * The first word of a subject names the role that answers: "ident.scram.start" goes to
 * ident. Published subjects go to every connected role that subscribed, whatever their first word.
 *
 * Payloads are written and read with codec.h; the receiver checks them like a stranger's.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "net/loop.h"

enum {
    BUS_SUBJECT_BYTES_MAX = 128,
    BUS_PAYLOAD_BYTES_MAX = 1024 * 1024,
    BUS_PENDING_MAX = 16384,        /* requests waiting for an answer */
    BUS_OUT_BYTES_MAX = 16 * 1024 * 1024,
};

struct bus;
struct bus_request;                 /* a request that came in, to be answered once */

/* `dir`: where the sockets are ("/run/bongsu"): each role listens on dir/<role>.bus.
 * `listen_fd`: that socket, passed by the keeper, or -1 to make it. */
enum err bus_new_local(struct loop *l, const char *role, const char *dir, int listen_fd, struct bus **out);
/* Several roles in one process: each gets its own struct bus, joined by `hub` (NULL: makes a new hub, returned in *hub). */
struct bus_hub;
enum err bus_new_inproc(struct loop *l, const char *role, struct bus_hub **hub, struct bus **out);
/* Never from inside a callback of the bus. Questions still open are forgotten, their fn is not called. */
void     bus_free(struct bus **b);

/* A request came. Answer with bus_answer, now or later, exactly once. `payload` is borrowed. */
typedef void bus_serve_fn(void *arg, struct bus_request *rq, struct str subject, struct str payload);
/* `subject` exact, or "ident.*" for everything below. ERR_EXISTS if taken. */
enum err bus_serve(struct bus *b, const char *subject, bus_serve_fn *fn, void *arg);
void     bus_answer(struct bus_request *rq, enum err e, struct str payload);
struct str bus_role(const struct bus *b);                  /* our own */
struct str bus_asker(const struct bus_request *rq);        /* role of the asker: "talk" */

/* The answer: e == OK and payload from bus_answer; or the error it gave; ERR_UNAVAILABLE: the role is away
 * (or died with the question in hand: ERR_UNCERTAIN); ERR_TIMEOUT. Called once, never from inside bus_ask. */
typedef void bus_reply_fn(void *arg, enum err e, struct str payload);
enum err bus_ask(struct bus *b, const char *subject, struct str payload, int timeout_ms,
                 bus_reply_fn *fn, void *arg);             /* ERR_LIMIT: too many pending; fn is not called */

/* Subscribing keeps a link to the role named by the first word, with back-off, so that its events come.
 * A role hears its own events too, if it subscribed. ERR_LIMIT from bus_publish: a slow peer missed it. */
typedef void bus_event_fn(void *arg, struct str subject, struct str payload);
enum err bus_subscribe(struct bus *b, const char *subject, bus_event_fn *fn, void *arg);
enum err bus_publish(struct bus *b, const char *subject, struct str payload);
/* The same subject, function and argument as subscribed, which hears nothing more. Also from inside its callback. O(1), as
 * subscribing is, whatever the number of subjects (262,144 at most: ERR_LIMIT). */
void     bus_unsubscribe(struct bus *b, const char *subject, bus_event_fn *fn, void *arg);

/* ---- between machines: NATS ---- */
struct bus_nats {
    const char *servers;            /* "nats://10.0.1.1:4222,nats://[fd00::2]:4222", nearest first; numeric, at most 16 */
    const char *user, *password;    /* may be NULL */
    const char *ca, *certificate, *key;   /* PEM files; ca NULL or "": no TLS. The servers' certificates name their addresses */
    int         ping_ms, ping_out_max, reconnect_ms, connect_ms;   /* 0: the measured defaults, nats.c */
};
/* Differs from the others in four things. Any subject may be served and asked, not only those of the role; several that serve the
 * same subject share the work (queue group). bus_ask of a subject that nobody serves is ERR_UNAVAILABLE at once. An event does not
 * come back to the one that published it. And connections break: OK is returned and the connecting goes on for good,
 * so that a machine can start alone; what is published meanwhile is lost (ERR_UNAVAILABLE), what was asked is ERR_UNCERTAIN.
 * A payload is at most the server's max_payload (1 MiB unless set) less 64 bytes, else ERR_LIMIT. What is published in a round
 * leaves at its end. `why` (in `a`) says what a person can mend: a server's name that is no address, an unreadable file. */
enum err bus_new_nats(struct loop *l, const char *role, const struct bus_nats *s, struct bus **out, struct arena *a, struct str *why);
/* What it would say of the names, before anything is opened. */
enum err bus_nats_judge(const char *servers, struct arena *a, struct str *why);
/* Stands in for it in tests, without a server: the members of one hub hear each other as over NATS. */
enum err bus_new_standin(struct loop *l, const char *role, struct bus_hub **hub, struct bus **out);
void     bus_standin_break(struct bus *b, bool connected);     /* as if the connection were lost, or there again */
/* Called in the loop when the connection is lost (false) and when it is there again, subscriptions included (true):
 * events in between are missing. Also with true at the first connection. A reader too slow for the server is hung up on, so
 * dropped events are a break too. Going back to a nearer server is told as false and true at once. Where no connection can
 * break: once with true, at the end of the round. bus_connected may be true a little before: publishing works. */
typedef void bus_break_fn(void *arg, bool connected);
void     bus_on_break(struct bus *b, bus_break_fn *fn, void *arg);
bool     bus_connected(const struct bus *b);
