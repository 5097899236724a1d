/* passkey.h: asking ident about passkeys (WebAuthn), from web, and for tickets, from talk. Each call is a bus request; the answer
 * comes to `fn` once, later. What a page does with them, step by step: docs/passkeys.md.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "bus/bus.h"

enum {
    PASSKEYS_MAX = 16,                      /* of one account */
    PASSKEY_LABEL_BYTES_MAX = 128,
    PASSKEY_TICKET_CHARS_MAX = 1536,
    PASSKEY_TICKET_S = 300,
    PASSKEY_CHALLENGE_S = 300,              /* the time that a person has to find their key */
};

/* COSE algorithms, in the order in which authenticators are asked for them. Ended by 0. */
extern const int passkey_algorithms[];

struct passkey_row { struct str id, label; int64_t created_us, used_us; };
struct passkey_list { bool password; int count; struct passkey_row rows[PASSKEYS_MAX]; };

/* Fields that a request has no word for stay empty. */
struct passkey_request {
    struct str user;                        /* ticket; for operators: whose */
    struct str ticket;                      /* who asks: list, offer, add, rename, remove, password_remove */
    struct str id, label;
    struct str client_data, attestation;    /* as the browser gave them */
    struct str auth_data, signature, handle;
    struct str agent, mechanism;            /* XEP-0484: what the token is for */
    struct str peer_key;                    /* address, for limits and the log */
};

struct passkey_answer {
    struct str why;                         /* with an error: a few words, or p NULL */
    struct str ticket;
    struct str rp_id, challenge;            /* challenge, offer */
    struct str user, handle;                /* offer; user: of a log-in too */
    struct passkey_list list;               /* list, offer: those that there are already */
    struct str token;                       /* log-in: good once from the device `agent`, and then renewed as any other */
    int64_t    expires_us;                  /* of the token, the ticket */
};

enum passkey_verb {
    PASSKEY_TICKET,                         /* user; from talk, which knows who its client is */
    PASSKEY_CHALLENGE,                      /* nothing */
    PASSKEY_LOGIN,                          /* id, client_data, auth_data, signature, handle, agent, mechanism, peer_key */
    PASSKEY_LIST, PASSKEY_OFFER,            /* ticket */
    PASSKEY_ADD,                            /* ticket, label, client_data, attestation */
    PASSKEY_RENAME, PASSKEY_REMOVE,         /* ticket, id; label */
    PASSKEY_PASSWORD_REMOVE,                /* ticket: from here on passkeys are the only ways in */
    PASSKEY_OF, PASSKEY_CLEAR,              /* user; operators only */
    PASSKEY_VERBS
};
const char *passkey_subject(enum passkey_verb v);

/* Every verb: ERR_INVALID: malformed; ERR_UNAUTHORIZED: the ticket is not ours or has expired, the log-in is not proven;
 * ERR_LIMIT: too many (passkeys; failures from this address); ERR_NOT_FOUND, ERR_EXISTS; ERR_UNSUPPORTED: not an authenticator
 * that was asked for; ERR_DENIED: the last way in. */
typedef void passkey_fn(void *arg, enum err e, const struct passkey_answer *a);     /* borrowed; never NULL */
enum err passkey_ask(struct bus *b, enum passkey_verb v, const struct passkey_request *q, passkey_fn *fn, void *arg);

void     passkey_request_write(struct buf *out, const struct passkey_request *q);
enum err passkey_request_read(struct str payload, struct passkey_request *out);     /* borrowed from `payload` */
void     passkey_answer_write(struct buf *out, const struct passkey_answer *a);
enum err passkey_answer_read(struct str payload, struct passkey_answer *out);
