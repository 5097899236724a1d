/* message_inner.h: a message on its way, for message.c and for message_share.c, which tells the other workers of a cluster of it.
 *
 *   message_enters ──▶ in talk->messages ──decided──▶ message_decided ──▶ message_share: a place in the log, to whoever has its devices
 *        └─ a stall: at once to who is there, under the name that the archive will give it (docs/sites.md)
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/archive.h"
#include "talk/federate.h"
#include "talk/message.h"

struct target {
    uint64_t session_id;
    uint8_t  how;           /* enum delivery */
};

struct message_op {
    struct change      change;
    struct archive_put put;
    struct talk       *talk;
    struct person     *from, *to;       /* from NULL: a host, the server or a guest; to NULL: somebody of another server */
    struct outbound   *out;             /* on its way there; NULL: it is for somebody here */
    message_posted_fn *posted;          /* message_post; may be NULL */
    void              *posted_arg;
    struct str         id, to_text;     /* for an error reply and the log */
    bool               kept, carbons;
    int64_t            wake_after;      /* what other workers have to wake (follow.h) */
    bool               away;            /* nobody was known to be there; put.offline says only that the commit decides it */
    struct list        under_way;       /* in talk->messages, while it is not decided (a shared database)… */
    int64_t            since_ms;        /* …since then */
    int64_t            tell_ms;         /* it went ahead, and is told once more then */
    int                tell_after_ms;
    int                target_count;
    struct target      targets[];       /* behind them: the texts */
};

/* ---- message_share.c: a shared database ---- */
void message_enters(struct message_op *o);              /* it has joined a batch; goes ahead at once in a stall */
void message_decided(struct message_op *o, enum err e); /* its batch is, before message_share */
void message_share(struct message_op *o);               /* to the devices of both sides, here and elsewhere */
void message_share_passed(struct message_op *o);        /* one that is not kept: to the other workers */
