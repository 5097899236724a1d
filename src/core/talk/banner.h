/* banner.h: announcements of the operator: shown at once to everybody who is there, and to the others when they log in.
 *
 *   banner(id, at, until, who, subject, text, signature)      those in force; what is taken down is deleted
 *   banner_seen(owner, id)                                    the newest that was shown to the account
 *
 * They are the items of a node of the public service (NODE_ANNOUNCED on pubsub.DOMAIN), which all accounts receive: nobody has to
 * subscribe, and everybody can read them later (docs/admin.md). A notification says the same in words, for clients that know no nodes.
 * Each is signed with a key that the server makes for itself: an app may keep and show it later, and prove that it is the operator's.
 * <announcements xmlns='urn:bongsu:announcement:0'/>, asked of the domain, gives all that are in force, too.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/session.h"

#define NS_ANNOUNCEMENT "urn:bongsu:announcement:0"

enum { BANNERS_MAX = 20, BANNER_SUBJECT_BYTES_MAX = 200, BANNER_TEXT_BYTES_MAX = 4000 };

typedef void banner_fn(struct talk *t, enum err e, void *arg);
/* ERR_LIMIT: BANNERS_MAX are in force. `until_us` 0: until it is taken down. */
void banner_put(struct talk *t, struct str who, struct str subject, struct str text, int64_t until_us, banner_fn *fn, void *arg);
/* Takes down those that are in force. */
void banner_clear(struct talk *t, banner_fn *fn, void *arg);
void banners_done(struct talk *t);
/* What is signed. */
void banner_signed_text(struct buf *out, struct str domain, int64_t id, int64_t at_us, int64_t until_us, struct str subject, struct str text);
