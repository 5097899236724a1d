/* xep0357_inner.h: the messenger's state of what is under way, for the files of this XEP.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "base/hash.h"
#include "crypto/webpush.h"
#include "talk/xep/xep0357_push.h"

struct push_state {
    /* xep0357_notify.c */
    struct intmap pending[PUSH_KINDS];  /* by registration */
    struct intmap notes_by[PUSH_KINDS]; /* the same */
    struct list   all, notes;
    int           pending_count, note_count;
    int           sweep_in_s;
    bool          swept, sweeping;
    /* xep0357_publish.c */
    char          key[100];             /* courier's public key, in base64url; empty: not known yet */
    int           key_in_s;
    bool          key_asked;
    int64_t       last_publication;
};

/* Is it worth waking somebody, and what is it? `a` for the text. */
bool push_event_read(struct arena *a, const struct xml_node *message, struct push_event *out);
