/* route.h: where a stanza goes (RFC 6121 §8 for local accounts; other domains are
 * not reachable yet) and the life of a message on its way.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"
#include "talk/stanza.h"

/* A message under way, in the round's arena. message_out and message_in hooks change the first group. */
struct message {
    bool  archive;             /* keep in both archives; default by archive_wanted() */
    bool  offline;             /* keep for a recipient who is away */
    bool  carbons;             /* eligible for carbon copies (XEP-0280 §6.1) */

    struct session      *sender;     /* NULL: a host, or the server itself */
    struct person       *from;       /* sender's account; NULL: a host, the server, or somebody of another domain */
    const struct stanza *stanza;
    struct str           origin_id;  /* XEP-0359; p NULL if absent */
};

/* A stanza from a bound client. */
void route_stanza(struct session *s, const struct stanza *st);
/* Presence text to one session or account; never stored. */
void route_presence(struct talk *t, struct person *to, struct str resource /* empty: all available */, struct str stanza);
/* Calls the handler of a get or set, or answers as RFC 6120 §8.3.3 and §8.4 say; `h` NULL: nobody knows that payload. */
struct iq_handler;
void route_iq_handle(struct session *s, const struct stanza *iq, const struct iq_handler *h);
/* iq from client to client (full JID); answers with service-unavailable if it is not there. */
void route_iq(struct session *s, const struct stanza *iq);

/* Message text as it is kept: "<message from=… to=… id=… type=…>…</message>", no xmlns, no stanza-id.
 * Writes it with stanza-id (by `owner`), and `delay_us` as XEP-0203 when not 0. */
void message_put(struct buf *b, struct str kept, struct str owner_bare, int64_t log_id, int64_t delay_us, struct str delay_from);
/* Carbon of a kept message for `full`, a session of `owner_bare` (XEP-0280). */
void message_put_carbon(struct buf *b, struct str kept, struct str owner_bare, struct str full, int64_t log_id, bool sent);
/* <forwarded/> of a kept message with its delay, xmlns included (XEP-0297). */
void message_put_forwarded(struct buf *b, struct str kept, struct str owner_bare, int64_t log_id, bool with_stanza_id);
