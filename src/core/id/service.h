/* service.h: ident itself: owns the identity database and answers on the bus.
 * Subjects and payloads: id/payload.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/err.h"
#include "bus/bus.h"
#include "net/loop.h"

enum {
    IDENT_EXCHANGE_MS = 30000,          /* for each message of the client; then the log-in is forgotten */
    IDENT_FAILURES_WINDOW_MS = 5 * 60 * 1000,
    IDENT_CHANGES_MAX = 1024,           /* account changes under way */
};

struct ident;

struct ident_options {
    const char *server;                 /* PostgreSQL's connection string; NULL or "": SQLite at `database` */
    const char *schema;                 /* where its tables are there */
    const char *database;               /* path; "" in memory, for tests */
    const char *domain;
    int         scram_iterations;
    int         hash_threads;
    int         failures_per_address, failures_per_user;    /* in IDENT_FAILURES_WINDOW_MS; 0: no limit */
    bool        registration;
    int         registrations_per_hour; /* per address; 0: no limit */
    int         fast_token_days;
    const char *passkey_rp;             /* WebAuthn's RP ID; NULL or "": `domain` */
    const char *passkey_origins;        /* as webauthn_party's; may be NULL */
};

/* Opens the database and serves "ident.*" on `b`. `o` is copied, texts too. On failure `why` (in `a`)
 * names the file and the reason. */
enum err ident_new(struct loop *l, struct bus *b, const struct ident_options *o, struct ident **out,
                   struct arena *a, struct str *why);
/* Commits what is queued, answers what is under way and joins the threads. Nobody may ask on the bus
 * afterwards: free it next, or a round later so that the last answers leave. */
void     ident_free(struct ident **id);
/* Takes up what may change in a running server: registration, limits (buckets start full), token days. */
void     ident_reload(struct ident *id, const struct ident_options *o);
/* Whether the database can be written: OK, ERR_FULL, ERR_IO. */
enum err ident_health(const struct ident *id);
