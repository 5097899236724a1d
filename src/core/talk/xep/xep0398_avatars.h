/* xep0398_avatars.h: one picture for XEP-0084 (avatar nodes), XEP-0054 (the card's photo) and XEP-0153 (its hash in presence).
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include "talk/pubsub/pubsub.h"

enum { PHOTO_ID_BYTES = 40 };

struct avatar {
    struct str id, type, data;
}; /* data: base64; p NULL: no picture, or none for this asker */

/* Base64 as others write it has line breaks: without them. */
struct str picture_text(struct arena *a, struct str base64);
struct str picture_id(struct arena *a, struct str bytes); /* SHA-1 in hex (XEP-0084 §4.2) */

/* The account's picture, if the asker may read the node. *there: the account has avatar nodes, so the picture
 * is not in the card. */
enum err avatar_read(struct job *j, struct db_conn *c, struct avatar *out, bool *there);
void avatar_put_photo(struct buf *b, const struct avatar *av);
/* A card has come, with this <PHOTO/> (NULL: without): the nodes follow (XEP-0398 §3.2). */
enum err avatar_from_card(struct job *j, struct db_conn *c, const struct xml_node *photo);
/* The <info/> of a picture in <metadata/>; NULL: there is none. */
const struct xml_node *avatar_info(const struct xml_node *metadata);
/* In the loop: memory and presence follow. */
void avatar_changed(struct job *j, enum err e);
