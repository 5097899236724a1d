/* slot.h: the right to upload one file (XEP-0363), signed, so that whoever holds the key can judge it and nothing has to
 * be remembered between asking and uploading. The id of a file is 16 random bytes and 8 of their HMAC: made-up ones are told from
 * ours without a look into any index, here and at other sites.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum {
    SLOT_KEY_BYTES = 32,
    SLOT_ID_BYTES = 24,
    SLOT_ID_CHARS = 32,             /* base64url of it */
    SLOT_OWNER_BYTES_MAX = 1023,
    SLOT_NAME_BYTES_MAX = 255,
    SLOT_TYPE_BYTES_MAX = 127,
    SLOT_BEGIN_S_MAX = 300,         /* XEP-0363 §7: how long after the slot an upload may begin… */
    SLOT_RESUME_S_MAX = 24 * 3600,  /* …and how long one that was cut may go on */
};

struct slot_key { uint8_t bytes[SLOT_KEY_BYTES]; };

enum slot_kind {
    SLOT_UPLOAD = 1,    /* for a client: it may put the file */
    SLOT_PEER = 2,      /* between sites: a file that is there already, and what is known about it */
    SLOT_ASK = 3,       /* between sites: the one who asks is one of us */
    SLOT_FORGET = 4,    /* between sites: what `owner` had before `made_us` goes */
};

struct slot {
    enum slot_kind kind;
    uint8_t        id[SLOT_ID_BYTES];
    struct str     owner;           /* account: normalised local part */
    struct str     name;            /* slot_name's form */
    struct str     type;            /* lower-case "image/png"; empty: any */
    int64_t        bytes;
    int64_t        made_us;
};

void     slot_id_new(const struct slot_key *k, uint8_t out[SLOT_ID_BYTES]);
bool     slot_id_is_ours(const struct slot_key *k, const uint8_t id[SLOT_ID_BYTES]);
void     slot_id_put(struct buf *out, const uint8_t id[SLOT_ID_BYTES]);
bool     slot_id_read(struct str text, uint8_t out[SLOT_ID_BYTES]);

/* base64url, fit for a header. */
void     slot_sign(struct buf *out, const struct slot_key *k, const struct slot *s);
/* Texts live in `a`. ERR_DENIED: not signed by this key, or not of this kind. */
enum err slot_read(struct arena *a, struct str token, const struct slot_key *k, enum slot_kind kind, struct slot *out);

/* What a file may be called: the last part of a path, no control characters, at most SLOT_NAME_BYTES_MAX with its
 * ending kept, never empty. */
struct str slot_name(struct arena *a, struct str given);
/* "Image/PNG; x=y" → "image/png"; p NULL: no media type (RFC 9110 §8.3.1). */
struct str slot_type(struct arena *a, struct str given);
