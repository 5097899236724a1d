/* xep0357_inner.h: the messenger's state of what is under way, for the files of this XEP.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/hash.h"
#include "crypto/webpush.h"
#include "talk/xep/xep0357_push.h"

enum { PUSH_KEY_WAITERS_MAX = 16 };

struct key_ask; /* xep0357_publish.c */

struct push_state {
    /* xep0357_due.c */
    struct intmap pending[PUSH_KINDS];  /* by registration */
    struct intmap notes_by[PUSH_KINDS]; /* the same */
    struct list all, notes;
    int pending_count, note_count;
    int sweep_in_s;
    bool swept, sweeping;
    /* xep0357_publish.c */
    char key[100];                          /* courier's public key, in base64url; empty: not known yet */
    uint8_t private[WEBPUSH_PRIVATE_BYTES]; /* the copy that is in our database, and so in backups */
    bool private_known, private_read;
    struct key_ask *key_waiters[PUSH_KEY_WAITERS_MAX]; /* until it is read */
    int key_waiter_count;
    int key_in_s;
    bool key_asked;
    int64_t last_publication;
};

/* Is it worth waking somebody, and what is it? `a` for the text. */
bool push_event_read(struct arena *a, const struct xml_node *message, struct push_event *out);

/* ---- xep0357_due.c ---- */
/* The row joins the batch that is filling: that of the message, when it is called from there. `if_absent`:
 * only if the device is on no messenger when the batch is decided. */
void push_due(struct person *p, struct push_registration *r, const struct push_event *ev, bool if_absent);
char *push_keep(struct str s, char *old); /* frees `old`; NULL for an empty text */
void push_due_init(struct talk *t);
void push_due_tick(struct talk *t);
void push_due_end(struct talk *t);
