/* slot.c: see slot.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "files/slot.h"
#include <ctype.h>
#include "bus/codec.h"
#include "crypto/digest.h"
#include "wire/base64.h"

enum { VERSION = 1, SIGNATURE_BYTES = 32, ID_RANDOM_BYTES = 16, ENDING_BYTES_MAX = 16 };

static struct str key_of(const struct slot_key *k) { return str_make((const char *)k->bytes, sizeof k->bytes); }

/* ---- ids ---- */

static void id_mark(const struct slot_key *k, const uint8_t random[ID_RANDOM_BYTES], uint8_t out[SIGNATURE_BYTES])
{
    uint8_t text[3 + ID_RANDOM_BYTES] = "id:";

    memcpy(text + 3, random, ID_RANDOM_BYTES);
    hmac(DIGEST_SHA256, key_of(k), str_make((char *)text, sizeof text), out);
}

void slot_id_new(const struct slot_key *k, uint8_t out[SLOT_ID_BYTES])
{
    uint8_t mark[SIGNATURE_BYTES];

    random_bytes(out, ID_RANDOM_BYTES);
    id_mark(k, out, mark);
    memcpy(out + ID_RANDOM_BYTES, mark, SLOT_ID_BYTES - ID_RANDOM_BYTES);
}

bool slot_id_is_ours(const struct slot_key *k, const uint8_t id[SLOT_ID_BYTES])
{
    uint8_t mark[SIGNATURE_BYTES];
    size_t  n = SLOT_ID_BYTES - ID_RANDOM_BYTES;

    id_mark(k, id, mark);
    return str_eq_secret(str_make((char *)mark, n), str_make((const char *)id + ID_RANDOM_BYTES, n));
}

void slot_id_put(struct buf *out, const uint8_t id[SLOT_ID_BYTES])
{
    base64url_put(out, str_make((const char *)id, SLOT_ID_BYTES));
}

bool slot_id_read(struct str text, uint8_t out[SLOT_ID_BYTES])
{
    struct arena a;
    struct str   bytes;
    bool         ok;

    if (text.len != SLOT_ID_CHARS)
        return false;
    arena_init(&a);
    ok = base64url_decode(&a, text, &bytes) == OK && bytes.len == SLOT_ID_BYTES;
    if (ok)
        memcpy(out, bytes.p, SLOT_ID_BYTES);
    arena_done(&a);
    return ok;
}

/* ---- tokens ---- */

void slot_sign(struct buf *out, const struct slot_key *k, const struct slot *s)
{
    struct buf b;
    uint8_t    signature[SIGNATURE_BYTES];

    buf_init(&b, 0);
    codec_begin(&b, VERSION);
    codec_put_u64(&b, s->kind);
    codec_put_bytes(&b, str_make((const char *)s->id, sizeof s->id));
    codec_put_str(&b, s->owner);
    codec_put_str(&b, s->name);
    codec_put_str(&b, s->type);
    codec_put_i64(&b, s->bytes);
    codec_put_i64(&b, s->made_us);
    hmac(DIGEST_SHA256, key_of(k), buf_str(&b), signature);
    buf_put(&b, signature, sizeof signature);
    base64url_put(out, buf_str(&b));
    buf_done(&b);
}

static enum err read_fields(struct str text, enum slot_kind kind, struct slot *out)
{
    struct codec_reader r = codec_open(text, VERSION);
    struct str          id;

    out->kind = (enum slot_kind)codec_u64(&r);
    id = codec_bytes(&r, SLOT_ID_BYTES);
    out->owner = codec_str(&r, SLOT_OWNER_BYTES_MAX);
    out->name = codec_str(&r, SLOT_NAME_BYTES_MAX);
    out->type = codec_str(&r, SLOT_TYPE_BYTES_MAX);
    out->bytes = codec_i64(&r);
    out->made_us = codec_i64(&r);
    if (!codec_ok(&r) || id.len != SLOT_ID_BYTES || out->kind != kind || out->bytes < 0)
        return ERR_DENIED;
    memcpy(out->id, id.p, SLOT_ID_BYTES);
    return OK;
}

enum err slot_read(struct arena *a, struct str token, const struct slot_key *k, enum slot_kind kind, struct slot *out)
{
    struct str all, signature;
    uint8_t    right[SIGNATURE_BYTES];

    if (base64url_decode(a, token, &all) != OK || all.len <= SIGNATURE_BYTES)
        return ERR_DENIED;
    all.len -= SIGNATURE_BYTES;
    signature = str_make(all.p + all.len, SIGNATURE_BYTES);
    hmac(DIGEST_SHA256, key_of(k), all, right);
    if (!str_eq_secret(signature, str_make((char *)right, sizeof right)))
        return ERR_DENIED;
    return read_fields(all, kind, out);
}

/* ---- names and types ---- */

/* The start of the character that the byte at `at` belongs to. */
static size_t character_start(struct str s, size_t at)
{
    while (at > 0 && ((unsigned char)s.p[at] & 0xc0) == 0x80)
        at--;
    return at;
}

static struct str shorten(struct arena *a, struct str s)
{
    size_t ending = 0, head;

    if (s.len <= SLOT_NAME_BYTES_MAX)
        return s;
    while (ending < ENDING_BYTES_MAX && s.p[s.len - 1 - ending] != '.')
        ending++;
    ending = ending < ENDING_BYTES_MAX ? ending + 1 : 0;
    head = character_start(s, SLOT_NAME_BYTES_MAX - ending);
    return arena_printf(a, "%.*s%.*s", (int)head, s.p, (int)ending, s.p + s.len - ending);
}

struct str slot_name(struct arena *a, struct str given)
{
    struct str s;

    for (size_t i = given.len; i > 0; i--)
        if (given.p[i - 1] == '/' || given.p[i - 1] == '\\') {
            given = str_make(given.p + i, given.len - i);
            break;
        }
    s = arena_str(a, given);
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            ((char *)s.p)[i] = '_';
    if (s.len == 0 || str_is(s, ".") || str_is(s, "..") || !str_is_utf8(s))
        return STR("file");
    return shorten(a, s);
}

static bool is_type_char(char c)
{
    return isalnum((unsigned char)c) || (c && strchr("!#$&-^_.+", c));
}

struct str slot_type(struct arena *a, struct str given)
{
    struct str type = str_trim(str_split(&given, ';')), rest = type, main = str_split(&rest, '/');
    struct str lower;

    if (type.len > SLOT_TYPE_BYTES_MAX || main.len == 0 || rest.len == 0)
        return STR_NULL;
    lower = arena_str(a, type);
    for (size_t i = 0; i < lower.len; i++) {
        if (i != main.len && !is_type_char(lower.p[i]))
            return STR_NULL;
        ((char *)lower.p)[i] = (char)tolower((unsigned char)lower.p[i]);
    }
    return lower;
}
