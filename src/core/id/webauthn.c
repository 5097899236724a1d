/* webauthn.c: see webauthn.h.
 * SPDX-License-Identifier: AGPL-3.0-or-later */
#include "id/webauthn.h"
#include <fido.h>
#include <fido/eddsa.h>
#include <fido/es256.h>
#include <fido/rs256.h>
#include <openssl/evp.h>
#include "crypto/digest.h"
#include "id/passkey.h"
#include "wire/base64.h"
#include "wire/cbor.h"
#include "wire/json.h"

static enum err refuse(const char **why, enum err e, const char *text)
{
    *why = text;
    return e;
}

static const unsigned char *octets(struct str s)
{
    return (const unsigned char *)s.p;
}

/* ---- client data (§5.8.1) ---- */

static bool is_port(struct str s)
{
    uint64_t n;

    return s.len == 0 || (s.p[0] == ':' && str_to_u64(str_make(s.p + 1, s.len - 1), &n) && n <= 65535);
}

static bool is_at(struct str origin, struct str scheme, struct str host)
{
    struct str rest;

    if (!str_starts(origin, scheme))
        return false;
    rest = str_make(origin.p + scheme.len, origin.len - scheme.len);
    return str_starts(rest, host) && is_port(str_make(rest.p + host.len, rest.len - host.len));
}

static bool origin_is_ours(const struct webauthn_party *us, struct str origin)
{
    struct str rest = us->origins;

    if (rest.len == 0)
        return is_at(origin, STR("https://"), us->rp_id) || (str_is(us->rp_id, "localhost") && is_at(origin, STR("http://"), us->rp_id));
    while (rest.p)
        if (str_eq(str_trim(str_split(&rest, ',')), origin))
            return origin.len > 0;
    return false;
}

static enum err client_data_judge(struct arena *a, const struct webauthn_party *us, const json_t *data, const char *type,
                                  struct str *challenge, const char **why)
{
    struct str text = json_get_str(data, "challenge");

    if (!text.p || base64url_decode(a, text, challenge))
        return refuse(why, ERR_INVALID, "no challenge");
    if (!str_is(json_get_str(data, "type"), type))
        return refuse(why, ERR_DENIED, "another type");
    if (!origin_is_ours(us, json_get_str(data, "origin")))
        return refuse(why, ERR_DENIED, "another origin");
    /* in a frame of somebody else's page, who may have drawn what the person sees */
    if (json_is_true(json_object_get(data, "crossOrigin")))
        return refuse(why, ERR_DENIED, "cross-origin");
    return OK;
}

enum err webauthn_client_data(struct arena *a, const struct webauthn_party *us, struct str json, const char *type, struct str *challenge,
                              const char **why)
{
    json_t  *data = NULL;
    enum err e = json_read(a, json, WEBAUTHN_CLIENT_DATA_BYTES_MAX, &data, NULL);

    if (e || !json_is_object(data))
        e = refuse(why, ERR_INVALID, "client data is no JSON object");
    else
        e = client_data_judge(a, us, data, type, challenge, why);
    json_decref(data);
    return e;
}

/* ---- authenticator data (§6.1) ----
 *
 *   SHA-256(rp id) 32 | flags 1 | counter 4 | [AT: aaguid 16 | length 2 | credential id | COSE key] | [ED: extensions]
 */

enum { FLAG_UP = 0x01, FLAG_UV = 0x04, FLAG_BE = 0x08, FLAG_BS = 0x10, FLAG_AT = 0x40, FLAG_ED = 0x80 };
enum { RP_HASH_BYTES = 32, HEAD_BYTES = 37, AAGUID_BYTES = 16, KEY_ALGORITHM = 3 /* COSE label, RFC 9052 §7.1 */ };

struct auth_data {
    unsigned   flags;
    uint32_t   counter;
    struct str credential;      /* with AT */
    int64_t    algorithm;
};

static uint32_t big_endian(const char *p, int bytes)
{
    uint32_t n = 0;

    for (int i = 0; i < bytes; i++)
        n = n << 8 | (uint8_t)p[i];
    return n;
}

/* What libfido2 will read is walked through here first, so that it meets no length that is not there. */
static enum err cose_algorithm(struct str *rest, int64_t *out)
{
    struct cbor_item key, label, value;
    enum err         e = cbor_next(rest, &key);

    *out = 0;
    if (e || key.kind != CBOR_MAP)
        return ERR_INVALID;
    for (uint64_t i = 0; i < key.number; i++) {
        struct str at;

        if (cbor_next(rest, &label) || label.kind > CBOR_NEGATIVE)
            return ERR_INVALID;
        at = *rest;
        if (cbor_skip(rest))
            return ERR_INVALID;
        if (cbor_int(&label, 0) == KEY_ALGORITHM && cbor_next(&at, &value) == OK)
            *out = cbor_int(&value, 0);
    }
    return OK;
}

static enum err attested_read(struct str *rest, struct auth_data *out)
{
    size_t n;

    if (rest->len < AAGUID_BYTES + 2)
        return ERR_INVALID;
    n = big_endian(rest->p + AAGUID_BYTES, 2);
    *rest = str_make(rest->p + AAGUID_BYTES + 2, rest->len - AAGUID_BYTES - 2);
    if (n < WEBAUTHN_CREDENTIAL_BYTES_MIN || n > WEBAUTHN_CREDENTIAL_BYTES_MAX || n > rest->len)
        return ERR_INVALID;
    out->credential = str_make(rest->p, n);
    *rest = str_make(rest->p + n, rest->len - n);
    return cose_algorithm(rest, &out->algorithm);
}

static enum err auth_data_read(struct str in, struct auth_data *out)
{
    struct str rest;
    enum err   e = OK;

    *out = (struct auth_data){ 0 };
    if (in.len < HEAD_BYTES || in.len > WEBAUTHN_AUTH_DATA_BYTES_MAX)
        return ERR_INVALID;
    out->flags = (uint8_t)in.p[RP_HASH_BYTES];
    out->counter = big_endian(in.p + RP_HASH_BYTES + 1, 4);
    rest = str_make(in.p + HEAD_BYTES, in.len - HEAD_BYTES);
    if (out->flags & FLAG_AT)
        e = attested_read(&rest, out);
    if (!e && (out->flags & FLAG_ED))
        e = cbor_skip(&rest);
    return e ? e : rest.len ? ERR_INVALID : OK;
}

/* The person was there and was verified: a found key opens nothing. */
static enum err auth_data_judge(const struct webauthn_party *us, struct str in, struct auth_data *out, const char **why)
{
    uint8_t hash[DIGEST_BYTES_MAX];

    if (auth_data_read(in, out))
        return refuse(why, ERR_INVALID, "authenticator data");
    digest(DIGEST_SHA256, us->rp_id, hash);
    if (memcmp(in.p, hash, RP_HASH_BYTES) != 0)
        return refuse(why, ERR_DENIED, "another rp id");
    if (!(out->flags & FLAG_UP) || !(out->flags & FLAG_UV))
        return refuse(why, ERR_DENIED, "nobody was verified");
    if ((out->flags & FLAG_BS) && !(out->flags & FLAG_BE))
        return refuse(why, ERR_INVALID, "backed up, and cannot be");
    return OK;
}

/* ---- keys ---- */

enum { ES256_BYTES = 64, EDDSA_BYTES = 32 };

/* The curve's point, or the number, is one. */
static bool key_is_sound(int algorithm, struct str key)
{
    EVP_PKEY *k = NULL;

    if (algorithm == COSE_ES256) {
        es256_pk_t *pk = es256_pk_new();

        k = es256_pk_from_ptr(pk, key.p, key.len) == FIDO_OK ? es256_pk_to_EVP_PKEY(pk) : NULL;
        es256_pk_free(&pk);
    } else if (algorithm == COSE_EDDSA) {
        eddsa_pk_t *pk = eddsa_pk_new();

        k = eddsa_pk_from_ptr(pk, key.p, key.len) == FIDO_OK ? eddsa_pk_to_EVP_PKEY(pk) : NULL;
        eddsa_pk_free(&pk);
    } else if (algorithm == COSE_RS256) {
        rs256_pk_t *pk = rs256_pk_new();

        k = rs256_pk_from_ptr(pk, key.p, key.len) == FIDO_OK ? rs256_pk_to_EVP_PKEY(pk) : NULL;
        rs256_pk_free(&pk);
    }
    EVP_PKEY_free(k);
    return k != NULL;
}

static bool is_asked_for(int64_t algorithm)
{
    for (int i = 0; passkey_algorithms[i]; i++)
        if (passkey_algorithms[i] == algorithm)
            return true;
    return false;
}

/* ---- registration (§7.1) ---- */

struct attestation {
    struct str format, auth_data;
    bool       has_statement;
    uint64_t   statement_fields;
    int64_t    algorithm;
    struct str signature;
    bool       has_chain;
};

static enum err statement_read(struct str *rest, struct attestation *out)
{
    struct cbor_item map, key, value;

    if (out->has_statement || cbor_next(rest, &map) || map.kind != CBOR_MAP)
        return ERR_INVALID;
    out->has_statement = true;
    out->statement_fields = map.number;
    for (uint64_t i = 0; i < map.number; i++) {
        struct str at;

        if (cbor_next(rest, &key) || key.kind != CBOR_TEXT)
            return ERR_INVALID;
        at = *rest;
        if (cbor_skip(rest) || cbor_next(&at, &value))
            return ERR_INVALID;
        if (str_is(key.bytes, "alg"))
            out->algorithm = cbor_int(&value, 0);
        else if (str_is(key.bytes, "sig") && value.kind == CBOR_BYTES)
            out->signature = value.bytes;
        else
            out->has_chain = true;
    }
    return OK;
}

/* §6.5.4: a map of exactly fmt, attStmt and authData. */
static enum err attestation_read(struct str rest, struct attestation *out)
{
    struct cbor_item map, key, value;
    enum err         e = rest.len > WEBAUTHN_ATTESTATION_BYTES_MAX ? ERR_INVALID : cbor_next(&rest, &map);

    *out = (struct attestation){ 0 };
    if (e || map.kind != CBOR_MAP || map.number != 3)
        return ERR_INVALID;
    for (int i = 0; i < 3 && !e; i++) {
        if (cbor_next(&rest, &key) || key.kind != CBOR_TEXT)
            return ERR_INVALID;
        if (str_is(key.bytes, "attStmt")) {
            e = statement_read(&rest, out);
            continue;
        }
        e = cbor_next(&rest, &value);
        if (!e && str_is(key.bytes, "fmt") && value.kind == CBOR_TEXT)
            out->format = value.bytes;
        else if (!e && str_is(key.bytes, "authData") && value.kind == CBOR_BYTES)
            out->auth_data = value.bytes;
        else
            e = ERR_INVALID;
    }
    return e || rest.len || !out->format.p || !out->auth_data.p || !out->has_statement ? ERR_INVALID : OK;
}

/* Whether we can judge it at all. */
static enum err statement_judge(const struct attestation *at, int64_t key_algorithm, const char **why)
{
    if (str_is(at->format, "none"))
        return at->statement_fields ? refuse(why, ERR_INVALID, "a statement where none is") : OK;
    if (!str_is(at->format, "packed") || at->has_chain)
        return refuse(why, ERR_UNSUPPORTED, "an attestation that was not asked for");
    if (!at->signature.len || at->signature.len > WEBAUTHN_SIGNATURE_BYTES_MAX || at->algorithm != key_algorithm)
        return refuse(why, ERR_INVALID, "attestation statement");
    return OK;
}

static int cred_fill(fido_cred_t *cred, const struct webauthn_party *us, struct str client_data, const struct attestation *at,
                     const struct auth_data *d)
{
    uint8_t hash[DIGEST_BYTES_MAX];
    int     r = fido_cred_set_type(cred, (int)d->algorithm);

    digest(DIGEST_SHA256, client_data, hash);
    if (r == FIDO_OK)
        r = fido_cred_set_authdata_raw(cred, octets(at->auth_data), at->auth_data.len);
    if (r == FIDO_OK)
        r = fido_cred_set_clientdata_hash(cred, hash, 32);
    if (r == FIDO_OK)
        r = fido_cred_set_rp(cred, us->rp_id.p, NULL);
    if (r == FIDO_OK)
        r = fido_cred_set_fmt(cred, str_is(at->format, "none") ? "none" : "packed");
    if (r == FIDO_OK && at->signature.len)
        r = fido_cred_set_sig(cred, octets(at->signature), at->signature.len);
    return r;
}

static enum err cred_judge(fido_cred_t *cred, struct arena *a, const struct attestation *at, const struct auth_data *d,
                           struct webauthn_key *out, const char **why)
{
    if (!str_is(at->format, "none") && fido_cred_verify_self(cred) != FIDO_OK)
        return refuse(why, ERR_DENIED, "signature");
    *out = (struct webauthn_key){
        .credential = arena_str(a, d->credential), .algorithm = (int)d->algorithm, .counter = d->counter,
        .key = arena_str(a, str_make((const char *)fido_cred_pubkey_ptr(cred), fido_cred_pubkey_len(cred))) };
    if (out->key.len > WEBAUTHN_KEY_BYTES_MAX || !key_is_sound(out->algorithm, out->key))
        return refuse(why, ERR_INVALID, "public key");
    return OK;
}

enum err webauthn_attestation(struct arena *a, const struct webauthn_party *us, struct str client_data, struct str attestation,
                              struct webauthn_key *out, const char **why)
{
    struct attestation at;
    struct auth_data   d;
    fido_cred_t       *cred;
    enum err           e;

    if (attestation_read(attestation, &at))
        return refuse(why, ERR_INVALID, "attestation object");
    e = auth_data_judge(us, at.auth_data, &d, why);
    if (e)
        return e;
    if (!(d.flags & FLAG_AT))
        return refuse(why, ERR_INVALID, "no credential");
    if (!is_asked_for(d.algorithm))
        return refuse(why, ERR_UNSUPPORTED, "algorithm");
    e = statement_judge(&at, d.algorithm, why);
    if (e)
        return e;
    fido_init(0);                           /* of a thread: any may come here first */
    cred = fido_cred_new();
    e = cred_fill(cred, us, client_data, &at, &d) == FIDO_OK ? cred_judge(cred, a, &at, &d, out, why)
                                                             : refuse(why, ERR_INVALID, "public key");
    fido_cred_free(&cred);
    return e;
}

/* ---- log-in (§7.2) ---- */

static int assert_fill(fido_assert_t *as, const struct webauthn_party *us, struct str client_data, struct str auth_data, struct str signature)
{
    uint8_t hash[DIGEST_BYTES_MAX];
    int     r = fido_assert_set_count(as, 1);

    digest(DIGEST_SHA256, client_data, hash);
    if (r == FIDO_OK)
        r = fido_assert_set_rp(as, us->rp_id.p);
    if (r == FIDO_OK)
        r = fido_assert_set_clientdata_hash(as, hash, 32);
    if (r == FIDO_OK)
        r = fido_assert_set_authdata_raw(as, 0, octets(auth_data), auth_data.len);
    if (r == FIDO_OK)
        r = fido_assert_set_sig(as, 0, octets(signature), signature.len);
    if (r == FIDO_OK)
        r = fido_assert_set_up(as, FIDO_OPT_TRUE);
    return r == FIDO_OK ? fido_assert_set_uv(as, FIDO_OPT_TRUE) : r;
}

static int assert_verify(fido_assert_t *as, const struct webauthn_key *key)
{
    int r = FIDO_ERR_INVALID_ARGUMENT;

    if (key->algorithm == COSE_ES256) {
        es256_pk_t *pk = es256_pk_new();

        r = es256_pk_from_ptr(pk, key->key.p, key->key.len);
        r = r == FIDO_OK ? fido_assert_verify(as, 0, COSE_ES256, pk) : r;
        es256_pk_free(&pk);
    } else if (key->algorithm == COSE_EDDSA) {
        eddsa_pk_t *pk = eddsa_pk_new();

        r = eddsa_pk_from_ptr(pk, key->key.p, key->key.len);
        r = r == FIDO_OK ? fido_assert_verify(as, 0, COSE_EDDSA, pk) : r;
        eddsa_pk_free(&pk);
    } else if (key->algorithm == COSE_RS256) {
        rs256_pk_t *pk = rs256_pk_new();

        r = rs256_pk_from_ptr(pk, key->key.p, key->key.len);
        r = r == FIDO_OK ? fido_assert_verify(as, 0, COSE_RS256, pk) : r;
        rs256_pk_free(&pk);
    }
    return r;
}

enum err webauthn_assertion(const struct webauthn_party *us, struct str client_data, struct str auth_data, struct str signature,
                            const struct webauthn_key *key, uint32_t *counter, const char **why)
{
    struct auth_data d;
    fido_assert_t   *as;
    int              r;
    enum err         e = auth_data_judge(us, auth_data, &d, why);

    if (e)
        return e;
    if (d.flags & FLAG_AT)
        return refuse(why, ERR_INVALID, "a credential where none is");
    if (!signature.len || signature.len > WEBAUTHN_SIGNATURE_BYTES_MAX)
        return refuse(why, ERR_INVALID, "signature");
    fido_init(0);
    as = fido_assert_new();
    r = assert_fill(as, us, client_data, auth_data, signature);
    if (r == FIDO_OK)
        r = assert_verify(as, key);
    fido_assert_free(&as);
    *counter = d.counter;
    return r == FIDO_OK ? OK : refuse(why, ERR_DENIED, "signature");
}
