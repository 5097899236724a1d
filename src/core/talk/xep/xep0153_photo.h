/* xep0153_photo.h: XEP-0153 vCard-Based Avatars 1.1.1: the hash of the photo in presence, put there by us, to each viewer that of the
 * profile that is meant for them (profile.h); with XEP-0398 §3, of what our clients say themselves nothing else is passed on.
 *
 * In a database of our own, memory is certain and the hash stands in each presence. Where several messengers share one, somebody else may
 * have changed the audience a moment ago. There presence goes out at once and says nothing of photos; the numbers of changes of the audience
 * and of the contact list are read in a commit batch, many accounts at once, and if they are those of what is in memory, presence goes
 * out again with the hash:
 *
 *   presence ─▶ without ──photo_ask──▶ queue ──batch──▶ certain ─▶ again with the hash, to each viewer theirs
 *                                        ▲              not: read again, and asked once more in a second, TRIES_MAX times
 *                                        └──────────────┘
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/person.h"
#include "talk/session.h"
#include "wire/xml.h"

/* Of the presence of a client of ours: it is not passed on. */
bool photo_is_told_by_us(const struct xml_node *child);
/* Appends what the viewer (bare) is told, if the text lacks it; nothing in a shared database. */
void photo_put(struct talk *t, struct buf *b, struct str text, struct str viewer);
/* In a shared database: the session's presence was shown without it, to `viewer` (full or bare) or, empty, to everybody who may see it. */
void photo_ask(struct session *s, struct str viewer);
void photo_ask_all(struct person *p);
void photo_refresh(struct person *p);   /* somebody has changed it */
